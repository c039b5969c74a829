"""The chaos matrix itself: nothing is left out of it, and its cells can go red."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlmodel import select

from activities.rollouts import RolloutActivities
from domain import VersionStatus
from domain.database import Database
from domain.record import Kind, RolloutStatus
from domain.tables import DecisionRow, TagRow
from tests.chaos import matrix, verdicts
from tests.chaos.cells import CELLS, COLUMNS, KILLED
from tests.chaos.matrix import Result
from tests.chaos.sentry import Sentry
from tests.house import House


@pytest_asyncio.fixture
async def house(sqlite: Database) -> AsyncIterator[House]:
    house = House(sqlite)
    await house.furnish()
    yield house


def test_every_activity_of_a_rollout_is_killed_before_and_after_its_commit() -> None:
    known = {
        str(vars(method)["__temporal_activity_definition"].name)
        for method in vars(RolloutActivities).values()
        if hasattr(method, "__temporal_activity_definition")
    }

    assert known == KILLED
    for name in KILLED:
        columns = {cell.column for cell in CELLS if cell.activity == name}
        assert columns == {"before commit", "after commit"}, name


def test_there_are_at_least_forty_cells_each_once() -> None:
    names = [cell.name for cell in CELLS]

    assert len(names) == len(set(names)) >= 40
    assert {cell.column for cell in CELLS} <= set(COLUMNS)


async def test_a_cell_that_does_not_end_as_it_should_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise AssertionError("the rollout is\nlive")

    monkeypatch.setattr(matrix, "play", broken)

    result = await matrix.result_of(CELLS[0], None, folder=tmp_path)  # type: ignore[arg-type]

    assert (result.green, result.reason) == (False, "AssertionError: the rollout is live")


def test_the_matrix_shows_what_is_green_what_is_red_and_why() -> None:
    results = [
        Result(row="killed", column="before commit"),
        Result(row="killed", column="mid-bake", reason="it is live"),
    ]

    lines = matrix.drawn(results).splitlines()

    assert lines[1].split() == ["killed", "✓", "✗"]
    assert lines[-2:] == ["✗ killed, mid-bake: it is live", "2 cells, 1 green"]
    told = json.loads(matrix.data(results))
    assert (told["green"], told["red"]) == (1, 1)
    assert [cell["green"] for cell in told["cells"]] == [True, False]


async def test_the_sentry_sees_two_versions_in_production(house: House) -> None:
    sentry = Sentry(house.database)
    assert await sentry.look() == []

    await house.versions.update_status(
        (await house.get("1.1.0")).version_id, VersionStatus.PRODUCTION
    )
    assert await sentry.look() == ["2 versions have the status production"]

    async with house.database.transaction() as session:
        await session.delete((await session.exec(select(TagRow))).one())
    assert (await sentry.look())[0] == "0 versions carry the tag production"


async def test_a_rollback_that_left_something_behind_is_seen(house: House) -> None:
    rollout = await house.ramped(stage=1)
    with pytest.raises(AssertionError, match="the rollout is live"):
        await verdicts.state_is_right(house, RolloutStatus.ROLLED_BACK)

    await house.rollouts.roll_back(rollout.id, reason="errors")
    await verdicts.state_is_right(house, RolloutStatus.ROLLED_BACK)

    candidate = (await house.get("1.1.0")).version_id
    await house.versions.update_status(candidate, VersionStatus.ARCHIVED)
    with pytest.raises(AssertionError, match="versions are"):
        await verdicts.state_is_right(house, RolloutStatus.ROLLED_BACK)


async def test_a_journal_that_misses_a_step_is_seen(house: House) -> None:
    await house.ramped(stage=1)
    await verdicts.journal_is_right(house.database, [Kind.OPENED, Kind.RAMPED])

    async with house.database.transaction() as session:
        of_kind = select(DecisionRow).where(DecisionRow.kind == Kind.RAMPED)
        await session.delete((await session.exec(of_kind)).one())

    with pytest.raises(AssertionError, match="the journal tells opened"):
        await verdicts.journal_is_right(house.database, [Kind.OPENED, Kind.RAMPED])
