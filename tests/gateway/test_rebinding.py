"""An open gateway answers to this machine's own names, not to those of web pages."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from domain.database import Database
from tests.gateway.entrance import Entrance, entrance

PATHS = (
    ("GET", "/ui"),
    ("GET", "/v1/rollouts"),
    ("POST", "/v1/rollouts/greeting.system/rollback"),
    ("POST", "/ofrep/v1/evaluate/flags"),
    ("GET", "/v1/changes?ticket=x"),
    ("POST", "/ui/login"),
)


@pytest_asyncio.fixture(scope="module")
async def wide(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Entrance]:
    """An open gateway for all stories here, of which none changes anything."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('wide')}/rampart.db")
    async with entrance(database, open=True) as found:
        yield found
    await database.dispose()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "[::1", ""]
)
async def test_another_name_is_refused_everywhere(wide: Entrance, host: str) -> None:
    for method, path in PATHS:
        answer = await wide.ask(method, path, role=None, headers={"host": host})

        assert answer.status_code == 421, path
        assert "answers to" in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "demo.localhost"])
async def test_its_own_names_are_answered_without_a_token(wide: Entrance, host: str) -> None:
    page = await wide.ask("GET", "/ui", role=None, headers={"host": host})

    assert page.status_code == 200
    assert "Log out" not in page.text


async def test_a_closed_gateway_does_not_care_for_names(sqlite: Database) -> None:
    async with entrance(sqlite) as way_in:
        answer = await way_in.ask("GET", "/v1/prompts", headers={"host": "rampart.example"})

        assert answer.status_code == 200
