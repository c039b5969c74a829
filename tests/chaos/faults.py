"""What breaks, and how it is mended: each a context in which it is broken."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from redis import Redis

from domain.record import RolloutStatus
from tests.chaos.place import Need
from tests.chaos.proxy import Outage
from tests.chaos.scene import Scene

Broken = Callable[[Scene], AbstractAsyncContextManager[None]]
LOSABLE_S = (2.0, 0.5)  # before and after a wipe: docs/guides/production.md, "Redis"
HOUR_S = 3600
BLOCK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that breaks while a stage bakes, or while a rollback is at its commit.

    Attributes:
        away_s: How long it is broken.
        moment: Of the rollback's first commit, at which it breaks.
        lasts: It is never mended, and the rollback has to do with it from its beginning.
    """

    name: str
    broken: Broken
    needs: frozenset[Need] = frozenset()
    away_s: float = 2.0
    moment: str = "before"
    lasts: bool = False


@asynccontextmanager
async def temporal_killed(scene: Scene) -> AsyncIterator[None]:
    scene.place.temporal.kill()
    yield
    await scene.place.temporal.start()


@asynccontextmanager
async def postgres_killed(scene: Scene) -> AsyncIterator[None]:
    postgres = scene.place.postgres
    await postgres.kill()
    yield
    await postgres.start()


@asynccontextmanager
async def gateway_killed(scene: Scene) -> AsyncIterator[None]:
    scene.gateway.kill()
    yield
    await scene.gateway.start()


@asynccontextmanager
async def redis_killed(scene: Scene) -> AsyncIterator[None]:
    scene.redis.kill()
    yield
    await asyncio.to_thread(scene.redis.start)


@asynccontextmanager
async def redis_flushed(scene: Scene) -> AsyncIterator[None]:
    with Redis.from_url(scene.redis.url) as client:
        await asyncio.to_thread(client.flushall)
    at = monotonic()
    yield
    before, after = LOSABLE_S
    heard = scene.people.acknowledged.items()
    scene.lost = frozenset(key for key, when in heard if at - before <= when <= at + after)


@asynccontextmanager
async def all_killed(scene: Scene) -> AsyncIterator[None]:
    for worker in scene.workers:
        worker.kill()
    async with (
        gateway_killed(scene),
        temporal_killed(scene),
        redis_killed(scene),
        postgres_killed(scene),
    ):
        yield
    scene.work()


def network(outage: Outage) -> Broken:
    @asynccontextmanager
    async def broken(scene: Scene) -> AsyncIterator[None]:
        await scene.place.proxy.fail(outage)
        yield
        await scene.place.proxy.heal()

    return broken


def clock(hours: int) -> Broken:
    """Step the clock of the worker, for good."""

    @asynccontextmanager
    async def broken(scene: Scene) -> AsyncIterator[None]:
        scene.place.clock.set(hours * HOUR_S)
        yield
        await scene.closed()
        (rollout,) = await scene.house.rollouts.list()
        stepped = datetime.now(UTC) + timedelta(hours=hours)
        lines = await scene.house.rollouts.decisions(rollout.id)
        felt = [line for line in lines if abs(line.at - stepped) < timedelta(minutes=30)]
        assert felt, "the worker never saw the clock step"
        described = await scene.handle.describe()
        assert described.close_time
        took = described.close_time - described.start_time
        least = sum((stage.bake for stage in rollout.plan.stages), timedelta())
        early = rollout.status == RolloutStatus.PROMOTED and took < least
        assert not early, f"promoted after {took}, its bakes take {least}"

    return broken


@asynccontextmanager
async def disk_full(scene: Scene) -> AsyncIterator[None]:
    ballast = scene.place.disk / "ballast"
    await asyncio.to_thread(_fill, ballast)
    yield
    assert not scene.place.room, f"{scene.place.room} bytes were free all the time"
    ballast.unlink()


def _fill(ballast: Path) -> None:
    """Write until there is no room."""
    with ballast.open("wb", buffering=0) as file:
        for size in (BLOCK, 4096, 1):
            with suppress(OSError):
                while True:
                    _write(file.write, size)


def _write(write: Callable[[bytes], int | None], size: int) -> None:
    try:
        write(b"\0" * size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise AssertionError(f"the disk is not full: {error}") from error
        raise


PROXIED = {"Temporal": Need.PROXY_TO_TEMPORAL, "PostgreSQL": Need.PROXY_TO_POSTGRES}
AWAY_S = {Outage.CUT: 2.0, Outage.RESET: 2.0, Outage.BLACK_HOLE: 12.0}
EVERYTHING = frozenset({Need.OWN_TEMPORAL, Need.OWN_POSTGRES})
FAULTS = (
    Fault(
        name="Temporal killed",
        broken=temporal_killed,
        needs=frozenset({Need.OWN_TEMPORAL}),
        moment="after",
    ),
    Fault(name="PostgreSQL killed", broken=postgres_killed, needs=frozenset({Need.OWN_POSTGRES})),
    Fault(name="all killed at once", broken=all_killed, needs=EVERYTHING),
    Fault(name="gateway killed", broken=gateway_killed),
    Fault(name="Redis killed", broken=redis_killed),
    Fault(name="Redis flushed", broken=redis_flushed),
    *(
        Fault(
            name=f"worker – {far}: {outage}",
            broken=network(outage),
            needs=frozenset({need}),
            away_s=AWAY_S[outage],
            moment="after" if need is Need.PROXY_TO_TEMPORAL else "before",
        )
        for far, need in PROXIED.items()
        for outage in Outage
    ),
    *(
        Fault(
            name=f"worker's clock {hours:+d} h",
            broken=clock(hours),
            lasts=True,
            needs=frozenset({Need.CLOCK}),
        )
        for hours in (1, -1)
    ),
    Fault(name="disk full (SQLite)", broken=disk_full, needs=frozenset({Need.SMALL_DISK})),
)
