"""`rampart version import`: a folder of template files becomes versions."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.console import carry_out, out, say, say_json

if TYPE_CHECKING:  # heavy, so the command imports it when it runs: `rampart --help` is quick
    from rich.table import Table

    from domain.templates.importing import Imported


def import_folder(
    folder: Annotated[Path, typer.Argument(help="It holds <name>.<prompt_type>.md files.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made; make nothing.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who asks; by default you.", show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a version of each template file whose content is new: of all of them, or of none."""
    from domain.templates.folder import read
    from domain.templates.importing import VersionImporter
    from settings import Settings
    from terminal.desk import storage
    from terminal.progress import progress

    drafts = read(folder)

    async def take_in() -> "list[Imported]":
        who = by or Settings.from_env().operator
        async with storage() as database:
            with progress(f"importing {len(drafts):,} files") as told:
                importer = VersionImporter(database)
                return await importer.take_in(drafts, by=who, dry_run=dry_run, told=told)

    found = carry_out(take_in())
    if as_json:
        say_json([one.to_dict() for one in found])
        return
    out.print(_table(found))
    counted = Counter(one.outcome.value for one in found)
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items()))
    say(f"{said}; a dry run: nothing was written" if dry_run else said)


def _table(found: "list[Imported]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("file", "prompt", "version", "", "note"):
        table.add_column(name, no_wrap=name in {"prompt", "version"})
    for one in found:
        version = one.version
        tags = f"tagged {', '.join(version.tags)}" if version.tags and not one.note else one.note
        prompt = f"{version.name}.{version.prompt_type}"
        table.add_row(one.file, prompt, version.version, one.outcome.value, tags)
    return table
