"""`rampart reconcile`: rollouts whose workflow is gone, found now and by the schedule."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.catalog import AsJson
from terminal.console import Usage, carry_out, say, say_json

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from control.reconciliation import ReconcileDescription
    from domain.prompts import Json
    from workflows.reconciliation import Reconciled

LEAST = timedelta(seconds=1)


def reconcile(
    *,
    every: Annotated[
        str | None, typer.Option(help="From now on, such as 30s.", show_default=False)
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="Only show the schedule, and its latest look.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find rollouts whose workflow is gone, and hold or roll them back as their plans say."""
    if every is None and not status:
        found = carry_out(_look())
        if as_json:
            say_json(found.model_dump(mode="json"))
        else:
            _show(found)
        return
    known = carry_out(_describe(_tick(every) if every else None))
    if as_json:
        say_json(_as_json(known))
        return
    from domain.duration import spell

    said = f"next {known.next_at:%H:%M:%S} UTC" if known.next_at else "the schedule is paused"
    say(f"looks every {spell(known.every)}; {said}")
    if known.failure:
        say(f"the latest look failed: {known.failure}")
    elif known.last is not None:
        _show(known.last)


async def _look() -> "Reconciled":
    from control.connection import connect
    from control.reconciliation import ReconcileControl
    from settings import Settings

    control = ReconcileControl(await connect(), task_queue=Settings.from_env().task_queue)
    return await control.look()


async def _describe(every: timedelta | None) -> "ReconcileDescription":
    from control.connection import connect
    from control.reconciliation import ReconcileControl
    from settings import Settings

    control = ReconcileControl(await connect(), task_queue=Settings.from_env().task_queue)
    if every is not None:
        await control.change(every)
    return await control.describe()


def _tick(text: str) -> timedelta:
    from pydantic import TypeAdapter, ValidationError

    from domain.duration import Duration, spell
    from domain.value import complaint

    try:
        given: timedelta = TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        raise Usage(f"--every: {complaint(error)}") from error
    if given < LEAST:
        raise Usage(f"--every: must be at least {spell(LEAST)}, got {text}")
    return given


def _show(found: "Reconciled") -> None:
    lines = [
        f"{name.replace('_', ' ')}  {line}"
        for name, said in found.model_dump().items()
        for line in said
    ]
    for line in lines or ["every live rollout is looked after"]:
        say(line)


def _as_json(known: "ReconcileDescription") -> "Json":
    return {
        "every": known.every.total_seconds(),
        "paused": known.paused,
        "next_at": known.next_at.isoformat() if known.next_at else None,
        "last_at": known.last_at.isoformat() if known.last_at else None,
        "last": known.last.model_dump(mode="json") if known.last else None,
        "failure": known.failure,
    }
