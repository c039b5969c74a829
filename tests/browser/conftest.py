"""One stack and one browser for all stories; a prompt and a window for each."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.person import Person, axe_source, chromium, sitting
from tests.browser.place import OPERATOR, Place, Prompt, opened

Sitting = Callable[..., AbstractAsyncContextManager[Person]]


@pytest_asyncio.fixture(scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """The embedded stack, and a gateway that asks who one is."""
    async with opened(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(scope="session")
async def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What looks for barriers."""
    return await axe_source(tmp_path_factory.mktemp("axe"))


@pytest.fixture
def sits(browser: Browser, place: Place, axe: str) -> Sitting:
    """Opens a window; afterwards nothing was loaded from elsewhere, and no script complained."""
    window = partial(sitting, browser, axe=axe)

    @asynccontextmanager
    async def strict(home: str = place.gateway, **more: object) -> AsyncIterator[Person]:
        async with window(home, **more) as person:  # type: ignore[arg-type]
            yield person
            assert person.elsewhere == []
            assert person.complaints == []

    return strict


@pytest_asyncio.fixture
async def stranger(sits: Sitting) -> AsyncIterator[Person]:
    """Somebody who has not logged in."""
    async with sits() as person:
        yield person


@pytest_asyncio.fixture
async def ann(stranger: Person, place: Place) -> Person:
    """An operator, logged in."""
    await stranger.go()
    await stranger.log_in(place.tokens[OPERATOR])
    await stranger.page.wait_for_url("**/ui")
    return stranger


@pytest_asyncio.fixture
async def prompt(place: Place) -> AsyncIterator[Prompt]:
    """A prompt of the story's own."""
    async with place.prompt() as found:
        yield found
