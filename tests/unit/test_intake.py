"""Taking events in: grouped, bounded, and past Redis when it is away."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy.exc import DataError, ProgrammingError

from domain import MetricsCollector, broker
from domain.circuit import Circuit
from domain.database import Database
from domain.errors import InvalidValue, Unavailable
from domain.intake.direct import DirectIntake
from domain.intake.intake import Overloaded, Refused
from domain.intake.recording import record
from domain.intake.stream import Stream
from domain.intake.streaming import StreamIntake
from domain.wire import Event
from tests.redis_server import RedisServer
from tests.torrent import VERSION, Scripted, batch, entries, until

QUICK = timedelta(milliseconds=1)


async def waiting(intake: DirectIntake | StreamIntake, held: int) -> None:
    await until(lambda: intake.waiting >= held)


async def outcome(intake: StreamIntake, events: list[Event]) -> Exception | None:
    """Return what the caller is told, None if the events are taken."""
    try:
        await intake.accept(events)
    except Overloaded as told:
        return told
    return None


async def test_concurrent_callers_share_a_transaction_and_each_waits_for_it() -> None:
    collector = Scripted()
    intake = DirectIntake(collector)
    collector.gate.clear()

    callers = [asyncio.create_task(intake.accept(batch(10, start=n * 10))) for n in range(50)]
    await waiting(intake, 500)
    assert not any(caller.done() for caller in callers)
    collector.gate.set()
    await asyncio.gather(*callers)

    assert len(collector.counted) == 500
    assert len(collector.sizes) <= 2  # whoever came first, and everybody else
    assert intake.waiting == 0


async def test_a_transaction_holds_ten_thousand_events_at_most() -> None:
    collector = Scripted()
    intake = DirectIntake(collector)

    await asyncio.gather(
        *(intake.accept(batch(4_000, start=n * 4_000)) for n in range(4)),
        intake.accept(batch(25_000, start=16_000)),
    )

    assert len(collector.counted) == 41_000
    assert max(collector.sizes) <= 10_000


async def test_what_is_counted_is_in_the_database_when_the_caller_goes_on(
    database: Database,
) -> None:
    intake = DirectIntake(MetricsCollector(database))

    await asyncio.gather(*(intake.accept(batch(20, start=n * 10)) for n in range(10)))

    metrics = await MetricsCollector(database).get_metrics(VERSION)
    assert metrics.total_events == 110  # neighbours share ten events


async def test_more_than_may_wait_is_refused_with_a_time_to_come_back() -> None:
    collector = Scripted()
    intake = DirectIntake(collector, limit=100)
    collector.gate.clear()
    first = asyncio.create_task(intake.accept(batch(90)))
    await waiting(intake, 90)

    with pytest.raises(Overloaded, match=r"^90 events wait to be counted, at most 100 may") as told:
        await intake.accept(batch(11, start=90))
    collector.gate.set()
    await first
    await intake.accept(batch(500, start=100))  # alone, even more than the limit is taken

    assert told.value.retry_after > timedelta()
    assert len(collector.counted) == 590


async def test_a_guilty_event_harms_nobody_else() -> None:
    collector = Scripted()
    collector.guilty = {"e-00000007", "e-00000150"}
    intake = DirectIntake(collector)

    outcomes = await asyncio.gather(
        *(intake.accept(batch(100, start=n * 100)) for n in range(3)), return_exceptions=True
    )

    refused = [told.reasons for told in outcomes if isinstance(told, Refused)]
    assert refused == [
        {"e-00000007": "e-00000007 is guilty"},
        {"e-00000150": "e-00000150 is guilty"},
    ]
    assert outcomes[2] is None
    assert len(collector.counted) == 298


async def test_without_the_database_every_caller_is_told_and_may_come_again() -> None:
    collector = Scripted()
    collector.away = True
    intake = DirectIntake(collector)

    told = await asyncio.gather(
        *(intake.accept(batch(5, start=n * 5)) for n in range(3)), return_exceptions=True
    )
    collector.away = False
    await intake.accept(batch(15))

    assert [type(error) for error in told] == [Unavailable] * 3
    assert len(collector.counted) == 15


async def test_a_caller_who_gives_up_leaves_the_others_alone() -> None:
    collector = Scripted()
    intake = DirectIntake(collector)
    collector.gate.clear()
    callers = [asyncio.create_task(intake.accept(batch(10, start=n * 10))) for n in range(3)]
    await waiting(intake, 30)

    callers[1].cancel()
    collector.gate.set()
    await asyncio.gather(*callers, return_exceptions=True)

    assert callers[1].cancelled()
    assert {f"e-{n:08}" for n in (0, 29)} <= set(collector.counted)
    assert intake.waiting == 0


async def test_when_what_writes_breaks_nobody_waits_for_ever() -> None:
    class Broken(Scripted):
        async def record(self, events: object) -> int:
            await self.gate.wait()
            raise NotImplementedError(events)

    collector = Broken()
    collector.gate.clear()
    intake = DirectIntake(collector, limit=20_000)
    callers = [asyncio.create_task(intake.accept(batch(6_000))) for _ in range(3)]
    await waiting(intake, 18_000)

    task = intake._group._task
    collector.gate.set()
    told = await asyncio.gather(*callers, return_exceptions=True)

    assert [type(error) for error in told] == [Unavailable] * 3
    assert intake.waiting == 0
    assert task is not None
    assert isinstance(task.exception(), NotImplementedError)


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (DataError("INSERT", {}, ValueError("integer out of range")), True),
        (OverflowError("int too large"), True),
        (ProgrammingError("INSERT", {}, ValueError("no such column: colour")), False),
        (AttributeError("no such column: colour"), False),
    ],
)
async def test_only_what_is_the_datas_fault_is_held_against_an_event(
    error: Exception, blamed: bool
) -> None:
    class Picky(Scripted):
        async def record(self, events: object) -> int:
            assert events
            raise error

    if blamed:
        assert list(await record(Picky(), batch(3))) == [e.event_id for e in batch(3)][::-1]
    else:
        with pytest.raises(Unavailable, match="refuses all events: no such column"):
            await record(Picky(), batch(3))


async def test_what_postgresql_itself_refuses_is_found_among_the_others(database: Database) -> None:
    odd = Event(version_id=VERSION, event_id="e-odd", user_id="a\0b")
    if database.url.get_backend_name() == "sqlite":
        odd = Event(version_id=VERSION, event_id="e-odd", tokens=2**70)

    refused = await record(MetricsCollector(database), [*batch(20), odd, *batch(20, start=20)])

    assert list(refused) == ["e-odd"]
    assert (await MetricsCollector(database).get_metrics(VERSION)).total_events == 40


async def test_events_wait_in_the_stream_and_not_in_the_database(redis_url: str) -> None:
    fallback = Scripted()
    async with broker.connect(redis_url) as client:
        intake = StreamIntake(client, DirectIntake(fallback))

        await asyncio.gather(*(intake.accept(batch(700, start=n * 700)) for n in range(10)))

        backlog = await Stream(client).backlog()
        sizes = [int(each[b"n"]) for each in await entries(client, Stream(client).name)]
    assert fallback.tried == 0
    assert (sum(sizes), max(sizes)) == (7_000, 1_000)
    assert backlog.entries == len(sizes)
    assert backlog.held > 7_000
    assert backlog.pending == backlog.aside == 0


async def test_a_full_stream_refuses_and_loses_nothing(redis_url: str) -> None:
    async with broker.connect(redis_url) as client:
        intake = StreamIntake(client, DirectIntake(Scripted()), limit=20_000)
        outcomes = [await outcome(intake, batch(10, start=n * 10)) for n in range(100)]

        backlog = await Stream(client).backlog()
    [*taken, first], refused = outcomes[: backlog.entries + 1], outcomes[backlog.entries :]
    assert taken == [None] * backlog.entries != []
    assert all(isinstance(told, Overloaded) for told in (first, *refused))
    assert isinstance(first, Overloaded)
    assert first.retry_after > timedelta()
    assert "bytes of events wait to be counted, at most 20000 may" in str(first)
    assert 10_000 < backlog.held <= 20_000


async def test_without_redis_events_go_to_the_database_and_back_again(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    fallback = Scripted()
    async with broker.connect(server.url) as client:
        circuit = Circuit(first=QUICK, longest=QUICK)
        intake = StreamIntake(client, DirectIntake(fallback), circuit=circuit)

        await intake.accept(batch(10))
        assert len(fallback.counted) == 10
        server.start()
        await until(lambda: not circuit.pausing)
        await intake.accept(batch(10, start=10))
        assert len(fallback.counted) == 10
        server.wipe()
        await intake.accept(batch(10, start=20))
        assert len(fallback.counted) == 20
        server.start()
        await until(lambda: not circuit.pausing)
        await intake.accept(batch(10, start=30))

        assert (await Stream(client).backlog()).entries == 1
        assert len(fallback.counted) == 20
    server.kill()


async def test_while_redis_pauses_nobody_waits_for_it() -> None:
    now = 100.0
    circuit = Circuit(first=timedelta(seconds=1), longest=timedelta(seconds=5), clock=lambda: now)

    pauses = [circuit.failed() for _ in range(5)]
    pausing = circuit.pausing
    now += 5
    over = circuit.pausing

    assert pauses == [1, 2, 4, 5, 5]
    assert (pausing, over) == (True, False)
    assert (circuit.worked(), circuit.worked()) == (True, False)
    assert circuit.failed() == 1


async def test_a_redis_that_refuses_to_write_is_as_good_as_away(redis_url: str) -> None:
    fallback = Scripted()
    async with broker.connect(redis_url) as client:
        await client.set(Stream(client).name, "not a stream")

        await StreamIntake(client, DirectIntake(fallback)).accept(batch(3))

    assert len(fallback.counted) == 3


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://ada:secret@host/0", "http://host/0"),
        ("redis://:secret@host:port/0", "redis://…"),
        ("secret", "without ://"),
    ],
)
def test_a_wrong_url_is_told_without_its_secret(url: str, told: str) -> None:
    with pytest.raises(InvalidValue) as error:
        broker.connect(url)

    assert str(error.value) == (
        f"Redis URL {told} is not supported: give redis://host:6379/0, rediss://… or unix:///path"
    )


async def test_the_keys_of_two_databases_of_one_redis_are_told_apart() -> None:
    names = [broker.prefix(Redis.from_url(f"redis://host/{n}")) for n in (0, 3)]

    assert names == ["{rampart:0}:", "{rampart:3}:"]
