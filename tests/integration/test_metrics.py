"""What Prometheus is shown by a real worker and a real gateway, and that the guide lists it all."""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
import temporalio.bridge
from prometheus_client.parser import text_string_to_metric_families
from pydantic import JsonValue
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.rollouts import RolloutActivities
from control.payloads import data_converter
from control.rollouts import Control, Verb
from domain.database import Database
from domain.errors import InvalidValue
from domain.plan import RolloutRequest
from domain.rollouts import RolloutManager
from embedded.ports import free_port
from serve import Options, build
from settings import Settings
from telemetry import meters
from tests.house import House
from worker import build_worker
from workflows.meters import BUCKETS

BIN = Path(sys.executable).parent
GUIDE = (Path(__file__).parents[2] / "docs/guides/observability.md").read_text()
PLAN: JsonValue = {
    "stages": [{"percent": 10, "bake": "30d"}, {"percent": 100}],
    "check_min": "1s",
    "check_max": "1s",
}
ROLLOUT: JsonValue = {
    "name": "greeting",
    "prompt_type": "system",
    "candidate": "1.1.0",
    "plan": PLAN,
}


@pytest_asyncio.fixture(scope="module")
async def shown(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """What a worker shows after a rollout that was checked and rolled back."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('metrics')}/rampart.db")
    await House(database).furnish()
    address = f"127.0.0.1:{free_port()}"
    runtime = meters.runtime(address, buckets=BUCKETS)
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=shutil.which("temporal", path=str(BIN)),
        dev_server_log_level="never",
    ) as env:
        client = await Client.connect(
            env.client.service_client.config.target_host,
            data_converter=data_converter(),
            runtime=runtime,
        )
        queue = f"queue-{uuid4()}"
        hands = RolloutActivities(RolloutManager(database))
        async with build_worker(client, hands, task_queue=queue):
            await checked_and_rolled_back(Control(client, task_queue=queue))
            async with httpx.AsyncClient() as http:
                yield (await http.get(f"http://{address}/metrics")).text
    await database.dispose()


async def checked_and_rolled_back(control: Control) -> None:
    await control.start(RolloutRequest.parse(ROLLOUT))
    async with asyncio.timeout(30):
        while not ((found := await control.describe("greeting", "system")).progress):
            await asyncio.sleep(0.1)
        while found.progress and found.progress.checks < 3:
            await asyncio.sleep(0.1)
            found = await control.describe("greeting", "system")
        await control.order(Verb.ROLLBACK, "greeting", "system", reason="enough")
        while not (found := await control.describe("greeting", "system")).outcome:
            await asyncio.sleep(0.1)


def total(text: str, name: str) -> float:
    """Return the sum of all samples of that name."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


async def test_a_worker_shows_how_late_checks_were_and_how_long_a_rollback_took(
    shown: str,
) -> None:
    assert total(shown, "rampart_check_lateness_seconds_count") >= 2
    assert 0 < total(shown, "rampart_check_lateness_seconds_sum") < 20
    assert total(shown, "rampart_rollback_seconds_count") == 1
    assert 0 < total(shown, "rampart_rollback_seconds_sum") < 20


async def test_the_guide_lists_what_a_worker_shows(shown: str) -> None:
    listed = listed_in("A worker")

    ours = {name for name in exported(shown) if name.startswith("rampart_")}
    assert ours == {name for name in listed if name.startswith("rampart_")}
    theirs = {name for name in listed if name.startswith("temporal_")}
    assert {name for name in theirs - exported(shown) if not known_to_the_sdk(name)} == set()
    assert len(theirs & exported(shown)) >= 7


async def test_the_guide_lists_what_a_gateway_shows(sqlite: Database, redis_url: str) -> None:
    await House(sqlite).furnish()
    path = sqlite.url.database
    settings = Settings(database_url=f"sqlite:///{path}", redis_url=redis_url)
    gateway = build(settings, Options(open=True))

    async with gateway.running():
        transport = httpx.ASGITransport(app=gateway.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            text = (await client.get("/metrics")).text

    assert exported(text) == listed_in("A gateway")


@pytest.mark.parametrize("address", ["localhost:9464", "9464", "127.0.0.1:0x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidValue, match=rf"RAMPART_METRICS_ADDRESS '{address}' cannot be"):
        meters.runtime(address, buckets=BUCKETS)


def exported(text: str) -> set[str]:
    """Return the names of a page of metrics; when a counter began is none of them."""
    found = set(re.findall(r"^# TYPE (\w+) ", text, flags=re.MULTILINE))
    return {name for name in found if not name.endswith("_created")}


def known_to_the_sdk(name: str) -> bool:
    """Say whether a metric that is not there yet is one that the SDK may show."""
    (library,) = Path(temporalio.bridge.__file__).parent.glob("temporal_sdk_bridge*")
    base = re.sub(r"^temporal_|_total$|_seconds$", "", name)
    return base.encode() in library.read_bytes()


def listed_in(section: str) -> set[str]:
    """Return the names of the table of that section of the guide."""
    _, _, rest = GUIDE.partition(f"\n### {section}\n")
    return set(re.findall(r"^\| `(\w+)` \|", rest.partition("\n### ")[0], flags=re.MULTILINE))
