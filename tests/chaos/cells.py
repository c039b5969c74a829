"""The cells: a row is what goes wrong, a column is when.

An activity of a rollout that no cell kills makes `tests/unit/test_matrix.py` fail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from signal import SIGKILL

from domain.record import Kind, RolloutStatus
from tests.chaos import upgrades
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.place import Need
from tests.chaos.scene import AT_ONCE, ENDLESS, PROMOTED, QUICK, ROLLED_BACK, SLOW, Scene

Play = Callable[[Scene], Awaitable[None]]
COLUMNS = ("before commit", "after commit", "mid-bake", "mid-rollback")
STORIES = {  # of what is not simply promoted
    "note": (Kind.OPENED, Kind.RAMPED, Kind.PAUSED, Kind.RESUMED, *PROMOTED[2:]),
    "amend": (Kind.OPENED, Kind.RAMPED, Kind.AMENDED, *PROMOTED[2:]),
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One thing that goes wrong at one time.

    Attributes:
        activity: Whose commit a worker is killed at, if it is that.
        ending: Of the rollout, in spite of all.
        story: Its journal, but for the checks.
    """

    row: str
    column: str
    play: Play
    ending: RolloutStatus
    story: Sequence[Kind]
    activity: str = ""
    needs: frozenset[Need] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.row}, {self.column}"


async def let_be(scene: Scene) -> None:
    """Nobody does anything: it is promoted."""
    await scene.start(QUICK)


async def with_a_note(scene: Scene) -> None:
    """Somebody pauses and resumes it."""
    await scene.start(SLOW)
    await scene.until_checked()
    await scene.handle.signal("pause")
    await scene.handle.signal("resume")


async def with_an_amendment(scene: Scene) -> None:
    """Somebody has the promoted version watched for longer."""
    await scene.start(SLOW)
    await scene.until_checked()
    await scene.handle.signal("amend", {"set": {"final_bake": "1500ms"}})


async def by_appointment(scene: Scene) -> None:
    """It is to be opened in a moment."""
    at = datetime.now(UTC) + timedelta(seconds=2)
    await scene.start(QUICK, start_at=at.isoformat())


async def by_guardrail(scene: Scene) -> None:
    """The candidate fails its users."""
    scene.people.bad = True
    await scene.start(ENDLESS)


async def by_signal(scene: Scene) -> None:
    """Somebody rolls it back."""
    await scene.start(ENDLESS)
    await scene.until_checked()
    await scene.handle.signal("rollback", "complaints")


async def by_cancel(scene: Scene) -> None:
    """Somebody cancels the workflow."""
    await scene.start(ENDLESS)
    await scene.until_checked()
    await scene.handle.cancel()


def killed(activity: str, moment: str, *, way: Play) -> Play:
    """Kill the worker at the first commit of the activity; another one takes over."""

    async def play(scene: Scene) -> None:
        strike = scene.strike(activity, moment, deed="die")
        victim = scene.work(strike)
        await scene.come_alive()
        await way(scene)
        await strike.done()
        await victim.died()
        assert victim.code == -SIGKILL, f"the worker ended with {victim.code}"
        scene.work(strike)

    return play


def mid_bake(fault: Fault) -> Play:
    """Break it while the first stage bakes."""

    async def play(scene: Scene) -> None:
        scene.work()
        await scene.come_alive()
        await scene.start(SLOW)
        await scene.until_checked()
        async with fault.broken(scene):
            await asyncio.sleep(fault.away_s)

    return play


def mid_rollback(fault: Fault) -> Play:
    """Break it while the rollback is at its first commit."""

    async def play(scene: Scene) -> None:
        strike = scene.strike("return_traffic", fault.moment, deed="halt")
        scene.work(strike)
        await scene.come_alive()
        await by_signal(scene)
        await strike.done()
        async with fault.broken(scene):
            strike.release()
            await asyncio.sleep(fault.away_s)

    return play


def before_rollback(fault: Fault) -> Play:
    """Break it, and then have somebody roll back."""

    async def play(scene: Scene) -> None:
        scene.work()
        await scene.come_alive()
        await scene.start(ENDLESS)
        await scene.until_checked()
        async with fault.broken(scene):
            await asyncio.sleep(fault.away_s)
            await scene.handle.signal("rollback", "complaints")

    return play


FORWARD = {
    "appoint": by_appointment,
    "open_rollout": let_be,
    "ramp": let_be,
    "check": let_be,
    "note": with_a_note,
    "amend": with_an_amendment,
    "promote": let_be,
    "complete": let_be,
}
BACK = ("return_traffic", "restore", "prove")
OLD_BACK = {  # what is in the journal depends on who wrote it
    ("roll_back", "before"): ROLLED_BACK,
    ("roll_back", "after"): AT_ONCE,
    ("read_back", "before"): AT_ONCE,
    ("read_back", "after"): AT_ONCE,
}
WAYS = {"guardrail": by_guardrail, "signal": by_signal, "cancel": by_cancel}
MOMENTS = {"before": "before commit", "after": "after commit"}


def _kills() -> list[Cell]:
    forward = [
        Cell(
            row=f"worker killed at {activity}",
            column=column,
            play=killed(activity, moment, way=way),
            ending=RolloutStatus.PROMOTED,
            story=STORIES.get(activity, PROMOTED),
            activity=activity,
        )
        for activity, way in FORWARD.items()
        for moment, column in MOMENTS.items()
    ]
    back = [
        Cell(
            row=f"worker killed at {activity}, by {by}",
            column=column,
            play=killed(activity, moment, way=way),
            ending=RolloutStatus.ROLLED_BACK,
            story=ROLLED_BACK,
            activity=activity,
        )
        for activity in BACK
        for by, way in WAYS.items()
        for moment, column in MOMENTS.items()
    ]
    old = [
        Cell(
            row=f"worker of 0.3 killed at {activity}",
            column=MOMENTS[moment],
            play=upgrades.killed_in_the_old(activity, moment),
            ending=RolloutStatus.ROLLED_BACK,
            story=story,
            activity=activity,
            needs=frozenset({Need.EMPTY_DATABASE}),
        )
        for (activity, moment), story in OLD_BACK.items()
    ]
    return forward + back + old


def _twice(
    row: str, mid_bake: Play, *, mid_rollback: Play, needs: frozenset[Need] = frozenset()
) -> list[Cell]:
    columns = (
        ("mid-bake", mid_bake, RolloutStatus.PROMOTED, PROMOTED),
        ("mid-rollback", mid_rollback, RolloutStatus.ROLLED_BACK, ROLLED_BACK),
    )
    return [
        Cell(row=row, column=column, play=play, ending=ending, story=story, needs=needs)
        for column, play, ending, story in columns
    ]


def _faults() -> list[Cell]:
    return [
        cell
        for fault in FAULTS
        for cell in _twice(
            fault.name,
            mid_bake(fault),
            mid_rollback=before_rollback(fault) if fault.lasts else mid_rollback(fault),
            needs=fault.needs,
        )
    ]


CELLS = (
    *_kills(),
    *_faults(),
    *_twice(
        "workers of 0.3 and of this release",
        upgrades.both_at_once,
        mid_rollback=upgrades.both_roll_back,
        needs=frozenset({Need.EMPTY_DATABASE}),
    ),
)
KILLED = {cell.activity for cell in CELLS if cell.activity}
