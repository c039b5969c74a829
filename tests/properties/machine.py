"""Any sequence of what people, the clock, users and crashes may do to a rollout.

The real managers decide and write; the workflow's own state and gates say what comes next. What
stands here instead of the workflow is its loop alone: the order in which it calls them.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from activities.rollouts import Opened
from domain import PromptVariant
from domain.amendment import Amended, Amendment
from domain.errors import Conflict, DomainError, Fenced
from domain.guardrail import Guardrail, GuardrailKind
from domain.plan import RolloutPlan, RolloutRequest, Stage
from domain.record import Rollout
from tests.properties.town import (
    HELD,
    LIVE,
    NUMBERS,
    PROMOTED,
    ROLLED_BACK,
    ROLLING_BACK,
    TYPE,
    Facts,
    Home,
    database,
    run,
)
from workflows import orders
from workflows.commands import Change, Command, Extension, Promotion, Skip, Verb
from workflows.gates import refusal
from workflows.hearing import CHANGES
from workflows.state import Phase, State
from workflows.steering import obey, wish
from workflows.wishes import Wish

Answer = TypeVar("Answer")
LEGAL: dict[str, set[str]] = {
    LIVE: {PROMOTED, ROLLING_BACK, ROLLED_BACK},
    PROMOTED: {ROLLING_BACK, ROLLED_BACK},
    ROLLING_BACK: {ROLLED_BACK},
    ROLLED_BACK: set(),
}
MINUTE = timedelta(minutes=1)
PLAN = RolloutPlan(
    stages=(
        Stage(percent=10, bake=MINUTE),
        Stage(percent=50, bake=MINUTE, approval=True),
        Stage(percent=100),
    ),
    guardrails=(Guardrail(kind=GuardrailKind.THRESHOLD, min_events=10),),
    check_min=MINUTE / 2,
    check_max=MINUTE,
    final_bake=MINUTE,
)
SHORT = PLAN.model_copy(update={"stages": PLAN.stages[1:], "holdback": 0.0})
AT_ONCE = PLAN.model_copy(update={"stages": PLAN.stages[2:]})
BY = {"by": "ana", "reason": "as it should be"}
COMMANDS: tuple[tuple[Verb, Command], ...] = (
    *((verb, Command(**BY)) for verb in (Verb.PAUSE, Verb.RESUME, Verb.APPROVE, Verb.ROLLBACK)),
    *((Verb.PROMOTE, Promotion(full=full, **BY)) for full in (False, True)),
    *((Verb.SKIP, Skip(to=to, **BY)) for to in (None, 3)),
    (Verb.EXTEND, Extension(longer=MINUTE, **BY)),
    *(
        (Verb.AMEND, Change(set={place: value}, **BY))
        for place, value in (
            ("final_bake", "2m"),
            ("stages.1.percent", 5),  # may be reached already
            ("stages.2.percent", 30),
            ("alpha", 0.5),  # is wider
            ("alpha", 0.01),
        )
    ),
)
CRASHES = st.sampled_from(["", "", "before its commit", "after its commit"])
HEALTH = st.sampled_from(["good", "good", "good", "bad", "nobody"])


class Crash(Exception):
    """The worker dies."""


class RolloutMachine(RuleBasedStateMachine):
    """One prompt, and whatever happens to it."""

    played = 0  # sequences, in this process
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.home = Home(database())
        self.now = datetime(2026, 11, 1, tzinfo=UTC)
        self.keys = 0
        self.state: State | None = None  # of the workflow, while there is one
        self.latest: Rollout | None = None
        self.before: Facts | None = None  # before the latest rollout
        self.untouched = False  # since it ended
        self.facts: Facts | None = None

    def teardown(self) -> None:
        type(self).played += 1

    @initialize(plan=st.sampled_from([PLAN, SHORT, AT_ONCE]), opens=st.booleans())
    def move_in(self, plan: RolloutPlan, opens: bool) -> None:
        run(self.home.settle())
        self.facts = run(self.home.look())
        if opens:
            self.open(candidate=NUMBERS[1], plan=plan, crash="")
            self.facts = run(self.home.look())

    @rule(
        candidate=st.sampled_from(NUMBERS),
        plan=st.sampled_from([PLAN, SHORT, AT_ONCE]),
        crash=CRASHES,
    )
    def open(self, candidate: str, plan: RolloutPlan, crash: str) -> None:
        before = self._facts
        self.keys += 1
        request = RolloutRequest(
            name=self.home.name, prompt_type=TYPE, candidate=candidate, plan=plan
        )
        try:
            opened = self._act(
                lambda: self.home.rollouts.open(request, key=f"{self.home.name}/{self.keys}"),
                crash=crash,
            )
        except Conflict:
            assert run(self.home.look()) == before, "a refused opening changed something"
            return
        assert not before.held, "a second rollout was opened"
        self.state, self.latest, self.before = State(), opened, before
        self.state.open(Opened(rollout=opened), now=self.now)
        self.untouched = False

    @precondition(lambda self: self.state is not None)
    @rule(health=HEALTH, crash=CRASHES, minutes=st.sampled_from([1, 2]))
    def go_on(self, health: str, crash: str, minutes: int) -> None:
        """What the workflow does after its wait: note, check, and perhaps the next stage."""
        state = self._state
        self.now += minutes * MINUTE
        try:
            if state.stage == 0:
                self._enter(1, crash=crash)
            else:
                self._bake(health, crash=crash)
        except DomainError as error:  # as the workflow: a refused step rolls back
            self._roll_back(Command(reason=str(error)), crash=crash)

    @precondition(lambda self: self.state is not None)
    @rule(steps=st.integers(2, 5), crash=CRASHES)
    def go_far(self, steps: int, crash: str) -> None:
        """All goes well for a while: chance alone would hardly ever come to a promotion."""
        for _ in range(steps):
            if self.state is not None:
                approval = Command(**BY)
                if not refusal(self.state, Verb.APPROVE, approval, now=self.now):
                    obey(self.state, Verb.APPROVE, approval, now=self.now)
                self.go_on(health="good", crash=crash, minutes=2)

    @precondition(lambda self: self.state is not None)
    @rule(said=st.sampled_from(COMMANDS), crash=CRASHES)
    def command(self, said: tuple[Verb, Command], crash: str) -> None:
        """What a person says, and the gate lets through."""
        state = self._state
        verb, command = said
        if refusal(state, verb, command, now=self.now):
            before = state.model_copy(deep=True)
            state.refuse(verb, "no", by="ana")
            kept = {"refused": before.refused, "notes": before.notes}
            assert state.model_copy(update=kept) == before, "a refused command changed something"
            return
        if verb in CHANGES:
            wish(state, verb, command, now=self.now)
            return
        obey(state, verb, command, now=self.now)
        if verb is Verb.ROLLBACK:
            self._roll_back(command, crash=crash)

    @precondition(lambda self: self.latest is not None)
    @rule(crash=CRASHES)
    def roll_back_directly(self, crash: str) -> None:
        """Behind the workflow's back, live or long ended."""
        before = self._facts
        try:
            self._restore(Command(by="ana", reason="at once"), crash=crash)
        except Conflict:
            assert not self.untouched, "the latest rollout could not be rolled back"
            assert before.rollouts[self._latest.id] == PROMOTED, "a live one could not be"
            assert run(self.home.look()) == before, "a refused rollback changed something"

    @precondition(lambda self: self.latest is not None)
    @rule(crash=CRASHES)
    def half_a_rollback(self, crash: str) -> None:
        """Users are returned, and whoever did it is gone before the rest."""
        before = self._facts
        try:
            self._act(
                lambda: self.home.rollouts.return_traffic(self._latest.id, reason="at once"),
                crash=crash,
            )
        except Conflict:
            assert not self.untouched, "the users of the latest rollout could not be returned"
            assert run(self.home.look()) == before, "a refused rollback changed something"

    @precondition(lambda self: self.state is not None)
    @rule(behind=st.integers(1, 3))
    def stale_writer(self, behind: int) -> None:
        """A worker that was away for some epochs comes back with its order."""
        before, state = self._facts, self._state
        if before.rollouts[state.id] != LIVE or state.stage >= len(state.plan.stages):
            return
        order = orders.ramp(state, state.stage + 1)
        try:
            run(
                self.home.rollouts.ramp(
                    order.rollout_id, stage=order.stage, epoch=before.epoch - behind
                )
            )
            raise AssertionError("a stale writer was let in")
        except Fenced:
            assert run(self.home.look()) == before, "a fenced writer changed something"

    @rule(number=st.sampled_from(NUMBERS))
    def take_over_by_hand(self, number: str) -> None:
        self._by_hand(lambda: self.home.take_over(number))

    @rule()
    def experiment(self) -> None:
        variants = [PromptVariant(number, 1) for number in NUMBERS[:2]]
        self._by_hand(
            lambda: self.home.experiments.create_experiment(self.home.name, TYPE, variants)
        )

    @rule()
    def stop_experiments(self) -> None:
        async def stop() -> None:
            for found in await self.home.experiments.list_experiments(self.home.name, TYPE):
                if found.status in ("running", "paused"):
                    await self.home.experiments.update_experiment_status(
                        found.experiment_id, "stopped"
                    )

        self._by_hand(stop)

    @invariant()
    def all_is_legal(self) -> None:
        """What must be true after every step."""
        if self.facts is None:
            return
        type(self).steps += 1
        past, now = self.facts, run(self.home.look())
        self.facts = now
        assert len(now.holders) == 1, f"{now.holders} are in production"
        in_production = [each for each, status in now.statuses.items() if status == "production"]
        assert in_production == [*now.holders], f"{in_production} say so, {now.holders} are"
        assert now.epoch >= past.epoch, "the epoch fell"
        served_as_before = (now.served, now.routed) == (past.served, past.routed)
        assert served_as_before or now.epoch > past.epoch, "serving changed within an epoch"
        assert sum(each in HELD for each in now.rollouts.values()) <= 1, "two rollouts are live"
        for key, status in past.rollouts.items():
            legal = {status} | LEGAL[status]
            assert now.rollouts[key] in legal, f"a rollout went {status} → {now.rollouts[key]}"
        self._treated_stay(past, now)

    def _treated_stay(self, past: Facts, now: Facts) -> None:
        if self.latest is None or self.before is None:
            return
        candidate, status = self.latest.candidate, now.rollouts[self.latest.id]
        if status == LIVE and past.rollouts.get(self.latest.id) == LIVE:
            assert past.treated(candidate) <= now.treated(candidate), "a treated user flipped"
        if status == ROLLING_BACK:
            assert not now.treated(candidate), "users are treated during the rollback"
        if status == ROLLED_BACK and self.untouched:
            assert now.restorable == self.before.restorable, "not as before the rollout"

    def _bake(self, health: str, *, crash: str) -> None:
        state = self._state
        while state.requests.wishes:
            self._grant(state.requests.wishes[0], crash=crash)
            del state.requests.wishes[0]
        self._write_notes(crash=crash)
        state.checks += 1
        if health != "nobody":
            failing = state.opened.candidate if health == "bad" else ""
            arms = (self._latest.baseline, self._latest.candidate)
            run(self.home.come(arms, failing=failing))
        baked = state.elapsed(self.now)
        verdict = self._act(
            lambda: self.home.rollouts.check(state.id, number=state.checks, baked=baked),
            crash=crash,
        )
        state.judged(verdict)
        if state.rollback is not None:
            self._roll_back(state.rollback, crash=crash)
        elif state.may_go_on(self.now):
            if state.final:
                self._act(lambda: self.home.rollouts.complete(state.id), crash=crash)
                self._over(Phase.PROMOTED)
            else:
                self._enter(state.next_stage(), crash=crash)

    def _grant(self, asked: Wish, *, crash: str) -> None:
        """Change the plan as was asked; a refused change leaves everything as it was."""
        before, order = run(self.home.look()), asked.order(self._state.id)

        async def amend() -> Amended:
            return await self.home.rollouts.amend(
                order.rollout_id, Amendment.parse(order.change), key=order.key, kind=order.kind
            )

        try:
            self._state.follow(self._act(amend, crash=crash).after)
        except DomainError:
            assert run(self.home.look()) == before, "a refused amendment changed something"

    def _enter(self, stage: int, *, crash: str) -> None:
        state, rollouts = self._state, self.home.rollouts
        if stage <= len(state.plan.stages):
            order = orders.ramp(state, stage)
            epoch = self._act(
                lambda: rollouts.ramp(order.rollout_id, stage=stage, epoch=order.epoch),
                crash=crash,
            )
        else:
            epoch = self._act(lambda: rollouts.promote(state.id, epoch=state.epoch), crash=crash)
        assert epoch > state.epoch, "a step did not raise the epoch"
        state.enter(stage, epoch=epoch, now=self.now)

    def _write_notes(self, *, crash: str) -> None:
        while self._state.notes.lines:
            self._act(self._write_note, crash=crash)
            self._state.notes.strike()

    async def _write_note(self) -> None:
        note = self._state.notes.first(self._state.id)
        await self.home.rollouts.note(
            note.rollout_id, key=note.key, kind=note.kind, by=note.by, reason=note.reason
        )

    def _roll_back(self, command: Command, *, crash: str) -> None:
        """As the workflow does: restore, read back, write the notes."""
        self._state.ending = Phase.ROLLING_BACK
        self._restore(command, crash=crash)
        missing = run(self.home.rollouts.differences(self._state.id))
        assert not missing, f"a rollback reads back incomplete: {missing}"
        self._write_notes(crash=crash)
        self._over(Phase.ROLLED_BACK)

    def _restore(self, command: Command, *, crash: str) -> None:
        rollout, was = self._latest, run(self.home.look()).rollouts[self._latest.id]
        self._act(
            lambda: self.home.rollouts.roll_back(rollout.id, reason=command.reason, by=command.by),
            crash=crash,
        )
        if was != ROLLED_BACK:
            self.untouched = True

    def _over(self, phase: Phase) -> None:
        self._state.ending = phase
        for verb in Verb:
            why = refusal(self._state, verb, Command(**BY), now=self.now)
            assert why, f"{verb} is let through after the end"
        if phase is Phase.PROMOTED:
            self.untouched = True
        self.state = None

    def _by_hand(self, change: Callable[[], Awaitable[object]]) -> None:
        """Refused while a rollout is live, which then finds all as it was."""
        before = self._facts
        live = before.held
        try:
            run(_awaited(change))
        except Conflict:
            assert run(self.home.look()) == before, "a refused change changed something"
            return
        if live:
            assert run(self.home.look()) == before, "somebody got between a rollout and its prompt"
        else:
            self.untouched = False

    def _act(self, act: Callable[[], Awaitable[Answer]], *, crash: str) -> Answer:
        """Do it as an activity is done: at least once, a crash in between or not."""
        if crash == "before its commit":
            run(self._die(act))
        answer = run(_awaited(act))
        if crash == "after its commit":
            before = run(self.home.look())
            assert run(_awaited(act)) == answer, "a repeated step answered otherwise"
            assert run(self.home.look()) == before, "a repeated step changed something"
        return answer

    async def _die(self, act: Callable[[], Awaitable[object]]) -> None:
        try:
            async with self.home.database.transaction():
                await act()
                raise Crash
        except Crash:
            pass

    @property
    def _facts(self) -> Facts:
        """What is true before the step, of which nothing is written yet."""
        assert self.facts is not None
        return self.facts

    @property
    def _state(self) -> State:
        assert self.state is not None
        return self.state

    @property
    def _latest(self) -> Rollout:
        assert self.latest is not None
        return self.latest


async def _awaited(act: Callable[[], Awaitable[Answer]]) -> Answer:
    return await act()
