"""An embedded stack for each file, and the command line on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dev import Stack
from embedded.ports import free_port
from tests.typed import Rampart, alone

__all__ = ["alone"]  # a fixture

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder: a journey goes with `make journeys`, not with `make test`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("journey")


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("stack"), port=free_port()) as running:
        yield running


@pytest.fixture
def rampart(alone: Rampart, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Rampart:
    """Run `rampart …` on the stack."""
    for name, value in stack.variables().items():
        monkeypatch.setenv(name, value)
    return alone
