"""TrialManager on both databases: steps, retries, refusals, who moves and who does not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from sqlmodel import select

from domain import MetricEvent, PromptVariant, VersionStatus
from domain.assignment import Allocation
from domain.database import Database
from domain.errors import Conflict, DomainError, Fenced, InvalidValue, NotFound
from domain.judge import Action, Standing
from domain.tables.trials import TrialEvidenceRow, TrialRow
from domain.trials.findings import Conclusion, Step, Trial, TrialStatus
from domain.trials.manager import TrialManager
from domain.trials.plan import ExperimentRequest
from tests.house import USERS, House

ARMS: list[JsonValue] = ["1.0.0", "1.1.0", "1.2.0"]


class Laboratory(House):
    """A furnished house with a third version, and trials."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.trials = TrialManager(database)

    async def furnish(self) -> None:
        await super().furnish()
        await self.version("1.2.0")

    async def try_out(self, key: str = "run-1", /, **plan: JsonValue) -> Trial:
        whole: dict[str, JsonValue] = {"variants": ARMS}
        request = ExperimentRequest.parse(
            {"name": "greeting", "prompt_type": "system", "plan": whole | plan}
        )
        return await self.trials.open(request, key=key)

    async def come(self, good: dict[str, int], n: int = 1000) -> None:
        for number, successes in good.items():
            await self.events(number, good=successes, bad=n - successes)

    async def served(self) -> dict[str, str | None]:
        snapshot = await self.routing.snapshot("greeting", "system")
        assert snapshot
        return {user: snapshot.evaluate(user).version for user in USERS}

    async def say_who_was_served(self, trial: Trial, *, lost: str = "") -> None:
        """Record every user's exposure but those to the version that is lost."""
        served = (await self.served()).items()
        told = [(user, str(version), trial.epoch) for user, version in served if version != lost]
        await self.experiments.record_exposures(trial.id, told)

    async def story(self, trial: Trial) -> list[Step]:
        return [line.step for line in await self.trials.lines(trial.id)]


@pytest.fixture
async def house(database: Database) -> Laboratory:
    house = Laboratory(database)
    await house.furnish()
    return house


async def test_a_trial_splits_users_finds_the_best_arm_and_deploys_it(house: Laboratory) -> None:
    trial = await house.try_out()
    shares = [await house.share(arm) for arm in ("1.0.0", "1.1.0", "1.2.0")]
    await house.come({"1.0.0": 900, "1.1.0": 960, "1.2.0": 890})

    report = await house.trials.look(trial.id, number=1)
    found = await house.trials.conclude(trial.id)
    ended = await house.trials.deploy(trial.id, "1.1.0", epoch=trial.epoch, by="plan")

    assert shares == pytest.approx([1 / 3] * 3, abs=0.04)
    assert [(a.version, a.n, a.rate) for a in report.arms] == [
        ("1.0.0", 1000, 0.9),
        ("1.1.0", 1000, 0.96),
        ("1.2.0", 1000, 0.89),
    ]
    assert (report.enough, report.harmed) == (True, ())
    assert (found.winner, found.ending) == ("1.1.0", TrialStatus.LIVE)
    assert (ended.winner, ended.deployed) == ("1.1.0", "1.1.0")
    assert ended.why == "1.1.0 is in production, 1.0.0 is deprecated"
    facts = await house.facts()
    assert facts["versions"] == {
        "1.0.0": (VersionStatus.DEPRECATED, []),
        "1.1.0": (VersionStatus.PRODUCTION, ["production"]),
        "1.2.0": (VersionStatus.ACTIVE, []),
    }
    assert await house.share("1.1.0") == 1.0
    steps = [Step.OPENED, Step.CHECKED, Step.CONCLUDED, Step.DEPLOYED]
    assert await house.story(trial) == steps


async def test_every_step_taken_twice_is_taken_once(house: Laboratory) -> None:
    first, again = await house.try_out(), await house.try_out()
    await house.come({"1.0.0": 900, "1.1.0": 960, "1.2.0": 600})
    looks = [await house.trials.look(first.id, number=1) for _ in range(2)]
    stops = [
        await house.trials.stop_arm(first.id, "1.2.0", epoch=first.epoch, reason="harm")
        for _ in range(2)
    ]
    found = [await house.trials.conclude(first.id) for _ in range(2)]
    for _ in range(2):
        await house.trials.note(first.id, key="message:1", step=Step.PAUSED, by="ana", reason="x")
    ends = [
        await house.trials.deploy(first.id, "1.1.0", epoch=epoch) for epoch in (stops[0], stops[0])
    ]

    assert first == again
    for pair in (looks, stops, found, ends):
        assert pair[0] == pair[1]
    async with house.database.transaction() as session:
        assert len((await session.exec(select(TrialRow))).all()) == 1
        assert len((await session.exec(select(TrialEvidenceRow))).all()) == 2
    story = await house.story(first)
    assert len(story) == len(set(story)) == 6


