"""Databases of every release become those of this one, with all that is in them; or are refused."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, DateTime, MetaData, inspect, text
from sqlalchemy.engine import make_url
from sqlmodel import SQLModel

from domain import schema
from domain.database import Database
from domain.errors import Conflict, Unavailable, WrongRevision
from settings import child_environment
from tests.databases.record import Answers, asked
from tests.house import House

ROOT = Path(__file__).parents[2]
DATABASES = ROOT / "tests" / "databases"
RELEASES = {"0.1.0": "0001", "0.2.0": "0002", "0.3.0": "0003"}
KINDS = ("sqlite", "postgresql")
FIRST = "import asyncio; from domain.database import Database; asyncio.run(Database({!r}).probe())"
UPGRADE = (
    "import asyncio; from domain import schema; from domain.database import Database;"
    " print(asyncio.run(schema.upgrade(Database({!r}))).before)"
)


@pytest_asyncio.fixture(params=KINDS)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database without tables, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/rampart.db"
        return
    server, name = request.getfixturevalue("postgres"), f"test_{uuid4().hex}"
    await _administer(server, f'CREATE DATABASE "{name}"')
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    await _administer(server, f'DROP DATABASE "{name}"')


@pytest_asyncio.fixture
async def empty(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.dispose()


async def _administer(server: str, statement: str) -> None:
    connection = await asyncpg.connect(make_url(server).render_as_string(hide_password=False))
    await connection.execute(statement)
    await connection.close()


def recorded(release: str) -> Any:
    return json.loads((DATABASES / f"{release}.json").read_text())


async def made_by(release: str, database: Database) -> Answers:
    """Fill the database as the release did; return what it said."""
    kept, revision = recorded(release), RELEASES[release]
    async with database.administered() as connection:
        if connection.dialect.name == "sqlite":
            for statement in kept["sqlite"]:
                await connection.execute(text(statement))
        else:
            await connection.run_sync(schema.migrate, revision)
            if revision in schema.BEFORE:
                await connection.execute(text("DROP TABLE alembic_version"))
        if revision not in schema.BEFORE:
            await connection.execute(text("DELETE FROM alembic_version"))
            await connection.execute(schema.KEPT.insert().values(version_num=revision))
        await connection.run_sync(_fill, kept["rows"])
    answers: Answers = kept["answers"]
    return answers


def _fill(connection: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    there = MetaData()
    there.reflect(connection)
    for table in there.sorted_tables:
        if table.name == schema.KEPT.name:
            continue
        instants = {c.name for c in table.columns if isinstance(c.type, DateTime)}
        read = [
            {
                name: datetime.fromisoformat(value) if value and name in instants else value
                for name, value in row.items()
            }
            for row in rows[table.name]
        ]
        assert read, f"nothing was recorded in {table.name}"
        connection.execute(table.insert(), read)


async def told(database: Database) -> Answers:
    answers: Answers = json.loads(json.dumps(await asked(House(database))))
    return answers


async def at(database: Database, revision: str) -> None:
    async with database.administered() as connection:
        await connection.run_sync(schema.migrate, revision)


async def described(database: Database) -> dict[str, Any]:
    """Return all there is to tell two databases by, but the order of columns."""
    async with database.administered(reading=True) as connection:
        return await connection.run_sync(_described)


def _described(connection: Connection) -> dict[str, Any]:
    seen = inspect(connection)
    return {
        name: {
            "columns": {
                c["name"]: (str(c["type"]), c["nullable"], c["default"])
                for c in seen.get_columns(name)
            },
            "key": seen.get_pk_constraint(name),
            "references": _sorted(seen.get_foreign_keys(name)),
            "unique": _sorted(seen.get_unique_constraints(name)),
            "indexes": _sorted(seen.get_indexes(name)),
            "options": seen.get_table_options(name),
        }
        for name in seen.get_table_names()
    }


def _sorted(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(json.dumps(each, default=str, sort_keys=True) for each in found)


async def run(code: str) -> tuple[int, str, str]:
    """Run Python in a process of its own; return its exit code and what it printed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), cwd=ROOT, env=child_environment(), stdout=PIPE, stderr=PIPE
    )
    out, err = await child.communicate()
    return child.returncode or 0, out.decode().strip(), err.decode()


async def test_a_new_database_and_a_migrated_one_are_the_same(
    empty: Database, tmp_path: Path
) -> None:
    await at(empty, schema.HEAD)
    migrated = await described(empty)
    other = Database(f"sqlite:///{tmp_path}/other.db")
    if empty.url.get_backend_name() == "postgresql":
        other = empty
        async with other.administered() as connection:
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))

    await other.probe()
    await other.dispose()

    assert await described(other) == migrated


async def test_alembic_would_add_nothing_to_the_migrations(empty: Database) -> None:
    await at(empty, schema.HEAD)

    async with empty.administered(reading=True) as connection:
        missing = await connection.run_sync(
            lambda c: compare_metadata(MigrationContext.configure(c), SQLModel.metadata)
        )

    assert missing == []


def test_the_revision_this_release_needs_is_the_latest_there_is() -> None:
    scripts = ScriptDirectory(str(ROOT / "domain" / "migrations"))

    assert scripts.get_heads() == [schema.HEAD]


@pytest.mark.parametrize("release", RELEASES)
async def test_the_migrations_make_what_the_release_made(release: str, tmp_path: Path) -> None:
    migrated = Database(f"sqlite:///{tmp_path}/migrated.db")
    await at(migrated, RELEASES[release])
    original = Database(f"sqlite:///{tmp_path}/original.db")
    await made_by(release, original)

    there = await described(migrated)

    if RELEASES[release] in schema.BEFORE:
        del there["alembic_version"]
    assert there == await described(original)


