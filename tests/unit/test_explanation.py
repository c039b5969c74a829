"""A check explained: what was seen, how sure that is, and what an answer would take."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from domain.evidence.looks import METHOD, Arm, Counts, Evidence, Judged, Look, Sample
from domain.evidence.weighing import weigh
from domain.guardrail import Guardrail, GuardrailKind
from domain.hindsight.counterfactual import what_if
from domain.hindsight.explanation import Grounds, explain
from domain.hindsight.outlook import Sureness
from domain.judge import Action, Standing
from domain.plan import RolloutPlan
from domain.policy import PromoteWhen
from domain.record import Rollout
from terminal import explained
from tests.finished import DEMO, Archive

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


async def grounds_of(archive: Archive, name: str, *, check: int = 0) -> tuple[Rollout, Grounds]:
    """Return a finished rollout and the grounds of a check of it, by default of the last."""
    house, rollout = await archive.find(name)
    checks = await house.rollouts.checks(rollout.id)
    return rollout, explain(rollout.plan, checks[check - 1])


def shown(what: RenderableType, *, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width, markup=False, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


async def test_harm_is_explained_by_what_was_seen_and_how_sure_it_is(archive: Archive) -> None:
    _, grounds = await grounds_of(archive, "harmed at 10 %")

    (success,) = grounds.guardrails
    assert grounds.action is Action.ROLL_BACK
    assert grounds.guilty == ("success",)
    assert (success.treatment.mean, success.control.mean) == (0.85, 0.95)
    assert success.standing is Standing.HARMED
    assert success.sure
    assert success.sure.peak >= success.sure.enough == pytest.approx(math.log(20))
    assert success.sure.p_value == pytest.approx(math.exp(-success.sure.peak))
    assert success.interval
    assert success.interval.low < -0.1 < success.interval.high
    assert (success.to_roll_back, success.to_go_on) == (
        "nothing more: harm is shown",
        "nothing can: harm is shown",
    )


async def test_before_enough_came_it_says_how_many_are_missing(archive: Archive) -> None:
    _, grounds = await grounds_of(archive, "harmed at 10 %", check=1)

    (success,) = grounds.guardrails
    assert success.standing is Standing.UNDECIDED
    assert success.to_go_on == "60 more users of the candidate in this stage"
    assert success.to_roll_back.startswith("evidence of harm 20, has ")
    assert success.to_roll_back.endswith("more users at the present rates")


async def test_a_number_is_explained_threshold_by_threshold(archive: Archive) -> None:
    _, grounds = await grounds_of(archive, "response time")

    success, time = grounds.guardrails
    assert success.beyond == ()
    assert len(time.beyond) == 5
    assert [one.threshold for one in time.beyond] == sorted(one.threshold for one in time.beyond)
    assert all((one.treatment or 0) > (one.control or 0) for one in time.beyond)
    assert time.forgiven == 0.05
    assert time.treatment.p99
    assert time.interval is None
    assert success.alpha == time.alpha == 0.025


async def test_what_others_have_lost_has_to_be_made_up_for(archive: Archive) -> None:
    _, grounds = await grounds_of(archive, "response time", check=1)

    success, _ = grounds.guardrails
    assert success.sure
    assert success.sure.enough > math.log(20)  # half of the weight is on another guardrail


async def test_a_limit_is_explained_by_the_share_beyond_it(archive: Archive) -> None:
    _, grounds = await grounds_of(archive, "limit")

    (beyond,) = grounds.guardrails[1].beyond
    assert beyond.threshold == 3.0
    assert (beyond.treatment or 0) > 0.05 > (beyond.control or 0)
    assert beyond.log_e is None


async def test_a_threshold_has_no_evidence_to_be_sure_of(archive: Archive) -> None:
    _, grounds = await grounds_of(archive, "thresholds", check=2)

    (success,) = grounds.guardrails
    assert success.sure is None
    assert success.to_roll_back == "below 80.0% of more than 100 events, now 75.0%"
    assert success.to_go_on == "21 more events of the candidate in this stage"


async def test_what_does_not_act_says_so(archive: Archive) -> None:
    _, grounds = await grounds_of(archive, "dry run")

    success, time = grounds.guardrails
    assert (success.standing, success.alpha) == (Standing.HARMED, 0)
    assert success.to_roll_back == "never: it is a dry run"
    assert success.to_go_on == "nothing: it decides nothing"
    assert time.alpha == 0.05


async def test_what_is_blind_waits_to_be_measured(archive: Archive) -> None:
    _, grounds = await grounds_of(archive, "blind", check=3)

    (success,) = grounds.guardrails
    assert success.standing is Standing.ERROR
    assert success.to_go_on == "to be measured again: its counts went backwards"
    assert success.sure
    assert success.sure.more_to_harm is None


@pytest.mark.parametrize("name", ["harmed late", "response time", "limit", "thresholds", "blind"])
async def test_every_check_can_be_explained_and_kept_as_json(archive: Archive, name: str) -> None:
    house, rollout = await archive.find(name)

    for check in await house.rollouts.checks(rollout.id):
        grounds = explain(rollout.plan, check)

        assert Grounds.model_validate_json(grounds.model_dump_json()) == grounds
        assert shown(explained.grounds(rollout, grounds))


async def test_nothing_is_lost_in_a_narrow_terminal(archive: Archive) -> None:
    house, _ = await archive.find("response time")
    rollout, grounds = await grounds_of(archive, "response time")
    checks = await house.rollouts.checks(rollout.id)
    other = rollout.plan.model_copy(update={"guardrails": (Guardrail(min_events=0),)})
    found = what_if(rollout.plan, other, checks)

    for drawn in (explained.grounds(rollout, grounds), explained.what_if(rollout, other, found)):
        narrow, wide = shown(drawn), shown(drawn, width=400)

        assert max(len(line.rstrip()) for line in narrow.splitlines()) <= 80
        assert sorted("".join(narrow.split())) == sorted("".join(wide.split()))


def test_a_wrong_split_is_told_with_how_sure_that_is() -> None:
    *_, check = looks(rates=(0.95, 0.95), blocks=3, share=0.1, exposed=(300, 1700))

    split = explain(DEMO, check).split

    assert split.mismatched
    assert split.log_e >= split.enough > math.log(999)


def test_without_exposures_the_split_is_not_recorded() -> None:
    *_, check = looks(rates=(0.95, 0.95), blocks=1)

    split = explain(DEMO, check).split

    assert (split.recorded, split.mismatched) == (False, False)


@pytest.mark.parametrize("rates", [(0.90, 0.95), (0.85, 0.95), (0.40, 0.50), (0.93, 0.95)])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_estimate_of_what_harm_takes_is_right_within_a_factor_of_two(
    rates: tuple[float, float], share: float
) -> None:
    story = until(Action.ROLL_BACK, looks(rates=rates, blocks=200, share=share))
    end = len(story)

    estimated = sure_of(story[end // 2 - 1]).more_to_harm

    assert estimated
    assert 0.5 <= estimated / (200 * (end - end // 2)) <= 2


@pytest.mark.parametrize("rates", [(0.95, 0.95), (0.50, 0.50), (0.94, 0.95)])
def test_the_estimate_of_what_safety_takes_is_right_within_a_factor_of_two(
    rates: tuple[float, float],
) -> None:
    plan = DEMO.model_copy(update={"promote_when": PromoteWhen.SAFE})
    story = until(Action.ADVANCE, looks(rates=rates, blocks=100, share=0.5, plan=plan))
    end = len(story)

    estimated = sure_of(story[end // 2 - 1]).more_to_safe

    assert estimated
    assert 0.5 <= estimated / (200 * (end - end // 2)) <= 2


def test_what_is_no_worse_never_gets_there_at_the_present_rates() -> None:
    *_, check = looks(rates=(0.95, 0.95), blocks=5, share=0.5)

    (shown,) = explain(DEMO, check).guardrails

    assert sure_of(check).more_to_harm is None
    assert shown.to_roll_back.endswith("not at the present rates")


def test_evidence_of_safety_is_asked_for_where_the_plan_asks_for_it() -> None:
    plan = DEMO.model_copy(update={"promote_when": PromoteWhen.SAFE})
    *_, check = looks(rates=(0.95, 0.95), blocks=2, share=0.5, plan=plan)

    (shown,) = explain(plan, check).guardrails

    assert shown.to_go_on.startswith("evidence of safety 20, has ")
    assert shown.to_go_on.endswith("more users at the present rates")


def test_a_limit_of_a_rate_estimates_from_the_candidate_alone() -> None:
    guardrail = Guardrail(kind=GuardrailKind.LIMIT, limit=0.95)
    plan = DEMO.model_copy(update={"guardrails": (guardrail,)})
    story = until(Action.ROLL_BACK, looks(rates=(0.90, 0.95), blocks=60, share=0.5, plan=plan))
    end = len(story)

    estimated = sure_of(story[end // 2 - 1], plan).more_to_harm

    assert estimated
    assert 0.5 <= estimated / (100 * (end - end // 2)) <= 2


def until(action: Action, checks: Iterator[Judged]) -> list[Judged]:
    """Return the checks up to the first that comes to the action."""
    story = []
    for check in checks:
        story.append(check)
        if check.verdict.action is action:
            return story
    raise AssertionError(f"none of {len(story)} checks came to {action}")


def sure_of(check: Judged, plan: RolloutPlan = DEMO) -> Sureness:
    """Return how sure a check is of the plan's only guardrail."""
    (found,) = explain(plan, check).guardrails
    assert found.sure
    return found.sure


def looks(
    *,
    rates: tuple[float, float],
    blocks: int,
    share: float = 0.5,
    exposed: tuple[int, int] = (0, 0),
    plan: RolloutPlan = DEMO,
) -> Iterator[Judged]:
    """Yield a check after each 200 users, at exactly these rates."""
    evidence, policy = Evidence(), plan.policy_at(1)
    for number in range(1, blocks + 1):
        n_t, n_c = round(200 * share) * number, round(200 * (1 - share)) * number
        s_t, s_c = round(n_t * rates[0]), round(n_c * rates[1])
        sample = Sample(
            treatment=Arm(n=n_t, mean=s_t / n_t),
            control=Arm(n=n_c, mean=s_c / n_c),
            counts=(Counts(n_t=n_t, s_t=s_t, n_c=n_c, s_c=s_c),),
        )
        at = NOW + timedelta(seconds=number)
        look = Look(at=at, stage=1, share=share, samples=(sample,), exposures=exposed)
        verdict, evidence = weigh(policy, evidence, look)
        yield Judged(
            number=number,
            stage=1,
            percent=10,
            method=METHOD,
            policy=policy.fingerprint,
            look=look,
            evidence=evidence,
            verdict=verdict,
        )
