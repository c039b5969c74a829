"""`rampart report`: what became of a rollout or an experiment, as one file.

It asks the database only, so it works with Temporal down.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.console import ESCAPED, SEEN, Usage, carry_out, out, prompt_of, say

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from reports.illustrated import Illustrated
    from reports.writing import Form

Which = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT|EXPERIMENT",
        help="greeting.system for its latest rollout or experiment, or an id of either.",
    ),
]


def report(
    wanted: Which,
    *,
    as_html: Annotated[bool, typer.Option("--html", help="With pictures.")] = False,
    as_markdown: Annotated[bool, typer.Option("--md", help="Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where to; by its ending it knows how to write."),
    ] = None,
) -> None:
    """Report what was to be done, how it ended, what was decided and why, in one file."""
    from reports.writing import write

    form = _form({"html": as_html, "md": as_markdown, "json": as_json}, file)
    text = write(carry_out(_find(wanted)), form)
    if file is None:
        seen = ESCAPED if form.value == "json" else SEEN
        out.file.write(text.translate(seen).rstrip("\n") + "\n")
        return
    _keep(file, text)
    say(f"{file}: {len(text.encode()) / 1000:,.0f} kB")


def _form(asked: dict[str, bool], file: Path | None) -> "Form":
    """Return how it is to be written: as asked, else as the file is called, else Markdown.

    Raises:
        Usage: Several are asked for, or the file is called otherwise.
    """
    from reports.writing import Form

    wanted = [name for name, given in asked.items() if given]
    if len(wanted) > 1:
        raise Usage(f"give one of --html, --md and --json, got {' and '.join(wanted)}")
    if wanted or file is None:
        return Form(wanted[0] if wanted else "md")
    ending = file.suffix.removeprefix(".").lower()
    named = {"htm": "html", "markdown": "md"}.get(ending, ending)
    if named not in list(Form):
        raise Usage(f"-o {file}: give --html, --md or --json, or a name that ends so")
    return Form(named)


async def _find(wanted: str) -> "Illustrated":
    from reports.reporter import Reporter
    from terminal.desk import storage, temporal_ui

    ui, namespace = temporal_ui()
    async with storage() as database:
        reporter = Reporter(database, ui=ui, namespace=namespace)
        if "." in wanted:
            return await reporter.latest(*prompt_of(wanted))
        return await reporter.by_id(wanted)


def _keep(file: Path, text: str) -> None:
    """Write the file.

    Raises:
        Usage: It cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Usage(f"cannot write {file}: {error.strerror}") from error