@pytest.mark.parametrize("release", RELEASES)
async def test_a_database_of_an_earlier_release_says_after_the_upgrade_what_it_said_before(
    empty: Database, release: str
) -> None:
    said = await made_by(release, empty)

    upgraded = await schema.upgrade(empty)

    before = schema.UNNAMED if RELEASES[release] in schema.BEFORE else RELEASES[release]
    assert upgraded == schema.Upgrade(before, schema.HEAD)
    assert await told(empty) == said


@pytest.mark.parametrize("release", RELEASES)
async def test_what_went_on_before_the_upgrade_goes_on_after_it(
    empty: Database, release: str
) -> None:
    await made_by(release, empty)
    await schema.upgrade(empty)
    house = House(empty)
    live = (await house.rollouts.list(limit=1))[0]
    before = await house.metrics.get_metrics(live.candidate_id)
    verdicts = len(await house.rollouts.checks(live.id))

    await house.events("1.1.0", good=5, bad=5)
    await house.rollouts.check(live.id, number=verdicts + 1)
    await house.rollouts.roll_back(live.id, reason="enough", by="ana")

    after = await house.metrics.get_metrics(live.candidate_id)
    assert after.total_uses == before.total_uses + 10
    assert len(await house.rollouts.checks(live.id)) == verdicts + 1
    assert (await house.rollouts.get(live.id)).status == "rolled_back"


@pytest.mark.parametrize("revision", RELEASES.values())
async def test_every_revision_is_upgraded_when_it_says_which_it_is(
    empty: Database, revision: str
) -> None:
    await at(empty, revision)

    first, second = await schema.upgrade(empty), await schema.upgrade(empty)

    assert first == schema.Upgrade(revision, schema.HEAD)
    assert second == schema.Upgrade(schema.HEAD, schema.HEAD)
    await empty.probe()


async def test_an_empty_database_is_made_by_whoever_uses_it_first(empty: Database) -> None:
    assert await schema.current(empty) is None

    await empty.probe()

    assert await schema.current(empty) == schema.HEAD


async def test_an_empty_database_may_be_upgraded(empty: Database) -> None:
    assert await schema.upgrade(empty) == schema.Upgrade(None, schema.HEAD)
    await empty.probe()


async def test_many_processes_may_be_the_first(url: str) -> None:
    ended = await asyncio.gather(*(run(FIRST.format(url)) for _ in range(3)))

    assert [code for code, _, _ in ended] == [0] * 3, ended


async def test_two_processes_may_upgrade_at_once(empty: Database, url: str) -> None:
    said = await made_by("0.2.0", empty)

    ended = await asyncio.gather(*(run(UPGRADE.format(url)) for _ in range(2)))

    assert sorted((code, out) for code, out, _ in ended) == [(0, ""), (0, schema.HEAD)], ended
    assert await told(empty) == said


async def test_a_database_that_is_not_upgraded_is_refused_in_one_line(empty: Database) -> None:
    await at(empty, "0002")

    with pytest.raises(WrongRevision) as refusal:
        await empty.probe()

    assert str(refusal.value) == (
        f"database {empty.name} is at revision 0002, this release needs {schema.HEAD}:"
        " run `rampart db upgrade`"
    )


async def test_a_database_from_before_revisions_is_refused_until_it_is_upgraded(
    empty: Database,
) -> None:
    await made_by("0.2.0", empty)

    with pytest.raises(WrongRevision, match=r"was made before release 0\.3, this release needs"):
        await empty.probe()
    await schema.upgrade(empty)

    await empty.probe()


async def test_a_database_of_a_later_release_is_refused_and_left_alone(empty: Database) -> None:
    await empty.probe()
    async with empty.administered() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    late = Database(empty.url.render_as_string(hide_password=False))

    for attempt in (late.probe(), schema.upgrade(late)):
        with pytest.raises(WrongRevision, match="0999, which is newer than this release"):
            await attempt

    assert await schema.current(late) == "0999"
    await late.dispose()


async def test_tables_that_nobody_knows_are_left_as_they_are(empty: Database) -> None:
    await made_by("0.2.0", empty)
    async with empty.administered() as connection:
        await connection.execute(text("ALTER TABLE event ADD COLUMN colour VARCHAR"))

    with pytest.raises(Conflict, match=r"\(event\.colour is not as in 0\.2\): it is left"):
        await schema.upgrade(empty)

    assert await schema.current(empty) == schema.UNNAMED


async def test_an_upgrade_that_fails_has_changed_nothing(empty: Database) -> None:
    said = await made_by("0.2.0", empty)
    async with empty.administered() as connection:
        await connection.execute(text("CREATE TABLE token (id VARCHAR)"))  # in the way

    with pytest.raises(Unavailable, match="token"):
        await schema.upgrade(empty)

    assert await schema.current(empty) == schema.UNNAMED
    async with empty.administered() as connection:
        await connection.execute(text("DROP TABLE token"))
    await schema.upgrade(empty)
    assert await told(empty) == said


async def test_looking_at_the_revision_waits_for_no_writer(sqlite: Database) -> None:
    await sqlite.probe()
    other = Database(sqlite.url.render_as_string())

    async with sqlite.transaction():
        await other.probe()

    await other.dispose()


async def test_alembic_is_not_loaded_to_find_that_all_is_well(sqlite: Database) -> None:
    await sqlite.probe()
    url = sqlite.url.render_as_string()

    code, out, err = await run(FIRST.format(url) + "; import sys; print('alembic' in sys.modules)")

    assert (code, out) == (0, "False"), err
