"""All that there is to see of one rollout, gathered: Temporal's half where it answers in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from control.connection import NoRollout, Unreachable
from control.picture import Archive, Picture, agreement
from control.possible import possible, skippable
from control.rollouts import Verb
from domain.database import Database
from domain.errors import NotFound
from domain.judge import Standing
from domain.record import Decision, Kind
from domain.roster import Entry, Roster
from gateway.dashboard.silence import Silence
from gateway.operators import Operators

EARLIER = 20  # rollouts of the prompt
GONE = "Temporal knows no workflow of it: it was deleted, or this is another Temporal"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """One rollout.

    Attributes:
        away: Why Temporal's half is missing; empty when it is not, or nobody misses it.
        journal: The latest lines, oldest first; of checks in a row that agree, the latest.
        fired: Guardrails that were ever read as harmed.
        earlier: Other rollouts of the prompt, the newest first.
    """

    picture: Picture
    away: str = ""
    journal: Sequence[Decision] = ()
    fired: frozenset[str] = frozenset()
    earlier: Sequence[Entry] = ()
    may: frozenset[Verb] = frozenset()
    to: tuple[int, ...] = ()

    @property
    def direct(self) -> bool:
        """Whether a rollback had better not wait for Temporal or a worker."""
        return bool(self.away) or not self.picture.answers or self.picture.phase in STUCK

    @property
    def lasted(self) -> timedelta:
        """How long it took, or has taken so far."""
        told = self.picture.description
        return (told.closed_at or self.picture.at) - told.started_at

    @property
    def missing(self) -> str:
        """What a rollback has not restored, in words; empty when nothing, or nothing is known."""
        if self.picture.phase != "rollback_incomplete":
            return ""
        found = [d.reason for d in self.picture.decisions if d.kind is Kind.ROLLBACK_INCOMPLETE]
        return found[-1] if found else "what was read back is not what was there before"


STUCK = ("rolling_back", "rollback_incomplete")


class Sheets:
    """Gathers."""

    def __init__(self, operators: Operators, database: Database, silence: Silence) -> None:
        self._operators = operators
        self._archive = Archive(database)
        self._roster = Roster(database)
        self._silence = silence

    async def take(self, name: str, prompt_type: str, *, rollout_id: str = "") -> Sheet:
        """Return a rollout of the prompt: the one of that id, else the live one, else the latest.

        Raises:
            NotFound: There is none.
            NoRollout: Nor does Temporal know of any.
            Unavailable: The database is silent.
        """
        picture, away = await self._look(name, prompt_type, rollout_id=rollout_id)
        shown = picture.rollout
        others = await self._roster.find(prompt=(name, prompt_type), limit=EARLIER + 1)
        return Sheet(
            picture=picture,
            away=away,
            journal=condensed(picture.decisions),
            fired=_fired(picture.decisions),
            earlier=[each for each in others if shown is None or each.id != shown.id][:EARLIER],
            may=_may(picture, away),
            to=skippable(picture),
        )

    async def _look(self, name: str, prompt_type: str, *, rollout_id: str) -> tuple[Picture, str]:
        if rollout_id:
            kept = await self._archive.look(name, prompt_type, rollout_id=rollout_id)
            if kept.ended:
                return kept, ""
        try:
            return await self._asked(name, prompt_type), ""
        except NoRollout:
            why = GONE
        except Unreachable as error:
            why = str(error)
        try:
            kept = await self._archive.look(name, prompt_type)
        except NotFound as error:
            raise (NoRollout(str(error)) if why is GONE else Unreachable(why)) from error
        return kept, "" if kept.ended else why

    async def _asked(self, name: str, prompt_type: str) -> Picture:
        async with self._silence.noted():
            return await (await self._operators.viewer()).look(name, prompt_type)


def condensed(decisions: Sequence[Decision]) -> Sequence[Decision]:
    """Return the lines; of checks in a row that agree, the latest."""
    following = [*decisions[1:], None]
    return [
        decision
        for decision, after in zip(decisions, following, strict=True)
        if after is None or agreement(decision) != agreement(after)
    ]


def _fired(decisions: Sequence[Decision]) -> frozenset[str]:
    return frozenset(
        reading.guardrail
        for decision in decisions
        for reading in decision.readings
        if reading.standing is Standing.HARMED
    )


def _may(picture: Picture, away: str) -> frozenset[Verb]:
    """Without Temporal nothing but a rollback can be had."""
    found = possible(picture)
    return found & {Verb.ROLLBACK} if away else found


def left(picture: Picture) -> tuple[timedelta, timedelta] | None:
    """Return how much of a bake is over, and how long it is; None while its clock stands."""
    shown, rollout = picture.progress, picture.rollout
    if rollout is None or shown.due_at is None or shown.stage < 1:
        return None
    final = shown.stage > len(rollout.plan.stages)
    bake = rollout.plan.final_bake if final else rollout.plan.stages[shown.stage - 1].bake
    return min(max(bake - (shown.due_at - picture.at), timedelta(0)), bake), bake
