"""Long work shows a bar to whoever sits at a terminal, and to nobody else."""

import sqlite3
from pathlib import Path

import pytest

from domain import schema
from domain.database import Database
from tests.finished import tell
from tests.house import House
from tests.journeys.terminal import Terminal
from tests.typed import Rampart

SIMULATE = ("simulate", "standard", "--users-per-hour", "2000", "--runs", "400", "--fast")


def test_a_simulation_shows_how_far_it_is_and_leaves_only_its_table() -> None:
    with Terminal(*SIMULATE) as terminal:
        terminal.until("simulating 400 rollouts of each kind", "%")
        code = terminal.end()

    assert code == 0
    assert "simulating 400" not in terminal.text
    assert "false rollback" in terminal.flowing


def test_nobody_else_sees_it(alone: Rampart) -> None:
    said = alone("simulate", "demo", "--users-per-hour", "200000", "--runs", "20", "--fast")

    assert (said.code, said.err) == (0, "")


def test_an_import_shows_a_bar(tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    for number in range(200):
        (folder / f"p{number}.system.md").write_text(f"Hello {number}\n")
    url = f"sqlite:///{tmp_path}/rampart.db"

    with Terminal("version", "import", str(folder), RAMPART_DATABASE_URL=url) as terminal:
        code = terminal.end()

    assert code == 0
    assert b"importing 200 files" in terminal.written
    assert "200 created" in terminal.text


@pytest.mark.parametrize("at", ["0001", "0003"])
async def test_an_upgrade_shows_a_bar_and_counts_its_steps(tmp_path: Path, at: str) -> None:
    url, told = f"sqlite:///{tmp_path}/rampart.db", list[float]()
    database = Database(url)
    async with database.administered() as connection:
        await connection.run_sync(schema.migrate, at)

    await schema.upgrade(database, told=told.append)
    with sqlite3.connect(tmp_path / "rampart.db") as connection_:
        (revision,) = connection_.execute("SELECT version_num FROM alembic_version").fetchone()

    steps = int(schema.HEAD) - int(at)
    assert told == [step / steps for step in range(1, steps + 1)]
    assert revision == schema.HEAD
    with Terminal("db", "upgrade", RAMPART_DATABASE_URL=url) as terminal:
        assert terminal.end() == 0
    assert b"upgrading the tables" in terminal.written


async def test_a_replay_shows_a_bar(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/rampart.db"
    database = Database(url)
    house = House(database)
    await house.furnish()
    await tell(house, "harmed at 10 %")
    await database.dispose()

    with Terminal("replay", "greeting.system", RAMPART_DATABASE_URL=url) as terminal:
        code = terminal.end()

    assert code == 0
    assert b"checks again" in terminal.written
    assert "no difference" in terminal.flowing
