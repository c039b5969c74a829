"""`rampart db`: databases of other releases refused and upgraded, what is old swept."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain import schema
from domain.database import Database
from domain.retention.manager import RetentionManager
from embedded.ports import free_port
from tests.finished import tell
from tests.house import House
from tests.typed import Rampart


@pytest.fixture
def rampart(alone: Rampart) -> Rampart:
    """Run `rampart …` with a database of its own that is still empty."""
    return alone


def at(folder: Path, revision: str) -> None:
    """Make the tables of an earlier revision."""

    async def make() -> None:
        database = Database(f"sqlite:///{folder}/rampart.db")
        async with database.administered() as connection:
            await connection.run_sync(schema.migrate, revision)

    asyncio.run(make())


@pytest.mark.parametrize(
    "words", [("worker",), ("version", "list"), ("start", "greeting.system", "1.1.0")]
)
def test_a_database_of_an_earlier_release_is_refused_in_one_line(
    rampart: Rampart, tmp_path: Path, words: tuple[str, ...]
) -> None:
    at(tmp_path, "0002")

    said = rampart(*words)

    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert f"is at revision 0002, this release needs {schema.HEAD}: run `rampart db" in said.err


def test_an_embedded_stack_is_not_started_on_one(rampart: Rampart, tmp_path: Path) -> None:
    at(tmp_path, "0002")

    said = rampart("dev", "--port", str(free_port()))

    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "run `rampart db upgrade`" in said.err


def test_it_is_upgraded_once(rampart: Rampart, tmp_path: Path) -> None:
    at(tmp_path, "0001")

    before, upgraded, again, after = (
        rampart("db", words) for words in ("current", "upgrade", "upgrade", "current")
    )

    assert (before.code, upgraded.code, again.code, after.code) == (1, 0, 0, 0)
    assert f"is at revision 0001, this release needs {schema.HEAD}" in before.out
    assert f"from revision 0001 to revision {schema.HEAD}" in upgraded.out
    assert f"is at revision {schema.HEAD} already" in again.out
    assert rampart("version", "list").code == 0


def test_an_empty_database_is_made(rampart: Rampart) -> None:
    empty = rampart("db", "current", "--json")
    made = rampart("db", "upgrade")

    assert (empty.code, empty.json["revision"]) == (1, None)
    assert made.out.startswith(f"made the tables of revision {schema.HEAD} in sqlite")


def test_a_later_release_is_told_to_upgrade_rampart(rampart: Rampart, tmp_path: Path) -> None:
    rampart("db", "upgrade")
    asyncio.run(_mark(tmp_path, "0999"))

    said = rampart("db", "upgrade")

    assert (said.code, said.out) == (2, "")
    assert "is at revision 0999, which is newer than this release" in said.err


async def _mark(folder: Path, revision: str) -> None:
    database = Database(f"sqlite:///{folder}/rampart.db")
    async with database.administered() as connection:
        await connection.execute(schema.KEPT.update().values(version_num=revision))


@pytest.mark.parametrize("words", [("explain",), ("replay",), ("what-if", "--plan", "demo")])
def test_a_rollout_whose_evidence_was_swept_says_so(
    rampart: Rampart, tmp_path: Path, words: tuple[str, ...]
) -> None:
    async def roll_back_and_sweep() -> None:
        database = Database(f"sqlite:///{tmp_path}/rampart.db")
        house = House(database)
        await house.furnish()
        await tell(house, "by a person")
        late = datetime.now(UTC) + timedelta(days=366)
        await RetentionManager(database).sweep(now=late)
        await database.dispose()

    asyncio.run(roll_back_and_sweep())
    verb, *options = words

    said = rampart(verb, "greeting.system", *options)

    assert (said.code, said.out) == (2, "")
    assert "was deleted on" in said.err
    assert "its journal is kept: see it with `rampart journal`" in said.err
    assert "it is rude" in rampart("journal", "greeting.system").out
