"""What the list of rollouts shows: the database's lines, and what Temporal says of live ones."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from control.connection import ControlError
from control.rollouts import Description
from domain.record import RolloutStatus
from domain.roster import Entry, Roster
from gateway.dashboard.silence import Silence
from gateway.operators import Operators

MOST = 1000  # rollouts on one page
FIRST = 100  # of the ended ones, that are unfolded: a browser lays out no more
PATIENCE_S = 1.0  # with Temporal: the list does without
LIVE = "live"  # what is searched for by one word
STATES: dict[str, tuple[RolloutStatus, ...]] = {
    LIVE: (
        RolloutStatus.LIVE,
        RolloutStatus.ROLLING_BACK,
        RolloutStatus.ROLLBACK_INCOMPLETE,
    ),
    "promoted": (RolloutStatus.PROMOTED,),
    "rolled_back": (RolloutStatus.ROLLED_BACK,),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One rollout on the list.

    Attributes:
        state: What it does, as far as that is known, or how it ended.
    """

    prompt: str
    change: str
    state: str
    percent: float
    began: datetime
    live: bool
    id: str = ""
    waits: str = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was found.

    Attributes:
        away: Why Temporal said nothing; empty when it did, or was not needed.
        more: Whether there are more than are shown.
    """

    live: Sequence[Line] = ()
    ended: Sequence[Line] = ()
    away: str = ""
    more: bool = False


class Listing:
    """Looks for rollouts, in the database first: Temporal may add what only it knows."""

    def __init__(self, operators: Operators, roster: Roster, silence: Silence) -> None:
        self._operators = operators
        self._silence = silence
        self._roster = roster

    async def find(self, *, text: str, state: str) -> Found:
        """Return rollouts whose prompt, versions, reason or beginner hold the text.

        Raises:
            InvalidValue: The text is none that a database could hold.
            Unavailable: The database is silent.
        """
        statuses = STATES.get(state, ())
        (told, away), entries = await asyncio.gather(
            self._told(), self._roster.find(text=text, statuses=statuses, limit=MOST + 1)
        )
        known = {each.workflow_id: each for each in told}
        live = [_live(entry, known.get(entry.workflow_id)) for entry in entries if entry.live]
        if state in ("", LIVE):
            opened = {entry.workflow_id for entry in entries if entry.live}
            live += [_unopened(each) for each in told if _is_unopened(each, opened, text)]
        return Found(
            live=live[:MOST],
            ended=[_over(entry) for entry in entries[:MOST] if not entry.live],
            away=away if live or not entries else "",
            more=len(entries) > MOST,
        )

    async def _told(self) -> tuple[Sequence[Description], str]:
        try:
            async with self._silence.noted(PATIENCE_S):
                control = await self._operators.rollouts()
                return await control.list(live=True, limit=MOST), ""
        except ControlError as error:
            return (), str(error)


def _live(entry: Entry, told: Description | None) -> Line:
    memo = told.memo if told else {}
    rolling_back = entry.status is not RolloutStatus.LIVE
    return Line(
        id=entry.id,
        prompt=entry.prompt,
        change=f"{entry.baseline} → {entry.candidate}",
        state=entry.status.value if rolling_back else str(memo.get("phase", entry.status.value)),
        percent=entry.percent,
        began=entry.opened_at,
        waits=_first(memo),
        by=entry.by,
        live=True,
    )


def _first(memo: Mapping[str, object]) -> str:
    """Return what is waited for first; what comes after that is on the rollout's own page."""
    return str(memo.get("waiting_for", "")).partition(", then")[0]


def _is_unopened(told: Description, opened: set[str], text: str) -> bool:
    return told.workflow_id not in opened and "prompt" in told.memo and _holds(told, text)


def _holds(told: Description, text: str) -> bool:
    said = (str(told.memo.get(name, "")) for name in ("prompt", "change"))
    return any(text.lower() in each.lower() for each in said)


def _unopened(told: Description) -> Line:
    """Return the line of what Temporal alone knows: it is scheduled, or about to be opened."""
    return Line(
        prompt=str(told.memo.get("prompt")),
        change=str(told.memo.get("change", "")),
        state=str(told.memo.get("phase", told.status)),
        percent=0.0,
        began=told.started_at,
        waits=_first(told.memo),
        live=True,
    )


def _over(entry: Entry) -> Line:
    return Line(
        id=entry.id,
        prompt=entry.prompt,
        change=f"{entry.baseline} → {entry.candidate}",
        state=entry.status.value,
        percent=entry.percent,
        began=entry.opened_at,
        by=entry.by,
        live=False,
    )
