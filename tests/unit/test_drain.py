"""Counting what is in the stream: exactly once, whoever dies and whatever comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from redis.asyncio import Redis

from domain import MetricsCollector, broker
from domain.circuit import Circuit
from domain.database import Database
from domain.intake.direct import DirectIntake
from domain.intake.drain import Drain
from domain.intake.intake import Overloaded
from domain.intake.recording import Collector
from domain.intake.stream import GROUP, Backlog, Entry, Settled, Stream
from domain.intake.streaming import StreamIntake
from domain.wire import Event, pack, unpack
from tests.redis_server import RedisServer
from tests.torrent import DEADLINE, VERSION, Scripted, batch, entries, until

QUICK, LONG = timedelta(milliseconds=20), timedelta(hours=1)
AGAIN = timedelta(milliseconds=100)  # soon enough, and longer than one answer takes


def drain(client: Redis, collector: Collector, *, idle: timedelta = LONG) -> Drain:
    return Drain(client, collector, idle=idle, block=QUICK, circuit=Circuit(first=QUICK))


async def empty(stream: Stream) -> Backlog:
    """Wait until everything is counted or set aside."""
    async with asyncio.timeout(DEADLINE):
        while (backlog := await stream.backlog()).entries:
            await asyncio.sleep(0.005)
    return backlog


async def put(stream: Stream, *batches: Sequence[Event]) -> None:
    assert await stream.add([(len(b), pack(b)) for b in batches], limit=2**30) is None


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Redis, Stream]]:
    async with broker.connect(url, timeout=5) as client:
        yield client, Stream(client)


async def test_what_comes_in_is_counted_and_leaves_the_stream(
    database: Database, redis_url: str
) -> None:
    collector = MetricsCollector(database)
    async with opened(redis_url) as (client, stream):
        intake = StreamIntake(client, DirectIntake(collector))

        async with drain(client, collector):
            await asyncio.gather(*(intake.accept(batch(50, start=n * 25)) for n in range(40)))
            backlog = await empty(stream)

    assert backlog == Backlog(entries=0, held=0, pending=0, oldest=timedelta(), aside=0)
    assert (await collector.get_metrics(VERSION)).total_events == 1_025


async def test_many_entries_are_counted_in_one_transaction(redis_url: str) -> None:
    collector = Scripted()
    async with opened(redis_url) as (client, stream):
        await put(stream, *(batch(100, start=n * 100) for n in range(300)))

        async with drain(client, collector):
            await empty(stream)

    assert len(collector.counted) == 30_000
    assert max(collector.sizes) == 10_000  # once it has seen how large entries are


async def test_entries_that_are_delivered_again_in_other_groups_count_once(
    database: Database, redis_url: str
) -> None:
    collector = MetricsCollector(database)
    events = batch(300)
    async with opened(redis_url) as (client, stream):
        await put(stream, *(events[n : n + 7] for n in range(0, 300, 7)))
        await put(stream, *(events[n : n + 41] for n in range(0, 300, 41)))
        await put(stream, events[::-1], events[100:] + events[:150])

        async with drain(client, collector), drain(client, collector):
            await empty(stream)

    assert (await collector.get_metrics(VERSION)).total_events == 300


async def test_what_a_consumer_held_when_it_died_is_taken_over(redis_url: str) -> None:
    collector = Scripted()
    async with opened(redis_url) as (client, stream):
        await stream.open()
        await put(stream, batch(10), batch(10, start=10))
        held = await stream.read("the dead", count=10, block_ms=10)
        assert len(held) == 2

        async with drain(client, collector, idle=AGAIN):
            await empty(stream)
        pending = await client.xpending(stream.name, GROUP)

    assert len(collector.counted) == 20
    assert pending["pending"] == 0


async def test_killed_between_commit_and_acknowledgement_counts_once(
    database: Database, redis_url: str
) -> None:
    collector = MetricsCollector(database)
    async with opened(redis_url) as (client, stream):
        await stream.open()
        await put(stream, batch(10), batch(10, start=10))
        for entry in await stream.read("the dead", count=1, block_ms=10):
            await collector.record(unpack(entry.packed))

        async with drain(client, collector, idle=AGAIN):
            await empty(stream)

    assert (await collector.get_metrics(VERSION)).total_events == 20


async def test_entries_of_a_consumer_that_somebody_deleted_are_delivered_again(
    redis_url: str,
) -> None:
    collector = Scripted()
    async with opened(redis_url) as (client, stream):
        await stream.open()
        await put(stream, batch(10))
        await stream.read("the deleted", count=1, block_ms=10)
        await client.xgroup_delconsumer(stream.name, GROUP, "the deleted")

        async with drain(client, collector, idle=AGAIN):
            await empty(stream)

    assert len(collector.counted) == 10


async def test_consumers_that_are_gone_are_forgotten_unless_they_hold_something(
    redis_url: str,
) -> None:
    async with opened(redis_url) as (client, stream):
        await stream.open()
        await put(stream, batch(1))
        for name in ("holds", "holds nothing"):
            await stream.read(name, count=1, block_ms=1)
        await asyncio.sleep(0.01)

        await stream.tidy(forget_ms=1)

        left = await client.xinfo_consumers(stream.name, GROUP)
    assert [each["name"] for each in left] == [b"holds"]


async def test_what_nobody_can_read_is_set_aside_and_the_rest_is_counted(redis_url: str) -> None:
    collector = Scripted()
    async with opened(redis_url) as (client, stream):
        await put(stream, batch(5))
        await stream.add([(3, b"\xc1 no such thing")], limit=2**30)
        await client.xadd(stream.name, {"colour": "blue"})
        await put(stream, batch(5, start=5))

        async with drain(client, collector):
            backlog = await empty(stream)
        aside = await entries(client, stream.aside)

    assert len(collector.counted) == 10
    assert (backlog.aside, backlog.held) == (2, 0)
    assert [(fields[b"n"], fields[b"events"]) for fields in aside] == [
        (b"3", b"\xc1 no such thing"),
        (b"0", b""),
    ]
    assert all(fields[b"reason"].startswith(b"not packed events") for fields in aside)


async def test_events_the_database_refuses_are_set_aside_one_by_one_and_can_come_back(
    redis_url: str,
) -> None:
    collector = Scripted()
    collector.guilty = {"e-00000003", "e-00000004", "e-00000777"}
    async with opened(redis_url) as (client, stream):
        await put(stream, *(batch(100, start=n * 100) for n in range(10)))

        async with drain(client, collector):
            first = await empty(stream)
            aside = await entries(client, stream.aside)
            collector.guilty.clear()
            restored = await stream.restore()
            last = await empty(stream)

    assert (first.aside, restored, last.aside) == (2, 2, 0)
    assert [[e.event_id for e in unpack(fields[b"events"])] for fields in aside] == [
        ["e-00000003", "e-00000004"],
        ["e-00000777"],
    ]
    assert [(fields[b"n"], fields[b"reason"]) for fields in aside] == [
        (b"2", b"e-00000003 is guilty"),
        (b"1", b"e-00000777 is guilty"),
    ]
    assert len(collector.counted) == 1_000
    assert last.held == 0


async def test_an_entry_is_set_aside_once_however_many_find_it(redis_url: str) -> None:
    async with opened(redis_url) as (_, stream):
        await stream.open()
        await put(stream, batch(1))
        [entry] = await stream.read("the slow", count=1, block_ms=10)

        for _ in range(2):
            await stream.settle([Settled(entry, "guilty", 1, b"...")])
        await stream.settle([Settled(Entry(b"1-1", b"?", 1), "never was here", 1, b"...")])

        backlog = await stream.backlog()
    assert (backlog.entries, backlog.held, backlog.aside) == (0, 0, 1)


async def test_while_the_database_is_away_nothing_is_acknowledged(redis_url: str) -> None:
    collector = Scripted()
    collector.away = True
    async with opened(redis_url) as (client, stream):
        await put(stream, batch(10), batch(10, start=10))

        async with drain(client, collector):
            await until(lambda: collector.tried > 3)
            during = await stream.backlog()
            collector.away = False
            await empty(stream)

    assert (during.entries, during.pending, during.aside) == (2, 2, 0)
    assert during.oldest > timedelta()
    assert len(collector.counted) == 20


async def test_leaving_while_the_database_is_away_takes_no_time_and_loses_nothing(
    redis_url: str,
) -> None:
    collector = Scripted()
    collector.away = True
    async with opened(redis_url) as (client, stream):
        await put(stream, batch(10))
        async with asyncio.timeout(DEADLINE), drain(client, collector):
            await until(lambda: collector.tried > 0)

        assert (await stream.backlog()).pending == 1


async def test_a_full_stream_takes_more_once_some_is_counted(redis_url: str) -> None:
    collector = Scripted()
    collector.gate.clear()
    taken = refused = 0
    async with opened(redis_url) as (client, stream), drain(client, collector):
        intake = StreamIntake(client, DirectIntake(Scripted()), limit=50_000)
        while refused < 20:
            try:
                await intake.accept(batch(20, start=taken * 20))
                taken += 1
            except Overloaded:
                refused += 1
                collector.gate.set()
                await empty(stream)
                collector.gate.clear() if refused < 20 else None
        collector.gate.set()
        await empty(stream)

    assert len(collector.counted) == taken * 20


async def test_a_redis_that_comes_back_empty_is_used_again_by_itself(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    server.start()
    collector = Scripted()
    async with opened(server.url) as (client, stream), drain(client, collector):
        intake = StreamIntake(client, DirectIntake(collector), circuit=Circuit(first=QUICK))
        await intake.accept(batch(10))
        await until(lambda: len(collector.counted) == 10)

        await client.flushall()
        await intake.accept(batch(10, start=10))
        await until(lambda: len(collector.counted) == 20)
        server.wipe()
        await intake.accept(batch(10, start=20))
        assert len(collector.counted) == 30  # straight into the database
        server.start()
        await asyncio.sleep(QUICK.total_seconds())
        await intake.accept(batch(10, start=30))
        await until(lambda: len(collector.counted) == 40)
        assert (await empty(stream)).aside == 0
    server.kill()


async def test_what_was_appended_outlives_a_killed_redis(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", fsync="always")  # `everysec` may lose the last one
    server.start()
    collector = Scripted()
    async with opened(server.url) as (client, stream):
        intake = StreamIntake(client, DirectIntake(Scripted()))
        await asyncio.gather(*(intake.accept(batch(10, start=n * 10)) for n in range(10)))

        server.kill()
        server.start()
        async with drain(client, collector):
            await empty(stream)

    assert len(collector.counted) == 100
    server.kill()


async def test_a_redis_that_may_lose_events_is_told_of(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", durable=False)
    server.start()
    async with opened(server.url) as (client, stream):
        await client.config_set("maxmemory", "100mb")
        await client.config_set("maxmemory-policy", "allkeys-lru")
        careless = await stream.dangers()
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("appendonly", "yes")
        careful = await stream.dangers()
    server.kill()

    assert careless == [
        "appendonly is off: a restart loses what was not counted yet",
        "maxmemory-policy is allkeys-lru: events may be evicted",
    ]
    assert careful == []
