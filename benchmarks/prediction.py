"""Does `rampart simulate` predict how soon the live demo's bad version is rolled back?

Rolls the broken version of `rampart demo` out on a real stack, with the demo's users, again and
again, and holds the journal's times against the fast path's.

    uv run python -m benchmarks.prediction --runs 9 --json
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.client import Client

import benchmarks.fleet.unshadow  # noqa: F401  # before `workflows` is looked for
from control.rollouts import Control, workflow_id
from dev import Stack
from domain.database import Database
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.plan import RolloutRequest, preset
from domain.prompts import VersionStatus
from domain.record import Kind, RolloutStatus
from domain.rollouts import RolloutManager
from domain.routing import Router
from domain.simulation.arrivals import Traffic as Expected
from domain.simulation.forecast import Scene
from domain.simulation.runs import simulate
from domain.versions import VersionManager
from embedded.demo import BROKEN, HEALTH, HEALTHY, NAME, POLL, PROMPT, PROMPT_TYPE, TEMPLATES
from embedded.traffic import PER_SECOND, USERS, Traffic
from settings import Settings

PLAN = preset("demo")
EXPECTED = Expected(
    users_per_hour=PER_SECOND * 3600,
    users=USERS,
    control_rate=HEALTH[HEALTHY],
    effect=HEALTH[BROKEN] - HEALTH[HEALTHY],
    lag=POLL,
)
WARM_UP_S = 1.0  # so that control has a history, as in the demo
PATIENCE_S = 60.0
SETTLE_S = 0.05  # leaving at once after Temporal work can crash the interpreter: sdk-python#300


@dataclass(frozen=True)
class Prediction:
    """Seconds from the first ramp to the rollback, as they were and as they were foretold."""

    live: list[float]
    live_median: float
    predicted_median: float
    predicted_p90: float
    ratio: float


async def predict(runs: int, *, seed: int = 1) -> Prediction:
    """Roll back for real so many times, and compare the medians: ratio is live / predicted."""
    foretold = Scene.of(await asyncio.to_thread(simulate, PLAN, EXPECTED, runs=1000, seed=seed))
    if foretold.hours is None:
        raise RuntimeError("no simulated rollout was rolled back")
    with TemporaryDirectory(prefix="rampart-") as directory:
        live = await measure(Path(directory), runs, seed=seed)
    median = statistics.median(live)
    predicted = 3600 * foretold.hours.median
    return Prediction(
        live=[round(seconds, 3) for seconds in live],
        live_median=round(median, 3),
        predicted_median=round(predicted, 3),
        predicted_p90=round(3600 * foretold.hours.p90, 3),
        ratio=round(median / predicted, 3),
    )


async def measure(directory: Path, runs: int, *, seed: int = 1) -> list[float]:
    """Return how many seconds each live rollout of the broken version lasted, from its journal."""
    stack = Stack(directory, any_port=True, fresh=True)
    database = Database(stack.database_url)
    try:
        async with stack:
            await _make_versions(VersionManager(database))
            client = await stack.connect()
            async with Router(database, poll=POLL) as router:
                users = Traffic(
                    router,
                    MetricsCollector(database),
                    ABTestManager(database),
                    prompt=PROMPT,
                    health=HEALTH,
                    seed=seed,
                )
                async with users:
                    await asyncio.sleep(WARM_UP_S)
                    rollouts = RolloutManager(database)
                    return [await _roll_out(client, rollouts) for _ in range(runs)]
    finally:
        await database.dispose()


async def _make_versions(versions: VersionManager) -> None:
    for number, status in (
        (HEALTHY, VersionStatus.PRODUCTION),
        (BROKEN, VersionStatus.ACTIVE),
    ):
        tags = ["production"] if number == HEALTHY else []
        await versions.create_version(
            NAME, PROMPT_TYPE, TEMPLATES[number], number, tags=tags, status=status
        )


async def _roll_out(client: Client, rollouts: RolloutManager) -> float:
    request = RolloutRequest(name=NAME, prompt_type=PROMPT_TYPE, candidate=BROKEN, plan=PLAN)
    async with asyncio.timeout(PATIENCE_S):
        await Control(client, task_queue=Settings.from_env().task_queue).start(request)
        await client.get_workflow_handle(workflow_id(NAME, PROMPT_TYPE)).result()
    rollout = (await rollouts.list(*PROMPT, limit=1))[0]
    at = {line.kind: line.at for line in reversed(await rollouts.decisions(rollout.id))}
    if rollout.status is not RolloutStatus.ROLLED_BACK:
        raise RuntimeError(f"the broken version was {rollout.status}")
    await asyncio.sleep(2 * POLL.total_seconds())
    return (at[Kind.ROLLED_BACK] - at[Kind.RAMPED]) / timedelta(seconds=1)


async def _main(runs: int, seed: int) -> Prediction:
    try:
        return await predict(runs, seed=seed)
    finally:
        await asyncio.sleep(SETTLE_S)


def main() -> int:
    """Print both medians; exit 1 when they differ by more than a factor of 1.5."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=9, help="live rollouts")
    parser.add_argument("--seed", type=int, default=1, help="of the users")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    found = asyncio.run(_main(given.runs, given.seed))
    if given.json:
        print(json.dumps(asdict(found)))
    else:
        print(f"live       median {found.live_median:.2f} s of {found.live}")
        print(f"predicted  median {found.predicted_median:.2f} s, 90 % {found.predicted_p90:.2f} s")
        print(f"ratio      {found.ratio:.2f}")
    return 0 if 1 / 1.5 <= found.ratio <= 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
