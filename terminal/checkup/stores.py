"""The stores: the database with its tables, its clock and its disk, and Redis."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from sqlalchemy import text

from domain import broker, schema
from domain.database import Database
from domain.errors import InvalidValue, Unavailable
from domain.intake.stream import Stream
from settings import Settings
from terminal.checkup.finding import Finding, clock, failed, ok, warning

MIB = 2**20
LITTLE, TOO_LITTLE = 1024 * MIB, 100 * MIB  # of disk, for a SQLite file
START = "start it, or set RAMPART_DATABASE_URL"
OLD = "run `rampart db upgrade`"
NEW = "upgrade rampart to the release that made them"


async def database(settings: Settings) -> list[Finding]:
    """Look at the database; nothing is made in it."""
    try:
        found = Database(settings.database_url)
    except InvalidValue as error:
        return [failed("database", str(error), "correct RAMPART_DATABASE_URL")]
    if found.url.get_backend_name() == "postgresql":
        return await _asked(found)
    file = Path(found.url.database or ":memory:")
    if not _there(file):
        said = f"there is no file {file} yet"
        return [warning("database", said, "the first command or `rampart dev` makes it")]
    return [*await _asked(found), *_disk(file)]


async def redis(settings: Settings) -> list[Finding]:
    """Look at Redis, where there is one."""
    if not settings.redis_url:
        return [ok("Redis", "is not used: events go straight into the database")]
    where = broker.address(settings.redis_url)
    try:
        async with broker.connect(settings.redis_url) as client:
            begun = monotonic()
            version = (await client.info("server"))["redis_version"]
            took = 1000 * (monotonic() - begun)
            stream = Stream(client)
            aside, dangers = (await stream.backlog()).aside, await stream.dangers()
    except InvalidValue as error:
        return [failed("Redis", str(error), "correct RAMPART_REDIS_URL")]
    except broker.OUTAGES as error:
        said = f"{where} does not answer: {error}"
        return [failed("Redis", said, "start it, correct RAMPART_REDIS_URL, or do without it")]
    seen = [ok("Redis", f"{version} at {where}, answers in {took:.0f} ms")]
    if dangers:
        advice = "appendonly yes and maxmemory-policy noeviction (docs/guides/production.md)"
        seen.append(warning("Redis durability", "; ".join(dangers), advice))
    if aside:
        said = f"{aside} batches could not be counted and are set aside"
        advice = "mend the cause the worker logs, then `rampart stream restore`"
        seen.append(warning("Redis stream", said, advice))
    return seen


async def _asked(found: Database) -> list[Finding]:
    begun = monotonic()
    try:
        revision = await schema.current(found)
        took = 1000 * (monotonic() - begun)
        seen = [ok("database", f"{found.name} answers in {took:.0f} ms"), _tables(revision)]
        if found.url.get_backend_name() == "postgresql":
            seen.append(clock("database clock", await _ahead(found)))
        return seen
    except Unavailable as error:
        return [failed("database", str(error), START)]


def _there(file: Path) -> bool:
    return file.exists()


def _tables(revision: str | None) -> Finding:
    if revision is None:
        return warning("tables", "there are none yet", "the first command makes them")
    at = f"revision {revision}" if revision else "of a release before 0.3"
    if revision == schema.HEAD:
        return ok("tables", f"{at}, as this release needs")
    advice = NEW if revision > schema.HEAD else OLD
    return failed("tables", f"{at}, this release needs {schema.HEAD}", advice)


async def _ahead(found: Database) -> timedelta:
    """Return by how much the database's clock is before ours, to half of what asking takes."""
    async with found.administered(reading=True) as connection:
        begun = datetime.now(UTC)
        theirs: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        ended = datetime.now(UTC)
    return theirs - (begun + (ended - begun) / 2)


def _disk(file: Path) -> Iterator[Finding]:
    folder = file.resolve().parent
    if not (os.access(file, os.W_OK) and os.access(folder, os.W_OK)):
        yield failed("disk", f"{file} or its folder may not be written", "chown or chmod them")
        return
    free = shutil.disk_usage(folder).free
    said = f"{free / MIB:,.0f} MiB free beside {file}"
    if free < LITTLE:
        make = failed if free < TOO_LITTLE else warning
        yield make("disk", said, "make room, or sweep: `rampart db retention --now`")
    else:
        yield ok("disk", said)
