"""Reading: one consistent state, in nobody's way; and who is told of a commit."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlmodel import col, select, update

from domain.database import Database, Prompt
from domain.routing import claim_epoch
from domain.tables import RoutingRow

EPOCHS = select(RoutingRow.epoch)


async def write(database: Database, *, epoch: int) -> None:
    async with database.transaction() as session:
        await session.exec(update(RoutingRow).values(epoch=epoch))


async def with_a_row(database: Database) -> None:
    async with database.transaction() as session:
        now = datetime.now(UTC)
        session.add(RoutingRow(name="greeting", prompt_type="system", epoch=1, changed_at=now))


async def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    await with_a_row(database)

    async with database.transaction() as session:
        await session.exec(update(RoutingRow).where(col(RoutingRow.epoch) == 1).values(epoch=2))

        assert await asyncio.create_task(epochs(database)) == [1]

    assert await epochs(database) == [2]


async def test_what_is_read_is_one_state_whatever_is_written_meanwhile(database: Database) -> None:
    await with_a_row(database)

    async with database.reading() as session:
        before = (await session.exec(EPOCHS)).all()
        await asyncio.create_task(write(database, epoch=2))
        after = (await session.exec(EPOCHS)).all()

    assert before == after == [1]


async def test_reading_joins_a_transaction_and_sees_what_it_wrote(database: Database) -> None:
    await with_a_row(database)

    async with database.transaction():
        await write(database, epoch=7)

        assert await epochs(database) == [7]


async def test_a_transaction_does_not_join_what_is_only_read(database: Database) -> None:
    async with database.reading():
        with pytest.raises(RuntimeError, match="reading only"):
            async with database.transaction():
                pass


async def test_what_a_prompt_serves_is_told_after_the_commit_and_only_then(
    database: Database,
) -> None:
    told: list[tuple[frozenset[Prompt], list[int]]] = []

    async def announce(changed: frozenset[Prompt]) -> None:
        told.append((changed, await epochs(database)))

    async def fail_after_claiming() -> None:
        async with database.transaction() as session:
            await claim_epoch(session, "greeting", "system")
            raise ZeroDivisionError

    database.announce_to(announce)
    with pytest.raises(ZeroDivisionError):
        await fail_after_claiming()

    async with database.transaction() as session:
        await claim_epoch(session, "greeting", "system")

    assert told == [(frozenset({("greeting", "system")}), [1])]


async def epochs(database: Database) -> list[int]:
    async with database.reading() as session:
        return list((await session.exec(EPOCHS)).all())
