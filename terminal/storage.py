"""`rampart db …`: the tables of this release, and how long what is in them is kept."""

from typing import TYPE_CHECKING, Annotated

import typer

from terminal.console import Usage, carry_out, say, say_json

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from datetime import datetime

    from control.retention import RetentionControl, RetentionDescription
    from domain.database import Database
    from domain.retention.plan import Retention

FOR_EVER = "forever"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Age = Annotated[str | None, typer.Option(help="Such as 90d, or forever.", show_default=False)]

storage = typer.Typer(help="Upgrade the database, and say how long things are kept.")


@storage.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@storage.command("upgrade")
def upgrade() -> None:
    """Bring the tables, with what is in them, to this release; all of it happens, or nothing."""
    from domain import schema
    from terminal.progress import progress

    database = _database()
    with progress("upgrading the tables") as told:
        before, after = carry_out(schema.upgrade(database, told=told))
    if before == after:
        say(f"database {database.name} is at revision {after} already")
    elif before is None:
        say(f"made the tables of revision {after} in {database.name}")
    else:
        say(f"upgraded {database.name} from {_called(before)} to revision {after}")


@storage.command("current")
def current(*, as_json: AsJson = False) -> None:
    """Show which revision the tables are at, and which is needed; exit 1 if those differ."""
    from domain import schema

    database = _database()
    found = carry_out(schema.current(database))
    if as_json:
        say_json({"database": database.name, "revision": found, "needed": schema.HEAD})
    else:
        there = "has no tables" if found is None else f"is at {_called(found)}"
        say(f"database {database.name} {there}, this release needs {schema.HEAD}")
    if found != schema.HEAD:
        raise typer.Exit(1)


@storage.command("retention")
def retention(
    *,
    events: Age = None,
    users: Age = None,
    evidence: Age = None,
    notifications: Age = None,
    now: Annotated[bool, typer.Option("--now", help="Sweep now, besides every day.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how long events, users of ended experiments, evidence … are kept; or change it."""
    given = {
        "events": events,
        "users": users,
        "evidence": evidence,
        "notifications": notifications,
    }
    wanted = {name: age for name, age in given.items() if age is not None}
    found = carry_out(_retention(wanted, now=now))
    if as_json:
        say_json(_as_json(found))
        return
    say(f"kept: {found.plan}; counts and journals for ever")
    say(f"next sweep: {_at(found.next_at) if found.next_at else 'none, the schedule is paused'}")
    if found.last_at is not None:
        say(f"latest sweep: {_at(found.last_at)}, {_told(found)}")


async def _retention(wanted: dict[str, str], *, now: bool) -> "RetentionDescription":
    from control.connection import connect
    from control.retention import RetentionControl
    from settings import Settings

    control = RetentionControl(await connect(), task_queue=Settings.from_env().task_queue)
    if wanted:
        await control.change(await _changed(control, wanted))
    if now:
        await control.sweep()
    return await control.describe()


async def _changed(control: "RetentionControl", wanted: dict[str, str]) -> "Retention":
    from control.schedules import NoSchedule
    from domain.errors import InvalidPlan
    from domain.retention.plan import Retention

    try:
        plan = (await control.describe()).plan
    except NoSchedule:
        plan = Retention()
    ages = {name: None if age == FOR_EVER else age for name, age in wanted.items()}
    try:
        return Retention.parse(plan.model_dump(mode="json") | ages)
    except InvalidPlan as error:
        raise Usage(f"{error}, or {FOR_EVER}") from error


def _database() -> "Database":
    from domain.database import Database
    from settings import Settings

    return Database(Settings.from_env().database_url)


def _called(revision: str) -> str:
    return f"revision {revision}" if revision else "the tables of a release before 0.3"


def _at(instant: "datetime") -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _told(found: "RetentionDescription") -> str:
    if found.failure:
        return f"which failed: {found.failure}"
    if found.last is None:
        return "which is going on"
    counts = found.last.model_dump()
    return "deleted " + ", ".join(f"{count} {name}" for name, count in counts.items())


def _as_json(found: "RetentionDescription") -> dict[str, object]:
    return {
        "plan": found.plan.model_dump(mode="json"),
        "paused": found.paused,
        "next_at": found.next_at.isoformat() if found.next_at else None,
        "last_at": found.last_at.isoformat() if found.last_at else None,
        "last": found.last.model_dump() if found.last else None,
        "failure": found.failure,
    }
