"""`rampart audit`: who did what, over all prompts."""

from typing import TYPE_CHECKING, Annotated

import typer

from terminal.catalog import AsJson
from terminal.console import Usage, carry_out, out, say, say_json

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from collections.abc import Sequence
    from datetime import timedelta

    from rich.table import Table

    from domain.audit import Deed


def audit(
    *,
    last: Annotated[
        str, typer.Option(help="How far back, such as 7d; by default all.", show_default=False)
    ] = "",
    by: Annotated[
        str | None, typer.Option(help="Only what this person or token did.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(help="The latest so many.", min=1, max=100_000)] = 1000,
    as_json: AsJson = False,
) -> None:
    """List who did what, when and why: rollouts, experiments, tags, versions, segments, tokens."""
    found = carry_out(_read(_duration(last) if last else None, by, limit=limit))
    if as_json:
        say_json([deed.model_dump(mode="json") for deed in found])
    elif found:
        out.print(_listing(found))
    else:
        say("nothing was done")


async def _read(last: "timedelta | None", by: str | None, *, limit: int) -> "Sequence[Deed]":
    from datetime import UTC, datetime

    from domain.audit import AuditTrail
    from terminal.desk import storage

    since = datetime.now(UTC) - last if last else None
    async with storage() as database:
        return await AuditTrail(database).deeds(since=since, by=by, limit=limit)


def _duration(text: str) -> "timedelta":
    from datetime import timedelta

    from pydantic import TypeAdapter, ValidationError

    from domain.duration import Duration
    from domain.value import complaint

    try:
        found = TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError as error:
        raise Usage(f"--last {complaint(error)}") from error
    if not timedelta(0) < found < timedelta(days=36_500):
        raise Usage(f"--last must be positive, at most 100 years, got {text}")
    return found


def _listing(found: "Sequence[Deed]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for deed in found:
        at = Text(f"{deed.at:%Y-%m-%d %H:%M:%S}", style="dim")
        table.add_row(at, deed.by or "–", deed.what, deed.subject, deed.reason)
    return table
