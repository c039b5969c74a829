"""`rampart monitor start`, `status`, `alerts`, `stop`: versions watched for a while."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terminal.catalog import AsJson, By, Key, Reason, operator
from terminal.console import Usage, carry_out, out, prompt_of, say, say_json

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from control.monitors import MonitorControl, MonitorDescription
    from domain.monitors.alerts import Alert, Reading
    from domain.monitors.plan import MonitorPlan
    from domain.prompts import Json
    from workflows.monitors.state import MonitorProgress

DEFAULT = "success_rate=0.5"  # the seed's threshold

monitors = typer.Typer(help="Watch versions for a while, and be told when something is wrong.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `start` said; the PROMPT, mostly.")]
Watched = Annotated[
    str | None, typer.Argument(metavar="[PROMPT]", help="Its versions in use are watched.")
]
Experiment = Annotated[str | None, typer.Option(help="Its id or name, for a PROMPT.")]
Versions = Annotated[
    list[str] | None, typer.Option(help="A number of the PROMPT's, else an id. May be repeated.")
]
Limits = Annotated[list[str] | None, typer.Option(metavar="METRIC=LIMIT", help="May be repeated.")]
Window = Annotated[str, typer.Option(help="What a look judges; `ever` is all.")]
Fewest = Annotated[int, typer.Option(help="Fewer in the window are undecided.")]


@monitors.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@monitors.command()
def start(  # noqa: PLR0913  # each is an option of the command
    prompt: Watched = None,
    *,
    experiment: Experiment = None,
    version: Versions = None,
    below: Limits = None,
    above: Limits = None,
    interval: Annotated[str, typer.Option(help="From one look to the next.")] = "30m",
    duration: Annotated[str, typer.Option(help="For how long.")] = "24h",
    window: Window = "1h",
    min_events: Fewest = 20,
    name: Annotated[str | None, typer.Option(help="By default what is watched.")] = None,
    reason: Reason = "",
    by: By = "",
    key: Key = "",
) -> None:
    """Watch the versions of PROMPT that are in use, an experiment's, or some by their ids.

    Metrics: success_rate, avg_response_time, p95_response_time, avg_tokens, avg_rating, idle, and
    number.NAME for a custom one. Without a limit: success_rate below 0.5.
    """
    if prompt and experiment:
        raise Usage(f"give either PROMPT or --experiment, got {prompt} and {experiment}")
    if not (prompt or experiment or version):
        raise Usage("say what to watch: PROMPT, such as greeting.system, --experiment or --version")
    asked: Json = {
        "experiment": experiment,
        "interval": interval,
        "duration": duration,
        "window": window,
        "conditions": _conditions(below or [], above or [], min_events=min_events),
        "by": operator(by),
        "reason": reason,
    }
    plan = _plan(asked, prompt, version or [])
    chosen = name or prompt or experiment or plan.versions[0]
    _say_started(carry_out(_start(chosen, plan, key=key)), plan)


@monitors.command()
def status(name: Name, *, as_json: AsJson = False) -> None:
    """Show where a monitor stands, and what is wrong now."""
    found = carry_out(_describe(name))
    if as_json:
        say_json(_as_json(found))
        return
    shown = found.progress
    if shown is None or shown.plan is None:
        say(f"{name} is {found.status}" + (f": {found.failure}" if found.failure else ""))
        for key, value in found.memo.items():
            say(f"  {key:<8} {value}")
    else:
        say(f"{name} is {shown.phase}, look {shown.looks}, until {shown.until:%Y-%m-%d %H:%M} UTC")
        for reading in shown.readings:
            say(f"  {_standing(reading.breached):<9} {_label(shown, reading)}")
        _say_alerts(shown.open)
    if found.outcome:
        _say_alerts(found.outcome.alerts)
    for why in found.stuck:
        say(f"  stuck    {why}")


@monitors.command()
def alerts(name: Name, *, as_json: AsJson = False) -> None:
    """Show the alerts of a monitor, oldest first, also after it has ended."""
    found = carry_out(_alerts(name))
    if as_json:
        say_json([alert.model_dump(mode="json") for alert in found])
    elif found:
        _say_alerts(found)
    else:
        say(f"{name} has raised no alerts")


@monitors.command()
def stop(name: Name, *, reason: Reason = "", by: By = "") -> None:
    """End a monitor now; its alerts stay readable."""
    say(f"{name}: {carry_out(_stop(name, reason=reason, by=operator(by)))}")


def _conditions(below: list[str], above: list[str], *, min_events: int) -> "list[Json]":
    given = [*(("below", one) for one in below), *(("above", one) for one in above)]
    found: list[Json] = []
    for side, one in given or [("below", DEFAULT)]:
        metric, equals, limit = one.partition("=")
        if not (metric and equals and limit):
            raise Usage(f"--{side} must be METRIC=LIMIT, such as success_rate=0.5, got {one!r}")
        found.append({"metric": metric, side: limit, "min_events": min_events})
    return found


def _plan(asked: "Json", prompt: str | None, versions: list[str]) -> "MonitorPlan":
    """Return the plan; what can be refused without a database is."""
    from domain.monitors.plan import MonitorPlan

    if not prompt:
        return MonitorPlan.parse(asked | {"versions": versions})
    MonitorPlan.parse(asked | {"versions": versions or [prompt]})
    return MonitorPlan.parse(asked | {"versions": carry_out(_versions_of(prompt, versions))})


async def _start(name: str, plan: "MonitorPlan", *, key: str) -> "MonitorDescription":
    return await (await _control()).start(name, plan, key=key)


async def _versions_of(prompt: str, numbers: list[str]) -> list[str]:
    """Return the ids of a prompt's versions: those of the numbers, else those in use."""
    from domain.errors import NotFound
    from domain.prompts import VersionStatus
    from domain.versions import VersionManager
    from terminal.desk import storage

    async with storage() as database:
        known = await VersionManager(database).list_versions(*prompt_of(prompt))
    in_use = (VersionStatus.ACTIVE, VersionStatus.PRODUCTION)
    ids = {version.version: version.version_id for version in known}
    found = numbers or [version.version for version in known if version.status in in_use]
    if missing := [number for number in found if number not in ids]:
        listed = ", ".join(ids) or "none"
        raise NotFound(f"version {missing[0]!r} of {prompt} does not exist: known are {listed}")
    if not found:
        raise NotFound(f"{prompt} has no version in use: nothing to watch")
    return [ids[number] for number in found]