async def test_a_harmed_arm_is_stopped_and_only_its_users_move(house: Laboratory) -> None:
    trial = await house.try_out()
    before = await house.served()
    await house.come({"1.0.0": 950, "1.1.0": 950, "1.2.0": 700})

    (harmed,) = (await house.trials.look(trial.id, number=1)).harmed
    epoch = await house.trials.stop_arm(
        trial.id, harmed.version, epoch=trial.epoch, reason=harmed.reason
    )
    after = await house.served()
    report = await house.trials.look(trial.id, number=2)

    assert (harmed.version, harmed.standing) == ("1.2.0", Standing.HARMED)
    assert harmed.reason.startswith("success: 70.0% of 1000 users, 95.0% of 1000 on 1.0.0")
    moved = {user for user in before if before[user] != after[user]}
    assert moved == {user for user, version in before.items() if version == "1.2.0"}
    assert {after[user] for user in moved} == {"1.0.0"}
    assert epoch > trial.epoch
    assert (await house.trials.get(trial.id)).stopped == ("1.2.0",)
    assert report.arms[2].stopped
    assert report.harmed == ()


@given(
    weights=st.lists(st.integers(1, 100), min_size=3, max_size=6),
    gone=st.lists(st.integers(1, 5), min_size=1, max_size=5, unique=True),
)
def test_whatever_the_weights_stopping_arms_moves_nobody_else(
    weights: list[int], gone: list[int]
) -> None:
    shares = [weight / sum(weights) for weight in weights]
    allocation = Allocation.of(shares)
    points = [place * 2**22 + 11 for place in range(1024)]
    for arm in (arm for arm in gone if arm < len(shares)):
        before = [allocation.arm_of(place) for place in points]
        shares[0] += shares[arm]
        shares[arm] = 0.0
        allocation = allocation.reallocate(shares)
        after = [allocation.arm_of(place) for place in points]

        assert all(
            now == then or (then == arm and now == 0)
            for then, now in zip(before, after, strict=True)
        )


async def test_the_split_of_past_epochs_does_not_look_like_a_difference(house: Laboratory) -> None:
    trial = await house.try_out()
    await house.come({"1.0.0": 950, "1.1.0": 950, "1.2.0": 600})
    epoch = await house.trials.stop_arm(trial.id, "1.2.0", epoch=trial.epoch, reason="harm")
    await house.events("1.0.0", good=1600, bad=400)
    await house.events("1.1.0", good=800, bad=200)

    report = await house.trials.look(trial.id, number=1)
    found = await house.trials.conclude(trial.id)

    assert [arm.n for arm in report.arms] == [3000, 2000, 1000]
    assert report.arms[1].difference == pytest.approx(0.0)
    assert found.arms[0].p_value == pytest.approx(1.0)
    assert (found.winner, epoch > trial.epoch) == (None, True)


@pytest.mark.parametrize("ending", [TrialStatus.KEPT, TrialStatus.STOPPED])
async def test_control_stays_for_everybody(house: Laboratory, ending: TrialStatus) -> None:
    before = await house.facts()
    trial = await house.try_out()

    ended = [await house.trials.release(trial.id, ending, by="ana", reason="why") for _ in range(2)]
    late = await house.trials.release(trial.id, TrialStatus.STOPPED)

    assert ended[0] == ended[1] == late
    assert (late.ending, late.by, late.why) == (ending, "ana", "everybody gets 1.0.0: why")
    after = await house.facts()
    assert (after["versions"], after["served"]) == (before["versions"], before["served"])
    if ending is TrialStatus.STOPPED:
        assert after == before


