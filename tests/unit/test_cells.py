"""Cells under load: written in parts at once, read as one, and never more than there may be."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta, timezone

import pytest
import pytest_asyncio
from sqlmodel import select

from domain.cells import SHARDS, SURPLUS
from domain.database import Database
from domain.events import arrived
from domain.experiments import ABTestManager
from domain.limits import METRICS_LIMIT
from domain.metrics import MetricsCollector
from domain.prompts import PromptVariant
from domain.stats.moments import Moments
from domain.tables import CellRow
from domain.versions import VersionManager
from domain.wire import Event

WRITERS = 4


@pytest.fixture
def metrics(database: Database) -> MetricsCollector:
    return MetricsCollector(database)


@pytest_asyncio.fixture
async def processes(database: Database) -> AsyncIterator[list[MetricsCollector]]:
    """Collectors that share nothing but the database, as those of several processes."""
    url = database.url.render_as_string(hide_password=False)
    several = [Database(url) for _ in range(WRITERS)]
    yield [MetricsCollector(each) for each in several]
    for each in several:
        await each.dispose()


def named(names: Iterable[str], *, version_id: str = "v1") -> list[Event]:
    """Return an event for each name, with one number of that name."""
    return [Event(version_id=version_id, numbers={name: 1.0}) for name in names]


async def shards(database: Database) -> set[int]:
    async with database.reading() as session:
        return set((await session.exec(select(CellRow.shard))).all())


async def test_what_several_processes_count_at_once_reads_as_one(
    database: Database, processes: list[MetricsCollector]
) -> None:
    versions = ["v1", "V2", "ü"]  # collations disagree about their order

    async def send(n: int) -> int:
        events = [
            Event(version_id=v, success=n % 2 == 0, response_time=1 + n % 4, numbers={"cost": 2})
            for v in (versions if n % 3 else versions[::-1])
        ]
        return await processes[n % WRITERS].record(events * 5)

    counted = await asyncio.gather(*(send(n) for n in range(40)))

    assert sum(counted) == 40 * 3  # of five with the same id, one
    for version_id in versions:
        found = await processes[0].read_cells([version_id])
        cells = {key.metric: cell for key, cell in found.items()}
        assert (cells["success"].n, round(cells["success"].total)) == (40, 20)
        assert cells["response_time"].n == 40
        assert cells["response_time"].mean == pytest.approx(2.5)
        assert cells["response_time"].moments.m2 == pytest.approx(50)
        assert sorted(cells["response_time"].histogram.counts.values()) == [10] * 4
        assert cells["cost"].moments == Moments(40, 2.0, 0.0, 2.0, 2.0)
    used = await shards(database)
    assert used <= set(range(SHARDS))
    assert (len(used) > 1) == (database.url.get_backend_name() == "postgresql")


async def test_a_reset_among_writers_of_all_shards_forgets_all_of_them(
    processes: list[MetricsCollector],
) -> None:
    async def act(n: int) -> None:
        await processes[n % WRITERS].record(named([f"n{n}", "cost"]))
        if n % 8 == 0:
            await processes[n % 3].reset_metrics("v1")

    await asyncio.gather(*(act(n) for n in range(40)))

    left = await processes[0].get_events("v1")
    assert (await processes[0].read_cell("v1")).n == len(left)
    assert await processes[1].reset_metrics("v1") == bool(left)
    assert await processes[2].read_cells(["v1"]) == {}


async def test_a_version_has_cells_of_its_first_200_names_and_counts_the_surplus(
    metrics: MetricsCollector,
) -> None:
    events = named(f"n{n:03}" for n in range(METRICS_LIMIT + 50))

    assert [await metrics.record(events), await metrics.record(events)] == [len(events), 0]
    await metrics.record(named(["n007", "new"]))
    await metrics.record(named(["new"], version_id="v2"))

    found = {key.metric: cell for key, cell in (await metrics.read_cells(["v1"])).items()}
    kept = {f"n{n:03}" for n in range(METRICS_LIMIT)}
    assert found.keys() == kept | {"success", SURPLUS}
    assert (found["success"].n, found[SURPLUS].n, found["n007"].n) == (len(events) + 2, 51, 2)
    assert (await metrics.read_cell("v2", metric="new")).n == 1
    raw = await metrics.get_events("v1")
    assert {name for event in raw for name in event.numbers} == {*kept, "new"} | {
        f"n{n:03}" for n in range(METRICS_LIMIT, METRICS_LIMIT + 50)
    }


async def test_names_that_come_at_once_are_bounded_too(processes: list[MetricsCollector]) -> None:
    batches = [
        named((f"w{n}.{k}" for k in range(30)), version_id=v)
        for n in range(12)
        for v in ("v1", "v2")
    ]

    await asyncio.gather(
        *(processes[n % WRITERS].record(batch) for n, batch in enumerate(batches)),
        *(processes[n].record([*batches[n], *batches[n + 1]]) for n in range(WRITERS)),
    )

    for version_id in ("v1", "v2"):
        found = await processes[0].read_cells([version_id])
        cells = {key.metric: cell for key, cell in found.items()}
        assert len(cells) == METRICS_LIMIT + len(("success", SURPLUS))
        assert cells["success"].n == 360
        assert sum(cell.n for name, cell in cells.items() if name != "success") == 360


async def test_an_event_that_happened_elsewhere_on_earth_is_kept_in_utc(
    metrics: MetricsCollector,
) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    there = at.astimezone(timezone(timedelta(hours=-7)))

    await metrics.record([Event(version_id="v1", occurred_at=there)])

    [event] = await metrics.get_events("v1")
    assert (event.timestamp, event.timestamp.utcoffset()) == (at, timedelta(0))
    assert (await metrics.get_metrics("v1")).last_used == at


WEIRD = [
    "\x1f",
    "a\x1fb",
    "NULL",
    "None",
    '{"}',
    "\\",
    "'",
    '"',
    " ",
    "ü",
    "😀",
    "\n",
    "x" * 200,
    ",",
]


@pytest.mark.parametrize(
    "texts", [WEIRD, [t for t in WEIRD if "\x1f" not in t]], ids=["1f", "no 1f"]
)
@pytest.mark.parametrize("some", [True, False], ids=["some missing", "none missing"])
async def test_many_events_come_back_as_they_were_sent_whatever_is_in_them(
    metrics: MetricsCollector, texts: list[str], some: bool
) -> None:
    rng = random.Random(7)  # noqa: S311  # no secret
    now = datetime.now(UTC)
    sent = [
        Event(
            version_id="v1",
            event_id=f"{n:03}{texts[n % len(texts)]}"[:200],
            user_id=None if some and n % 3 == 0 else texts[n % len(texts)],
            experiment_id=None if some and n % 2 == 0 else "elsewhere",
            success=n % 5 > 0,
            response_time=None
            if some and n % 7 == 0
            else rng.expovariate(1) * 10 ** rng.randint(-300, 90),
            tokens=None if some and n % 4 == 0 else rng.getrandbits(63),
            user_rating=rng.uniform(1, 5) if some and n % 6 == 0 else 5.0,
            numbers={"cost": rng.gauss(0, 1)} if n % 2 else {},
            metadata={"said": texts[n % len(texts)]} if some and n % 8 == 0 else {},
            occurred_at=now - timedelta(microseconds=rng.getrandbits(41)),
        )
        for n in range(300)
    ]

    assert await metrics.record(sent[:200]) == 200
    assert await metrics.record([*sent[150:], *sent[:10]]) == 100

    found = {event.event_id: event for event in await metrics.get_events("v1")}
    assert found == {
        event.event_id: arrived(event, experiment_id=event.experiment_id) for event in sent
    }


async def test_surplus_numbers_are_not_observed_either(database: Database) -> None:
    metrics, manager = MetricsCollector(database), ABTestManager(database)
    versions = VersionManager(database)
    await versions.create_version("greeting", "system", "Hi", "1.0.0")
    made = await versions.create_version("greeting", "system", "Hello", "1.0.1")
    arms = [PromptVariant("1.0.0", 1.0), PromptVariant("1.0.1", 1.0)]
    await manager.create_experiment("greeting", "system", arms, experiment_id="exp")
    names = [f"n{n:03}" for n in range(METRICS_LIMIT + 1)]

    await metrics.record(
        [Event(version_id=made.version_id, user_id="ada", numbers={name: 1}) for name in names]
    )

    found = await metrics.read_observed([made.version_id], experiment_id="exp", epoch=1)
    inside = await metrics.read_cells([made.version_id], experiment_id="exp", epoch=1)
    assert {key.metric for key in found} == {"success", *names[:-1]}
    assert {key.metric for key in inside} == {"success", SURPLUS, *names[:-1]}
