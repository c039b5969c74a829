"""`rampart …`: parses what is typed and prints what comes of it, nothing else.

Exit codes: 0 done; 1 a watched rollout, or the demo, did not end well; 2 refused, wrong or
unreachable, with one line on stderr; 130 interrupted.
"""

import asyncio
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer._completion_classes import completion_init
from typer.exceptions import TyperException

from terminal.amending import OPERATE, amendments
from terminal.auditing import audit
from terminal.catalog import plans, versions
from terminal.completion import completion
from terminal.console import Usage, carry_out, out, say, warn
from terminal.doctoring import doctor
from terminal.experimenting import experiments
from terminal.hindsight import hindsight
from terminal.mistakes import mistyped
from terminal.monitoring import monitors
from terminal.notifying import notifying
from terminal.reconciling import reconcile
from terminal.reporting import report
from terminal.segments import rings, segments
from terminal.serving import gateway
from terminal.simulating import simulate
from terminal.steering import LOOK, rollouts
from terminal.storage import storage
from terminal.stream import stream
from terminal.tokens import tokens
from terminal.welcome import AFTERWARDS, NEXT, PLAYING, PREPARING, STARTING, WELCOME

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from dev import Stack

RUN = "Run"

completion_init()
app = typer.Typer(
    help="Durable rollouts on Temporal, watched and rolled back by themselves.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


rest = typer.Typer()
rest.command(rich_help_panel=OPERATE)(reconcile)
rest.command(rich_help_panel=LOOK)(report)
rest.command(rich_help_panel=LOOK)(simulate)
rest.command(rich_help_panel=LOOK)(audit)


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Durable rollouts on Temporal, watched and rolled back by themselves."""
    if version:
        say(f"rampart {metadata.version('rampart-rollouts')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(WELCOME.replace("{next}", NEXT))


@app.command(rich_help_panel=RUN)
def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up until Ctrl-C.")] = False,
    play: Annotated[
        bool, typer.Option("--play", help="Break it yourself, on a page, until Ctrl-C.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the simulated users.")] = 1,
) -> None:
    """Watch a healthy version being promoted and a broken one rolled back, on a real stack."""
    if play:
        _play(seed)
        return
    from dev import GATEWAY_PORT, Stack, until_told
    from embedded.demo import DIRECTORY, Demo

    played = Demo(out, seed=seed)
    stack = Stack(DIRECTORY, gateway_port=GATEWAY_PORT, any_port=True, fresh=True, tell=played.tell)

    async def perform() -> None:
        say(STARTING)
        async with stack:
            line = await played.play(stack)
            if keep:
                say(line)
                await until_told(stack, ready=lambda: _introduce(stack, AFTERWARDS))
        if not keep:
            say(line)

    carry_out(perform())
    if not played.went_well:
        raise typer.Exit(1)


@app.command(rich_help_panel=RUN)
def dev(
    *,
    port: Annotated[int, typer.Option(help="Of the Temporal server.", min=1, max=65535)] = 7233,
    ui_port: Annotated[
        int | None, typer.Option(help="Of its UI; by default 1000 above.", min=1, max=65535)
    ] = None,
    gateway_port: Annotated[
        int, typer.Option(help="Of the gateway; it asks nobody for a token.", min=1, max=65535)
    ] = 8080,
    directory: Annotated[
        Path, typer.Option("--dir", help="Where databases and logs are kept.")
    ] = Path(".rampart"),
) -> None:
    """Run Temporal, its web UI, a database, a worker and a gateway here, until Ctrl-C."""
    from dev import Stack, until_told
    from settings import EMBEDDED_DATABASE, Settings

    given = Settings.from_env().database_url
    url = "" if given == EMBEDDED_DATABASE else given
    stack = Stack(
        directory,
        port=port,
        ui_port=ui_port,
        gateway_port=gateway_port,
        database_url=url,
        tell=say,
    )

    async def serve() -> None:
        say(STARTING)
        async with stack:
            await until_told(stack, ready=lambda: _introduce(stack, NEXT))
            say("stopping …")

    carry_out(serve())


@app.command(rich_help_panel=RUN)
def worker() -> None:
    """Run one worker; in production, as many as you like."""
    from settings import Settings
    from telemetry import logs
    from worker import run

    settings = Settings.from_env()
    logs.set_up(settings.log_format)
    carry_out(run(settings))


app.command(rich_help_panel=RUN)(gateway)
app.command(rich_help_panel=RUN)(doctor)
app.command(rich_help_panel=RUN)(completion)
app.add_typer(storage, name="db", rich_help_panel=RUN)
app.add_typer(stream, name="stream", rich_help_panel=RUN)
app.add_typer(tokens, name="token", rich_help_panel=RUN)
app.add_typer(rollouts)
app.add_typer(amendments)
app.add_typer(hindsight)
app.add_typer(rest)
app.add_typer(versions, name="version", rich_help_panel=OPERATE)
app.add_typer(plans, name="plan", rich_help_panel=OPERATE)
app.add_typer(segments, name="segment", rich_help_panel=OPERATE)
app.add_typer(rings, name="rings", rich_help_panel=OPERATE)
app.add_typer(experiments, name="experiment", rich_help_panel=OPERATE)
app.add_typer(monitors, name="monitor", rich_help_panel=OPERATE)
app.add_typer(notifying, name="notify", rich_help_panel=RUN)


def _play(seed: int) -> None:
    """Roll out versions for somebody to break, until Ctrl-C."""
    from dev import GATEWAY_PORT, Stack, until_told
    from embedded.child import first_of
    from embedded.demo import DIRECTORY
    from embedded.playground import Playground
    from embedded.switch import Switch

    switch = DIRECTORY / "switch.json"
    ground = Playground(out, Switch(switch), seed=seed, ready=lambda: say(_invitation(stack)))
    stack = Stack(
        DIRECTORY,
        gateway_port=GATEWAY_PORT,
        any_port=True,
        fresh=True,
        switch=switch,
        tell=ground.tell,
    )

    async def serve() -> None:
        say(PREPARING)
        async with stack:
            told = until_told(stack, ready=lambda: None)
            await first_of(told, ground.play(stack))
            say("stopping …")

    carry_out(serve())


def _invitation(stack: "Stack") -> str:
    from embedded.playground import FLAG

    return PLAYING.format(page=f"{stack.gateway}/ui/rollouts/{FLAG}", ui=stack.ui)


def _introduce(stack: "Stack", following: str) -> None:
    """Say where everything is, and what to type next."""
    say(f"Temporal   {stack.address}")
    say(f"UI         {stack.ui}")
    say(f"database   {stack.database_name}")
    say(f"worker     pid {stack.worker_pid}, started again when it dies")
    if stack.gateway_port is not None:
        say(f"gateway    {stack.gateway}, open to everybody on this machine")
        say(f"dashboard  {stack.gateway}/ui")
    say(f"logs       {stack.directory}/*.log")
    say("")
    head, *commands = following.splitlines()
    variables = {} if stack.is_default else stack.variables()
    if "***" in stack.database_name:  # a password, which is not for a screen
        variables.pop("RAMPART_DATABASE_URL", None)
    exports = [f"  export {name}={shlex.quote(value)}" for name, value in variables.items()]
    for line in (head, *exports, *commands, "", "Ctrl-C ends it."):
        say(line)


def main() -> int:
    """Run the command line; return its exit code. No error ends in a traceback."""
    try:
        return int(app(standalone_mode=False) or 0)
    except TyperException as error:
        warn(mistyped(error))
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:
        return 143
    except _told_in_a_line() as error:
        warn(str(error))
    return 2


def _told_in_a_line() -> tuple[type[Exception], ...]:
    """Return what is expected to go wrong; asked, and loaded, only when something has."""
    from domain.errors import RampartError

    return (RampartError, Usage, OSError)


if __name__ == "__main__":
    sys.exit(main())