async def test_what_a_rollout_made_of_a_winner_is_recorded(house: Laboratory) -> None:
    trial = await house.try_out()
    await house.come({"1.0.0": 900, "1.1.0": 960, "1.2.0": 890})
    await house.trials.conclude(trial.id)
    handed = await house.trials.release(trial.id, TrialStatus.HANDED_OVER, chosen="1.1.0")
    await house.open("1.1.0")  # nothing is in its way

    settled = await house.trials.settle(trial.id, deployed="1.1.0", reason="it was promoted")

    assert (handed.ending, handed.deployed) == (TrialStatus.HANDED_OVER, None)
    assert (settled.deployed, settled.why) == ("1.1.0", "it was promoted")
    assert (await house.trials.get(trial.id)).conclusion == settled


async def test_while_users_are_not_split_as_they_should_be_nobody_wins(house: Laboratory) -> None:
    trial = await house.try_out()
    await house.say_who_was_served(trial, lost="1.2.0")
    await house.come({"1.0.0": 900, "1.1.0": 990, "1.2.0": 900})

    report = await house.trials.look(trial.id, number=1)
    found = await house.trials.conclude(trial.id)

    assert report.mismatch.startswith("users are not split as they should be (33.3333 %,")
    assert (found.winner, found.mismatch) == (None, report.mismatch)
    assert found.arms[0].significant


async def test_users_split_as_planned_are_no_mismatch(house: Laboratory) -> None:
    trial = await house.try_out()
    await house.say_who_was_served(trial)

    assert (await house.trials.look(trial.id, number=1)).mismatch == ""


async def test_a_user_counts_once_however_often_they_come(house: Laboratory) -> None:
    trial = await house.try_out()
    version, now = await house.get("1.1.0"), datetime.now(UTC)
    await house.metrics.record_events(
        [MetricEvent(version.version_id, now, success=n == 0, user_id="ana") for n in range(50)]
    )

    report = await house.trials.look(trial.id, number=1)

    assert report.arms[1].n == 1


async def test_another_goal_than_success_decides(house: Laboratory) -> None:
    trial = await house.try_out(goal="response_time", variants=["1.0.0", "1.1.0"])
    now = datetime.now(UTC)
    for number, slow in (("1.0.0", 1.2), ("1.1.0", 1.0)):
        version = await house.get(number)
        await house.metrics.record_events(
            [
                MetricEvent(version.version_id, now, response_time=slow * (1 + n % 10 / 10))
                for n in range(500)
            ]
        )

    report = await house.trials.look(trial.id, number=1)
    found = await house.trials.conclude(trial.id)

    assert found.winner == "1.1.0"
    assert report.arms[1].difference == pytest.approx(-0.29)
    assert report.arms[1].difference_interval
    assert report.arms[1].difference_interval[1] < 0


@pytest.mark.parametrize(
    ("plan", "error", "why"),
    [
        ({"variants": ["1.0.0", "9.9.9"]}, NotFound, "version '9.9.9' of greeting.system does not"),
        ({"variants": ["1.0.0", "1.3.0"]}, Conflict, "version 1.3.0 of greeting.system is archiv"),
        ({"control": "1.1.0"}, Conflict, "plan.control 1.1.0 of greeting.system is not in produc"),
        (
            {"goal": "joy", "direction": "higher_is_better"},
            InvalidValue,
            "plan.goal 'joy' was never reported for 1.0.0",
        ),
        (
            {"guardrails": [{"metric": "joy", "direction": "higher_is_better"}]},
            InvalidValue,
            "plan.guardrails.0.metric 'joy' was never reported for 1.0.0",
        ),
    ],
)
async def test_what_cannot_be_tried_is_refused_and_nothing_is_written(
    house: Laboratory, plan: dict[str, JsonValue], error: type[DomainError], why: str
) -> None:
    await house.version("1.3.0", VersionStatus.ARCHIVED)
    before = await house.facts()

    with pytest.raises(error, match=why):
        await house.try_out(**plan)

    assert await house.facts() == before
    assert await house.trials.list() == []
    assert await house.experiments.list_experiments() == []


async def test_a_prompt_has_one_rollout_or_experiment_at_a_time(house: Laboratory) -> None:
    rollout = await house.open()
    with pytest.raises(Conflict, match=r"is live on greeting\.system"):
        await house.try_out()
    await house.rollouts.roll_back(rollout.id, reason="room for an experiment")

    trial = await house.try_out()
    with pytest.raises(Conflict, match=f"experiment {trial.id} on greeting.system is live"):
        await house.try_out("run-2")
    with pytest.raises(Conflict, match=f"experiment {trial.id} on greeting.system is running"):
        await house.open(key="run-3")


