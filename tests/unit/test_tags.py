"""VersionManager: tags that move, production and back, what a rollout holds."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.database import Database
from domain.errors import Conflict, Fenced
from domain.prompts import PromptVersion, VersionStatus
from domain.routing import RoutingManager
from domain.tables import RolloutRow, VersionRow
from domain.versions import VersionManager, move_tag

PROMPT = ("greeting", "system")


async def create(database: Database, version: str | None = None, **extra: Any) -> PromptVersion:
    manager = VersionManager(database)
    return await manager.create_version(*PROMPT, f"Hello {version}", version, **extra)


async def epoch(database: Database) -> int:
    return (await RoutingManager(database).epochs()).get(PROMPT, 0)


async def start_rollout(
    database: Database, *, baseline: PromptVersion, candidate: PromptVersion
) -> None:
    row = RolloutRow(
        id="r-1",
        key="r-1",
        workflow_id="rollout/greeting.system",
        name=baseline.name,
        prompt_type=baseline.prompt_type,
        baseline_id=baseline.version_id,
        candidate_id=candidate.version_id,
        experiment_id="e-1",
        plan={},
        before={},
        status="live",
        epoch=1,
        opened_at=datetime.now(UTC),
    )
    async with database.transaction() as session:
        session.add(row)


async def test_a_tag_moves_from_its_holder(database: Database) -> None:
    manager = VersionManager(database)
    first = await create(database, tags=["production", "beta"])
    second = await create(database)

    tagged = await manager.tag_version(second.version_id, "production", by="ada", reason="better")

    assert tagged.tags == ["production"]
    assert [v.tags for v in await manager.list_versions(*PROMPT)] == [["production"], ["beta"]]
    moves = await manager.tag_history(*PROMPT)
    assert [(m.previous_id, m.version_id, m.by, m.reason) for m in moves] == [
        (None, first.version_id, "", ""),
        (first.version_id, second.version_id, "ada", "better"),
    ]


async def test_concurrent_tag_moves_leave_exactly_one_holder(database: Database) -> None:
    manager = VersionManager(database)
    made = [await create(database) for _ in range(10)]

    await asyncio.gather(*(manager.tag_version(v.version_id, "production") for v in made))

    holders = await manager.list_versions(*PROMPT, tags=["production"])
    moves = await manager.tag_history(*PROMPT)
    assert len(holders) == 1
    assert moves[-1].version_id == holders[0].version_id
    assert [m.previous_id for m in moves[1:]] == [m.version_id for m in moves[:-1]]
    assert await epoch(database) == 10


async def test_moving_production_raises_the_epoch_and_other_tags_do_not(
    database: Database,
) -> None:
    manager = VersionManager(database)
    version = await create(database, tags=["beta"])
    assert await epoch(database) == 0

    await manager.tag_version(version.version_id, "production")
    await manager.tag_version(version.version_id, "production")
    assert await epoch(database) == 1

    await manager.untag_version(version.version_id, "production")
    await manager.untag_version(version.version_id, "production")
    assert await epoch(database) == 2
    assert [m.version_id for m in await manager.tag_history(*PROMPT)] == [version.version_id, None]


async def test_only_the_holder_can_be_untagged(sqlite: Database) -> None:
    manager = VersionManager(sqlite)
    first = await create(sqlite, tags=["production"])
    second = await create(sqlite)

    await manager.untag_version(second.version_id, "production")

    assert await manager.production(*PROMPT) == first


async def test_a_writer_with_an_old_epoch_cannot_move_production(database: Database) -> None:
    version = await create(database)

    async def move(held: int) -> int:
        async with database.transaction() as session:
            row = await session.get_one(VersionRow, version.version_id)
            return await move_tag(session, row, "production", held=held)

    assert await move(0) == 1
    with pytest.raises(Fenced, match=r"greeting\.system is at epoch 1, this writer holds 0"):
        await move(0)
    assert await move(1) == 1


async def test_a_deleted_version_leaves_no_tag_behind(database: Database) -> None:
    manager = VersionManager(database)
    version = await create(database, tags=["beta"])

    assert await manager.delete_version(version.version_id) is True

    assert await manager.get_version_by_id(version.version_id) is None
    assert [m.version_id for m in await manager.tag_history(*PROMPT, "beta")] == [
        version.version_id,
        None,
    ]


async def test_a_version_in_production_cannot_be_deleted(sqlite: Database) -> None:
    version = await create(sqlite, tags=["production"])

    with pytest.raises(Conflict, match=r"1\.0\.0 of greeting\.system is in production"):
        await VersionManager(sqlite).delete_version(version.version_id)


async def in_production(database: Database) -> str:
    version = await VersionManager(database).production(*PROMPT)
    assert version is not None
    return version.version


async def deploy(database: Database, version: PromptVersion) -> None:
    """What the seed does with a winner."""
    manager = VersionManager(database)
    before = await manager.production(*PROMPT)
    await manager.tag_version(version.version_id, "production")
    await manager.update_status(version.version_id, VersionStatus.PRODUCTION)
    if before:
        await manager.update_status(before.version_id, VersionStatus.DEPRECATED)


async def test_revert_returns_production_to_the_version_before(database: Database) -> None:
    manager = VersionManager(database)
    first, second = await create(database), await create(database)
    await deploy(database, first)
    await deploy(database, second)

    back = await manager.revert(*PROMPT, by="ada", reason="errors")

    assert back == replace(first, status=VersionStatus.PRODUCTION, tags=["production"])
    left = await manager.get_version_by_id(second.version_id)
    assert left == replace(second, status=VersionStatus.DEPRECATED)
    last = (await manager.tag_history(*PROMPT))[-1]
    assert (last.version_id, last.by, last.reason) == (first.version_id, "ada", "errors")


async def test_reverting_twice_goes_further_back_not_to_the_bad_version(
    sqlite: Database,
) -> None:
    manager = VersionManager(sqlite)
    for version in [await create(sqlite) for _ in range(3)]:
        await deploy(sqlite, version)

    await manager.revert(*PROMPT)
    assert await in_production(sqlite) == "1.0.1"
    await manager.revert(*PROMPT)
    assert await in_production(sqlite) == "1.0.0"
    with pytest.raises(Conflict, match=r"greeting\.system has no previous production version"):
        await manager.revert(*PROMPT)


async def test_a_version_that_was_fine_and_came_before_is_returned_to(
    sqlite: Database,
) -> None:
    manager = VersionManager(sqlite)
    first, second = await create(sqlite), await create(sqlite)
    for version in (first, second, first):
        await manager.tag_version(version.version_id, "production")

    assert (await manager.revert(*PROMPT)).version_id == second.version_id


async def test_without_production_there_is_nothing_to_revert(sqlite: Database) -> None:
    await create(sqlite)

    with pytest.raises(Conflict, match=r"greeting\.system has no production version"):
        await VersionManager(sqlite).revert(*PROMPT)


async def test_a_live_rollout_holds_the_production_tag_and_its_versions(
    database: Database,
) -> None:
    manager = VersionManager(database)
    baseline = await create(database, tags=["production"])
    candidate, third = await create(database), await create(database)
    await manager.tag_version(third.version_id, "production")
    await manager.tag_version(baseline.version_id, "production")
    await start_rollout(database, baseline=baseline, candidate=candidate)
    refusal = r"rollout r-1 is live on greeting\.system and holds its production tag"

    for action in (
        manager.tag_version(third.version_id, "production"),
        manager.untag_version(baseline.version_id, "production"),
        manager.create_version(*PROMPT, "Hi", tags=["production"]),
        manager.revert(*PROMPT),
    ):
        with pytest.raises(Conflict, match=refusal):
            await action
    with pytest.raises(Conflict, match="in use by live rollout r-1"):
        await manager.delete_version(candidate.version_id)

    await manager.tag_version(third.version_id, "beta")
    assert len(await manager.list_versions(*PROMPT)) == 3
    assert await in_production(database) == baseline.version
