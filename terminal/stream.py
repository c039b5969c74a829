"""`rampart stream …`: the events that wait in Redis to be counted, and those that could not be."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from terminal.console import Usage, carry_out, say, say_json

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from domain.intake.stream import Backlog, Stream

Result = TypeVar("Result")

stream = typer.Typer(help="Look at the events that wait in Redis, and bring back those set aside.")


@stream.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@stream.command("status")
def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show how far counting is behind taking in; exit 1 if something was set aside."""
    found = carry_out(_with_stream(lambda stream: stream.backlog()))
    if as_json:
        say_json(_as_json(found))
    else:
        say(f"waiting    {found.entries} batches, {found.held} bytes, {found.pending} under way")
        say(f"oldest     {found.oldest.total_seconds():.1f} s")
        say(f"set aside  {found.aside} batches")
    if found.aside:
        raise typer.Exit(1)


@stream.command("restore")
def restore() -> None:
    """Append what was set aside to the stream again, after its cause was mended."""
    count = carry_out(_with_stream(lambda stream: stream.restore()))
    say(f"{count} batches are counted again, and set aside again if they still cannot be")


async def _with_stream(ask: "Callable[[Stream], Awaitable[Result]]") -> Result:
    from domain import broker
    from domain.intake.stream import Stream
    from settings import Settings

    url = Settings.from_env().redis_url
    if not url:
        raise Usage("there is no Redis: RAMPART_REDIS_URL is not set")
    async with broker.connect(url) as client:
        try:
            return await ask(Stream(client))
        except broker.OUTAGES as error:
            where = broker.address(url)
            raise Usage(f"Redis at {where} does not answer: {error}") from error


def _as_json(found: "Backlog") -> dict[str, float]:
    return {
        "entries": found.entries,
        "bytes": found.held,
        "pending": found.pending,
        "oldest_seconds": found.oldest.total_seconds(),
        "aside": found.aside,
    }