async def test_a_prompt_without_a_production_version_is_refused(house: Laboratory) -> None:
    request = ExperimentRequest.parse(
        {"name": "farewell", "prompt_type": "system", "plan": {"variants": ARMS}}
    )

    with pytest.raises(NotFound, match=r"farewell.system has no production version"):
        await house.trials.open(request, key="run-1")


async def test_a_writer_of_an_older_epoch_is_refused(house: Laboratory) -> None:
    trial = await house.try_out()
    await house.come({"1.0.0": 900, "1.1.0": 960, "1.2.0": 890})
    await house.put_in_production("1.2.0")
    before = await house.facts()

    with pytest.raises(Fenced):
        await house.trials.look(trial.id, number=1)
    with pytest.raises(Fenced):
        await house.trials.stop_arm(trial.id, "1.1.0", epoch=trial.epoch, reason="harm")
    with pytest.raises(Fenced):
        await house.trials.deploy(trial.id, "1.1.0", epoch=trial.epoch)

    assert await house.facts() == before


async def test_a_stop_leaves_alone_what_others_routed_meanwhile(house: Laboratory) -> None:
    trial = await house.try_out()
    other = await house.experiments.create_experiment(
        "greeting", "system", [PromptVariant("1.0.0", 1), PromptVariant("1.2.0", 1)]
    )

    await house.trials.release(trial.id, TrialStatus.STOPPED, reason="fenced")

    assert (await house.facts())["routed"] == other.experiment_id


async def test_a_deleted_experiment_is_told_and_can_be_ended(house: Laboratory) -> None:
    trial = await house.try_out()
    await house.experiments.delete_experiment(trial.id)

    with pytest.raises(DomainError):
        await house.trials.look(trial.id, number=1)
    ended = await house.trials.release(trial.id, TrialStatus.STOPPED, reason="deleted")

    assert ended.ending is TrialStatus.STOPPED


async def test_one_whose_experiment_was_ended_by_hand_is_ended_before_the_next(
    house: Laboratory,
) -> None:
    trial = await house.try_out()
    await house.experiments.update_experiment_status(trial.id, "stopped")

    with pytest.raises(Conflict, match=f"experiment {trial.id} on greeting.system is live"):
        await house.try_out("run-2")
    await house.trials.release(trial.id, TrialStatus.STOPPED)

    assert (await house.try_out("run-2")).status is TrialStatus.LIVE


async def test_what_has_ended_takes_no_further_step(house: Laboratory) -> None:
    trial = await house.try_out()
    await house.trials.release(trial.id, TrialStatus.KEPT)

    for step in (
        house.trials.look(trial.id, number=1),
        house.trials.stop_arm(trial.id, "1.1.0", epoch=trial.epoch, reason="harm"),
        house.trials.deploy(trial.id, "1.1.0", epoch=trial.epoch),
        house.trials.settle(trial.id, deployed=None, reason="?"),
    ):
        with pytest.raises(Conflict, match=f"experiment '{trial.id}' is kept, cannot"):
            await step


async def test_control_a_stranger_and_a_stopped_arm_cannot_be_deployed(house: Laboratory) -> None:
    trial = await house.try_out()
    epoch = await house.trials.stop_arm(trial.id, "1.2.0", epoch=trial.epoch, reason="harm")

    for version in ("1.0.0", "9.9.9"):
        with pytest.raises(NotFound, match="has no treatment"):
            await house.trials.deploy(trial.id, version, epoch=epoch)
        with pytest.raises(NotFound, match="has no treatment"):
            await house.trials.stop_arm(trial.id, version, epoch=epoch, reason="?")
    with pytest.raises(Conflict, match=r"1\.2\.0 was stopped"):
        await house.trials.deploy(trial.id, "1.2.0", epoch=epoch)
    with pytest.raises(NotFound, match="no trial 'nobody'"):
        await house.trials.get("nobody")


async def test_an_experiment_without_data_says_so(house: Laboratory) -> None:
    trial = await house.try_out()

    report = await house.trials.look(trial.id, number=1)
    found = await house.trials.conclude(trial.id)

    assert {arm.action for arm in report.arms} == {Action.HOLD}
    assert not report.enough
    assert isinstance(found, Conclusion)
    assert found.why == "no arm beats every other one"
    assert trial.opened_at <= datetime.now(UTC) + timedelta(seconds=1)
