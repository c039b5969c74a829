"""An open gateway answers to this machine's own names, not to those of web pages."""

import pytest

from domain.database import Database
from tests.gateway.entrance import entrance

PATHS = (
    ("GET", "/ui"),
    ("GET", "/v1/rollouts"),
    ("POST", "/v1/rollouts/greeting.system/rollback"),
    ("POST", "/ofrep/v1/evaluate/flags"),
    ("GET", "/v1/changes?ticket=x"),
    ("POST", "/ui/login"),
)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "[::1", ""]
)
async def test_another_name_is_refused_everywhere(sqlite: Database, host: str) -> None:
    async with entrance(sqlite, open=True) as way_in:
        for method, path in PATHS:
            answer = await way_in.ask(method, path, role=None, headers={"host": host})

            assert answer.status_code == 421, path
            assert "answers to" in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "demo.localhost"])
async def test_its_own_names_are_answered_without_a_token(sqlite: Database, host: str) -> None:
    async with entrance(sqlite, open=True) as way_in:
        page = await way_in.ask("GET", "/ui", role=None, headers={"host": host})

        assert page.status_code == 200
        assert "Log out" not in page.text


async def test_a_closed_gateway_does_not_care_for_names(sqlite: Database) -> None:
    async with entrance(sqlite) as way_in:
        answer = await way_in.ask("GET", "/v1/prompts", headers={"host": "rampart.example"})

        assert answer.status_code == 200
