"""What a look sees, and what follows from it: stories without a database."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from domain.evidence.looks import METHODS, Arm, Counts, Evidence, Look, Sample
from domain.evidence.weighing import weigh
from domain.guardrail import Guardrail, GuardrailKind, Role
from domain.judge import Action, Standing, Verdict
from domain.policy import Policy, PromoteWhen

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Watch:
    """One rollout that is looked at every minute; users come in between."""

    def __init__(self, policy: Policy, *, seed: int = 1) -> None:
        self.policy = policy
        self.evidence = Evidence()
        self.counts = [Counts() for _ in policy.guardrails]
        self.random = np.random.default_rng(seed)
        self.minutes = 0
        self.epoch = self.stage = 1
        self.share = 0.5
        self.exposures = (0, 0)

    def ramp(self, share: float) -> None:
        """Begin an epoch."""
        self.epoch, self.stage, self.share = self.epoch + 1, self.stage + 1, share
        self.counts = [Counts() for _ in self.policy.guardrails]
        self.exposures = (0, 0)

    def come(self, users: int, treatment: float, control: float) -> None:
        """Let users come and be observed, by the same rates for every guardrail."""
        n_t = int(self.random.binomial(users, self.share))
        for number, counts in enumerate(self.counts):
            s_t, s_c = self.random.binomial([n_t, users - n_t], [treatment, control])
            more = Counts(n_t=n_t, s_t=int(s_t), n_c=users - n_t, s_c=int(s_c))
            self.counts[number] = counts.plus(more)

    def look(self, *, baked: timedelta = timedelta(0), error: str = "") -> Verdict:
        self.minutes += 1
        samples = tuple(_sample(counts, error) for counts in self.counts)
        look = Look(
            at=NOON + self.minutes * MINUTE,
            stage=self.stage,
            epoch=self.epoch,
            baked=baked,
            share=self.share,
            samples=samples,
            exposures=self.exposures,
            control="1.0.0",
        )
        verdict, self.evidence = weigh(self.policy, self.evidence, look)
        return verdict

    def watch(self, looks: int, users: int, treatment: float, control: float) -> Iterator[Verdict]:
        for _ in range(looks):
            self.come(users, treatment, control)
            yield self.look()


def _sample(counts: Counts, error: str) -> Sample:
    return Sample(
        treatment=Arm(n=counts.n_t, mean=counts.s_t / max(1, counts.n_t)),
        control=Arm(n=counts.n_c, mean=counts.s_c / max(1, counts.n_c)),
        counts=() if error else (counts,),
        error=error,
    )


def policy(*guardrails: dict[str, Any], **more: Any) -> Policy:
    return Policy(guardrails=tuple(Guardrail(**given) for given in guardrails or ({},)), **more)


def test_a_harmful_version_is_rolled_back_before_the_stage_has_seen_enough_to_go_on() -> None:
    watch = Watch(policy())

    verdicts = list(watch.watch(10, 20, 0.6, 0.97))

    harmed = next(v for v in verdicts if v.action is Action.ROLL_BACK)
    assert harmed.readings[0].standing is Standing.HARMED
    assert "evidence of harm" in harmed.reason
    assert verdicts[-1].action is Action.ROLL_BACK  # for good


def test_harm_is_for_good_though_the_rates_recover() -> None:
    watch = Watch(policy())
    list(watch.watch(10, 20, 0.6, 0.97))

    recovered = list(watch.watch(50, 200, 0.99, 0.9))

    assert {verdict.action for verdict in recovered} == {Action.ROLL_BACK}


def test_an_equal_version_goes_on_once_the_stage_has_seen_enough() -> None:
    watch = Watch(policy())

    verdicts = list(watch.watch(30, 20, 0.95, 0.95))

    assert [v.action for v in verdicts[:5]] == [Action.HOLD] * 5
    assert "needs 100 users in this stage to judge" in verdicts[0].reason
    assert verdicts[-1].action is Action.ADVANCE
    assert verdicts[-1].readings[0].standing in {Standing.NOT_HARMED, Standing.SAFE}


def test_safe_asks_for_more_than_not_harmed() -> None:
    lenient, strict = Watch(policy()), Watch(policy(promote_when=PromoteWhen.SAFE))

    first = [
        next(n for n, v in enumerate(watch.watch(500, 20, 0.95, 0.95)) if v.action == "advance")
        for watch in (lenient, strict)
    ]

    assert first[0] < first[1]
    assert strict.evidence.trails[0].log_safe >= np.log(20)


@pytest.mark.guarantee(6)
def test_the_base_rate_may_fall_for_everybody_while_the_split_grows() -> None:
    watch = Watch(policy())
    watch.share = 0.1
    before = list(watch.watch(100, 200, 0.95, 0.95))
    watch.ramp(0.5)

    after = list(watch.watch(100, 200, 0.90, 0.90))

    assert Action.ROLL_BACK not in {verdict.action for verdict in before + after}


def test_a_look_without_news_changes_nothing() -> None:
    watch = Watch(policy({}, {"metric": "success", "kind": "limit", "limit": 0.5}))
    list(watch.watch(10, 20, 0.9, 0.95))
    verdict, evidence = watch.look(), watch.evidence

    again = watch.look()

    assert again == verdict
    kept = {"silent_since"}
    assert watch.evidence.model_dump(exclude=kept) == evidence.model_dump(exclude=kept)


def test_an_open_block_is_dropped_when_its_epoch_ends() -> None:
    watch = Watch(policy())
    watch.come(8, 0.0, 1.0)  # fewer than a block needs
    watch.look()
    watch.ramp(0.5)
    watch.come(8, 0.0, 1.0)
    watch.look()

    assert watch.evidence.trails[0].total == 0
    assert watch.evidence.trails[0].log_e == 0.0


def test_counts_that_go_backwards_are_an_error_not_evidence() -> None:
    watch = Watch(policy())
    list(watch.watch(10, 40, 0.95, 0.95))
    watch.counts = [Counts(n_t=3, s_t=3, n_c=3, s_c=3)]

    verdict = watch.look()

    assert (verdict.action, verdict.readings[0].standing) == (Action.HOLD, Standing.ERROR)
    assert "its counts went backwards" in verdict.reason


def test_everybody_on_the_candidate_is_held_against_what_control_did_before() -> None:
    watch = Watch(policy())
    list(watch.watch(50, 40, 0.95, 0.95))
    watch.ramp(1.0)

    assert Action.ROLL_BACK not in {v.action for v in watch.watch(50, 100, 0.95, 0.0)}
    assert Action.ROLL_BACK in {v.action for v in watch.watch(50, 100, 0.7, 0.0)}


def test_a_limit_needs_nobody_to_compare_with() -> None:
    limited = policy({"kind": GuardrailKind.LIMIT, "limit": 0.9})
    good, bad = Watch(limited), Watch(limited)
    good.share = bad.share = 1.0

    assert Action.ROLL_BACK not in {v.action for v in good.watch(100, 50, 0.92, 0.0)}
    assert Action.ROLL_BACK in {v.action for v in bad.watch(30, 50, 0.8, 0.0)}


def test_the_guilty_one_is_named() -> None:
    watch = Watch(policy({"metric": "success"}, {"metric": "user_rating"}, {"metric": "tokens"}))
    for _ in range(20):
        watch.come(100, 0.95, 0.95)
        counts = watch.counts[1]
        worse = counts.model_copy(update={"s_t": int(counts.n_t * 0.6)})
        watch.counts[1] = worse
        verdict = watch.look()

    assert verdict.action is Action.ROLL_BACK
    assert watch.evidence.guilty == ("user_rating",)
    assert verdict.reason.startswith("user_rating: ")


def test_of_several_guardrails_the_first_has_half_of_the_weight() -> None:
    named = policy({}, {"metric": "tokens"}, {"metric": "user_rating", "alpha": 0.01})

    assert named.weights == pytest.approx((0.4, 0.4, 0.2))
    assert policy().weights == (1.0,)
    assert policy({}, {"metric": "tokens"}, {"metric": "user_rating"}).weights == (0.5, 0.25, 0.25)
    dry = policy(
        {}, {"metric": "tokens", "dry_run": True}, {"metric": "user_rating", "role": "goal"}
    )
    assert dry.weights == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({"dry_run": True}, Action.ADVANCE),
        ({"role": Role.INFO}, Action.ADVANCE),
        ({"role": Role.GOAL}, Action.HOLD),
        ({}, Action.ROLL_BACK),
    ],
)
def test_what_does_not_act_is_judged_all_the_same(given: dict[str, Any], action: Action) -> None:
    watch = Watch(policy({"kind": "limit", "limit": 0.01}, {"metric": "success"} | given))

    verdict = list(watch.watch(30, 50, 0.6, 0.95))[-1]

    assert verdict.action is action
    assert verdict.readings[1].standing is Standing.HARMED


@pytest.mark.guarantee(3)
def test_who_is_blind_holds_then_does_what_the_policy_says() -> None:
    patient, afraid = Watch(policy()), Watch(policy({"when_blind": "roll_back"}))
    for watch in (patient, afraid):
        list(watch.watch(10, 40, 0.95, 0.95))

    verdicts = [[watch.look(error="no route") for _ in range(17)] for watch in (patient, afraid)]

    assert {verdict.action for verdict in verdicts[0]} == {Action.HOLD}
    assert [verdict.action for verdict in verdicts[1]].index(Action.ROLL_BACK) == 15
    assert "could not be measured for 15m" in verdicts[1][15].reason


def test_sight_comes_back_and_with_it_what_had_been_seen() -> None:
    watch = Watch(policy({"when_blind": "roll_back"}))
    list(watch.watch(10, 40, 0.95, 0.95))
    before = watch.evidence.trails[0].log_e
    watch.look(error="no route")

    assert watch.look().action is Action.ADVANCE
    assert watch.evidence.trails[0].log_e == before


def test_who_is_blind_when_an_epoch_begins_sees_that_epoch_afterwards() -> None:
    watch = Watch(policy())
    list(watch.watch(10, 400, 0.95, 0.95))
    watch.ramp(0.5)
    watch.look(error="no route")
    watch.come(300, 0.95, 0.95)

    verdict = watch.look()

    assert verdict.action is Action.ADVANCE
    assert watch.evidence.trails[0].total == 4300


def test_without_traffic_it_holds_then_does_what_the_policy_says() -> None:
    watch = Watch(policy({"when_no_traffic": "roll_back"}, no_traffic_after=timedelta(minutes=9)))

    verdicts = [watch.look() for _ in range(11)]

    assert [verdict.action for verdict in verdicts].index(Action.ROLL_BACK) == 9
    assert verdicts[9].reason == "nobody came for 9m"


@pytest.mark.guarantee(3)
def test_feature_3_when_everybody_goes_away_what_was_seen_before_is_no_leave_to_go_on() -> None:
    watch = Watch(policy(no_traffic_after=timedelta(minutes=9)))
    list(watch.watch(30, 20, 0.95, 0.95))

    verdicts = [watch.look() for _ in range(10)]
    watch.come(20, 0.95, 0.95)
    again = watch.look()

    assert [verdict.action for verdict in verdicts].index(Action.HOLD) == 8
    assert verdicts[8].reason.startswith("nobody came for 9m; before that success: ")
    assert again.action is Action.ADVANCE


def test_a_look_of_old_is_judged_as_it_was_then() -> None:
    watch = Watch(policy(no_traffic_after=timedelta(minutes=9)))
    list(watch.watch(30, 20, 0.95, 0.95))
    before = watch.evidence
    late = Look(
        at=NOON + timedelta(hours=9),
        share=watch.share,
        stage=watch.stage,
        epoch=watch.epoch,
        samples=tuple(_sample(counts, "") for counts in watch.counts),
    )

    actions = [weigh(watch.policy, before, late, method=one)[0].action for one in METHODS]

    assert actions == [Action.ADVANCE, Action.HOLD]


@pytest.mark.parametrize(
    ("wish", "action", "said"),
    [
        ("hold", Action.HOLD, "inconclusive after 1h: promote it or roll it back"),
        ("extend", Action.HOLD, "needs 100 users"),
        ("promote", Action.ADVANCE, "inconclusive after 1h, by policy promote"),
        ("roll_back", Action.ROLL_BACK, "inconclusive after 1h, by policy roll_back"),
    ],
)
def test_doubt_at_the_end_of_a_stage_does_what_the_policy_says(
    wish: str, action: Action, said: str
) -> None:
    watch = Watch(policy({"when_inconclusive": wish}, max_bake=timedelta(hours=1)))
    watch.come(40, 0.95, 0.95)
    assert watch.look(baked=timedelta(minutes=59)).action is Action.HOLD

    verdict = watch.look(baked=timedelta(hours=1))

    assert verdict.action is action
    assert said in verdict.reason


def test_who_was_asked_is_not_passed_over() -> None:
    watch = Watch(policy(max_bake=timedelta(hours=1)))
    watch.come(40, 0.95, 0.95)
    watch.look(baked=timedelta(hours=1))
    watch.come(4000, 0.95, 0.95)

    later = watch.look(baked=timedelta(hours=2))
    watch.ramp(0.6)
    watch.come(4000, 0.95, 0.95)

    assert (later.action, "promote it or roll it back" in later.reason) == (Action.HOLD, True)
    assert watch.look().action is Action.ADVANCE


@pytest.mark.parametrize(
    ("wish", "action"),
    [("hold", Action.HOLD), ("roll_back", Action.ROLL_BACK), ("warn", Action.ADVANCE)],
)
def test_users_that_are_not_split_as_they_should_be(wish: str, action: Action) -> None:
    watch = Watch(policy(when_mismatch=wish))
    list(watch.watch(10, 100, 0.95, 0.95))
    watch.exposures = (900, 1100)

    verdict = watch.look()

    assert verdict.action is action
    assert "45.0% of 2000 got the candidate, 50.0% should" in verdict.reason


def test_a_mismatch_does_not_mute_harm() -> None:
    watch = Watch(policy())
    watch.exposures = (900, 1100)

    assert list(watch.watch(20, 50, 0.6, 0.97))[-1].action is Action.ROLL_BACK


@pytest.mark.guarantee(6)
def test_a_right_split_is_not_a_mismatch_right_after_a_ramp() -> None:
    watch = Watch(policy())
    watch.share, watch.exposures = 0.1, (1_000, 9_000)
    watch.come(1_000, 0.95, 0.95)
    watch.look()
    watch.ramp(0.5)
    watch.exposures = (30, 34)
    watch.come(1_000, 0.95, 0.95)

    assert watch.look().action is Action.ADVANCE


@pytest.mark.parametrize("make", [Evidence.model_validate, Evidence.model_validate_json])
def test_evidence_survives_the_journal_to_the_last_digit(
    make: Callable[[Any], Evidence],
) -> None:
    watch = Watch(policy())
    list(watch.watch(20, 33, 0.9, 0.95))
    json = watch.evidence.model_dump_json()

    kept = make(json if make == Evidence.model_validate_json else watch.evidence.model_dump())

    assert kept == watch.evidence
    assert kept.model_dump_json() == json
