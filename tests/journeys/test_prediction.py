"""What `rampart simulate` foretells of the demo, and what the demo does."""

import asyncio
from pathlib import Path
from statistics import median

import pytest

from benchmarks import prediction
from domain.simulation.forecast import Scene
from domain.simulation.runs import simulate

pytestmark = pytest.mark.timeout(300)


@pytest.mark.guarantee(8)
async def test_the_live_demo_rolls_its_bad_version_back_when_the_fast_path_says(
    tmp_path: Path,
) -> None:
    foretold = Scene.of(simulate(prediction.PLAN, prediction.EXPECTED, runs=500))

    seconds = median(await prediction.measure(tmp_path, 3))

    assert foretold.hours
    assert 3600 * foretold.hours.median / 3 <= seconds <= 3 * 3600 * foretold.hours.p90
    await asyncio.sleep(0.05)
