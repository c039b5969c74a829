"""`rampart doctor`: what works, what does not, and what to do about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from terminal.catalog import AsJson
from terminal.console import Usage, carry_out, out, say, say_json

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from collections.abc import Awaitable, Sequence

    from rich.console import RenderableType

    from terminal.checkup.finding import Finding

PATIENCE_S = 20.0  # for each part


def doctor(
    *,
    gateway: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A gateway to look at too.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at all that rampart needs, and say what to do: exit 0 if nothing failed, 1 if so."""
    from terminal.checkup.finding import Health

    if gateway is not None and not gateway.startswith(("http://", "https://")):
        raise Usage(f"--gateway must be a URL such as http://127.0.0.1:8080, got {gateway!r}")
    found = carry_out(_examine(gateway))
    count = {health: sum(one.health is health for one in found) for health in Health}
    if as_json:
        say_json({"counts": count, "findings": [one.to_json() for one in found]})
    else:
        out.print(_sheet(found))
        warnings = (
            "1 warning" if count[Health.WARNING] == 1 else f"{count[Health.WARNING]} warnings"
        )
        say(f"\n{count[Health.FAILED] or 'nothing'} failed, {warnings}")
    if count[Health.FAILED]:
        raise typer.Exit(1)


async def _examine(gateway: str | None) -> "Sequence[Finding]":
    """Look at every part at once; what takes too long has failed."""
    import asyncio

    from settings import Settings
    from terminal.checkup import here, stores, temporal, web

    settings = Settings.from_env()
    parts: dict[str, Awaitable[Sequence[Finding]]] = {
        "database": stores.database(settings),
        "Redis": stores.redis(settings),
        "Temporal": temporal.temporal(settings),
        "Temporal's UI": web.ui(settings),
    }
    if gateway is not None:
        parts["gateway"] = web.gateway(gateway)
    software = asyncio.to_thread(lambda: list(here.software()))
    installed, *asked = await asyncio.gather(
        software, *(_in_time(part, look) for part, look in parts.items())
    )
    return [*installed, *here.configuration(settings), *(one for each in asked for one in each)]


async def _in_time(part: str, look: "Awaitable[Sequence[Finding]]") -> "Sequence[Finding]":
    import asyncio

    from terminal.checkup.finding import failed

    try:
        async with asyncio.timeout(PATIENCE_S):
            return await look
    except TimeoutError:
        return [failed(part, f"no answer within {PATIENCE_S:g} s", "see whether it is overloaded")]


def _sheet(found: "Sequence[Finding]") -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        health = Text(one.health, style=styles[one.health])
        table.add_row(health, one.part, one.said)
        if one.advice:
            table.add_row("", "", Text(f"→ {one.advice}", style="bold"))
    return table