async def _control() -> "MonitorControl":
    from control.connection import connect
    from control.monitors import MonitorControl
    from settings import Settings

    return MonitorControl(await connect(), task_queue=Settings.from_env().task_queue)


async def _describe(name: str) -> "MonitorDescription":
    return await (await _control()).describe(name)


async def _alerts(name: str) -> "tuple[Alert, ...]":
    return await (await _control()).alerts(name)


async def _stop(name: str, *, reason: str, by: str) -> str:
    return await (await _control()).stop(name, reason=reason, by=by)


def _say_started(found: "MonitorDescription", plan: "MonitorPlan") -> None:
    from domain.duration import spell

    say(f"started {found.name}: every {spell(plan.interval)} for {spell(plan.duration)}")
    for subject in found.progress.subjects if found.progress else ():
        say(f"  watches {subject.label}")
    for condition in plan.judged:
        say(f"  alerts  {condition}")
    if found.progress is None:
        say("  but     no worker answers: it begins as soon as there is one (`rampart worker`)")
    say(f"  look    rampart monitor status {found.name}")


def _say_alerts(found: "tuple[Alert, ...]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("raised (UTC)", "cleared (UTC)", "alert"):
        table.add_column(heading, no_wrap=heading != "alert")
    for alert in found:
        cleared = f"{alert.cleared_at:%Y-%m-%d %H:%M:%S}" if alert.cleared_at else "open"
        table.add_row(f"{alert.at:%Y-%m-%d %H:%M:%S}", cleared, alert.message)
    if found:
        out.print(table)


def _standing(breached: bool | None) -> str:
    return {True: "alert", False: "kept", None: "undecided"}[breached]


def _label(shown: "MonitorProgress", reading: "Reading") -> str:
    labels = {subject.version_id: subject.label for subject in shown.subjects}
    return f"{labels[reading.version_id]}: {reading.said}"


def _as_json(found: "MonitorDescription") -> "Json":
    plain = {item.name: getattr(found, item.name) for item in dataclasses.fields(found)}
    return {key: _plain(value) for key, value in plain.items()}


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return value.isoformat() if hasattr(value, "isoformat") else value
