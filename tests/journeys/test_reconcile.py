"""Rollouts whose workflow is gone, on the real dev server: found by the schedule, and restored."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

import cli
from control.reconciliation import ReconcileControl
from control.retention import RetentionControl
from dev import Stack
from domain.reconciliation import RECONCILER
from domain.record import Decision, Kind, RolloutStatus
from embedded.ports import free_port
from tests.journeys.place import LONG, Place, furnished

QUICK = LONG | {"check_max": "500ms"}  # a lease of 5 s
WITHIN_S = 20.0  # the lease, the schedule's second, and a busy machine


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose schedule looks every second."""
    async with Stack(tmp_path_factory.mktemp("stack"), port=free_port()) as running:
        control = ReconcileControl(await running.connect(), task_queue="rampart")
        await control.change(timedelta(seconds=1))
        yield running


@pytest_asyncio.fixture
async def place(stack: Stack) -> AsyncIterator[Place]:
    async with furnished(stack) as found:
        yield found


async def ramped(place: Place, **plan: object) -> None:
    code, said = await place.start(plan=QUICK | plan)
    assert code == 0, said
    await place.until(lambda seen: seen.checks > 0)


async def until(place: Place, kind: Kind) -> list[Decision]:
    """Wait for a line of that kind, and return the journal."""
    (rollout,) = await place.house.rollouts.list(place.house.name, "system")
    async with asyncio.timeout(WITHIN_S):
        while True:
            lines = list(await place.house.rollouts.decisions(rollout.id))
            if any(line.kind is kind for line in lines):
                return lines
            await asyncio.sleep(0.2)


@pytest.mark.guarantee(4)
async def test_a_terminated_rollout_is_safe_within_the_lease(place: Place) -> None:
    before = await place.house.facts()
    await ramped(place)

    code, said = await place.temporal(
        "workflow", "terminate", "--workflow-id", place.id, "--reason", "a mistake"
    )
    lines = await until(place, Kind.ROLLED_BACK)

    assert code == 0, said
    assert await place.house.facts() == before
    assert [line.kind for line in lines if line.by == RECONCILER] == [
        Kind.RECONCILED,
        Kind.ROLLING_BACK,
        Kind.ROLLED_BACK,
    ]
    assert lines[-1].reason.endswith(f"its workflow {place.id} is terminated")


@pytest.mark.guarantee(4)
async def test_a_deleted_rollout_is_safe_within_the_lease(place: Place) -> None:
    before = await place.house.facts()
    await ramped(place)

    code, said = await place.temporal("workflow", "delete", "--workflow-id", place.id, "--yes")
    assert code == 0, said
    lines = await until(place, Kind.ROLLED_BACK)

    assert await place.house.facts() == before
    assert lines[-1].by == RECONCILER


async def test_a_terminated_rollout_whose_plan_says_hold_is_held_and_journalled(
    place: Place,
) -> None:
    await ramped(place, when_orphaned="hold")

    await place.temporal("workflow", "terminate", "--workflow-id", place.id)
    lines = await until(place, Kind.RECONCILED)

    assert lines[-1].reason.endswith("is terminated; it is held at 10 %, as its plan says")
    assert 0.05 < await place.house.share("1.1.0") < 0.15
    await place.house.rollouts.roll_back_directly(place.house.name, "system", reason="enough")


@pytest.mark.guarantee(4)
async def test_a_reset_rollout_is_carried_on_by_its_new_run(place: Place) -> None:
    await ramped(place)

    code, said = await place.temporal(
        *("workflow", "reset", "--workflow-id", place.id),
        *("--type", "FirstWorkflowTask", "--reason", "again"),
    )
    await asyncio.sleep(7)  # longer than the lease
    control = ReconcileControl(place.client, task_queue="rampart")
    found = await control.look()
    (rollout,) = await place.house.rollouts.list(place.house.name, "system")

    assert code == 0, said
    assert rollout.status is RolloutStatus.LIVE
    assert [line for line in found.rolled_back if place.house.name in line] == []
    await place.send("rollback", "--input", '"enough"')
    assert (await place.result())["outcome"] == "rolled_back"


async def test_another_rollout_of_the_same_id_does_not_keep_an_orphan_alive(place: Place) -> None:
    before = await place.house.facts()
    await ramped(place)
    await place.temporal("workflow", "terminate", "--workflow-id", place.id)

    await place.start(plan=QUICK)  # refused by the database, and fails

    assert (await until(place, Kind.ROLLED_BACK))[-1].by == RECONCILER
    assert await place.house.facts() == before


async def test_a_worker_that_is_away_is_reported_and_nothing_else(place: Place) -> None:
    before = await place.house.rollouts.list(place.house.name, "system")
    await place.start(plan=QUICK | {"check_min": "2m", "check_max": "2m"})
    await place.until(lambda seen: seen.stage == 1)
    (rollout,) = await place.house.rollouts.list(place.house.name, "system")
    await expire(place, rollout.id)

    found = await ReconcileControl(place.client, task_queue="rampart").look()

    assert before == []
    (said,) = [line for line in found.late if place.house.name in line]
    assert "its workflow is there, but has not looked after it since" in said
    assert (await place.house.rollouts.get(rollout.id)).status is RolloutStatus.LIVE
    await place.send("rollback")
    await place.result()


async def expire(place: Place, rollout_id: str) -> None:
    """Make the lease one that ran out long ago, as it does while every worker is away."""
    from domain.tables import RolloutRow

    async with place.house.database.transaction() as session:
        row = await session.get_one(RolloutRow, rollout_id)
        row.lease_until = row.opened_at - timedelta(hours=1)
        session.add(row)


def test_the_command_looks_now_and_shows_and_changes_the_schedule(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in stack.variables().items():
        monkeypatch.setenv(name, value)

    def rampart(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rampart", "reconcile", *words])
        code = cli.main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    looked = rampart("--json")
    changed = rampart("--every", "2s")
    status = rampart("--status", "--json")
    wrong = [rampart("--every", given) for given in ("soon", "0s", "10ms")]
    back = rampart("--every", "1s")

    assert looked[0] == 0
    assert set(json.loads(looked[1])) == {"late", "rolled_back", "held", "failed"}
    assert changed[1].startswith("looks every 2s; next ")
    assert json.loads(status[1])["every"] == 2.0
    assert [code for code, _, _ in wrong] == [2, 2, 2]
    assert wrong[0][2] == (
        "rampart: --every: must be a duration such as 90s, 30m, 4h, 7d or 1h30m, got 'soon'\n"
    )
    assert wrong[2][2] == "rampart: --every: must be at least 1s, got 10ms\n"
    assert back[0] == 0


async def test_a_second_worker_leaves_the_schedules_as_they_are(stack: Stack) -> None:
    client = await stack.connect()
    control = ReconcileControl(client, task_queue="rampart")

    made = await control.ensure(), await RetentionControl(client, task_queue="rampart").ensure()

    assert made == (True, True)
    assert (await control.describe()).every == timedelta(seconds=1)
