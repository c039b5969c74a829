"""A rollout that the release before began goes on under this one: its own code, its own tables."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from domain.record import Kind, RolloutStatus
from tests.chaos import upgrades
from tests.chaos.cells import Play
from tests.chaos.place import Need, Place, Town, town
from tests.chaos.scene import PROMOTED, ROLLED_BACK, Scene

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.mark.parametrize(
    ("play", "ending", "story"),
    [
        (upgrades.taken_over, RolloutStatus.PROMOTED, PROMOTED),
        (upgrades.taken_back, RolloutStatus.ROLLED_BACK, ROLLED_BACK),
    ],
)
async def test_a_rollout_begun_by_the_release_before_goes_on_under_this_one(
    shared: Town, tmp_path: Path, play: Play, ending: RolloutStatus, story: Sequence[Kind]
) -> None:
    folder = tmp_path / f"upgrade_{ending}"
    folder.mkdir()
    needs = frozenset({Need.EMPTY_DATABASE})
    async with Place(shared, folder, needs=needs) as place, Scene(place) as scene:
        await play(scene)

        await scene.ended(ending, story=story)
