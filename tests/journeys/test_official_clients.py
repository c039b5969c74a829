"""The official OFREP providers, of PyPI and of npm, say what our own provider says."""

import asyncio
import json
import shutil
import subprocess
import sys
from asyncio import create_subprocess_exec
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails

from domain.database import Database
from domain.prompts import PromptVariant
from domain.segments.lanes import SegmentManager
from domain.tokens import Role, TokenManager
from embedded.ports import HOST, free_port
from serving import Serving
from serving.provider import RampartProvider
from serving.remote import RemoteIntake
from settings import child_environment
from tests.guides.document import GUIDES, blocks
from tests.house import House

ROOT = Path(__file__).parents[2]
NODE = ROOT / "tests" / "node"
GUIDE = GUIDES / "openfeature.md"
FLAG = "greeting.system"
DEFAULT = "the default"
USERS = [f"user-{number}" for number in range(10_000)]
ODD = ["ünï", "🎛️", "a b", "x" * 200, '"', "user/7", "null", "0"]
AT_ONCE = 8
SERVE = """
import sys
from serve import Options, serve
from settings import Settings

serve(Settings.from_env(), Options(port=int(sys.argv[1])))
"""

Said = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A gateway that serves a furnished house, and a token for it."""

    house: House
    url: str
    token: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A house behind a gateway in a process of its own, for all stories here.

    Its users are split three ways, but premium ones have a lane.
    """
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('place')}/rampart.db")
    house = House(database)
    await furnish(house)
    issued = await TokenManager(database).create("test", (Role.EVALUATE, Role.INGEST))
    async with gateway(database) as url:
        yield Place(house, url, issued.text)
    await database.dispose()


@pytest.fixture(autouse=True)
def _openfeature() -> Iterator[None]:
    yield
    api.shutdown()


async def furnish(house: House) -> None:
    lane = House(house.database, name="greeting_premium")
    for each in (house, lane):
        await each.furnish()
        await each.version("1.2.0")
    await lane.put_in_production("1.1.0")
    await SegmentManager(house.database).define(
        "greeting", "system", "premium", 'plan == "premium"'
    )
    weights = {"1.0.0": 0.5, "1.1.0": 0.3, "1.2.0": 0.2}
    variants = [PromptVariant(number, weight) for number, weight in weights.items()]
    await house.experiments.create_experiment("greeting", "system", variants)


@asynccontextmanager
async def gateway(database: Database) -> AsyncIterator[str]:
    port = free_port()
    served = await create_subprocess_exec(
        *(sys.executable, "-c", SERVE, str(port)),
        cwd=ROOT,
        env=child_environment(RAMPART_DATABASE_URL=database.url.render_as_string()),
    )
    try:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(is_ready, port):
                assert served.returncode is None, "the gateway has ended"
                await asyncio.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        if served.returncode is None:
            served.terminate()
        await asyncio.wait_for(served.wait(), 30)


def is_ready(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def ours(place: Place) -> OpenFeatureClient:
    api.set_provider_and_wait(RampartProvider(Serving(place.house.database)), "ours")
    return api.get_client("ours")


def official(place: Place) -> OpenFeatureClient:
    headers = {"Authorization": f"Bearer {place.token}"}
    api.set_provider_and_wait(OFREPProvider(place.url, headers_factory=lambda: headers), "pypi")
    return api.get_client("pypi")


def said(found: FlagEvaluationDetails[str]) -> Said:
    """Return what two clients must agree on."""
    kept = ("version_id", "experiment_id", "epoch")
    return {
        "value": found.value,
        "variant": found.variant,
        "reason": found.reason,
        "errorCode": found.error_code,
        "metadata": {key: found.flag_metadata.get(key) for key in kept},
    }


def ask(client: OpenFeatureClient, users: Sequence[str], **attributes: str) -> list[Said]:
    def one(user: str) -> Said:
        context = EvaluationContext(user, attributes)
        return said(client.get_string_details(FLAG, DEFAULT, context))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(one, users))


async def test_pypis_client_says_what_ours_says(place: Place) -> None:
    users = [*USERS[:500], *ODD]

    expected = ask(ours(place), users)
    found = await asyncio.to_thread(ask, official(place), users)

    assert found == expected
    assert {each["variant"] for each in found} == {"1.0.0", "1.1.0", "1.2.0"}
    assert {each["reason"] for each in found} == {"SPLIT"}


@pytest.mark.clients
@pytest.mark.timeout(300)
async def test_pypis_client_agrees_about_ten_thousand_users(place: Place) -> None:
    expected = ask(ours(place), USERS)

    found = await asyncio.to_thread(ask, official(place), USERS)

    assert found == expected


@pytest.mark.clients
@pytest.mark.timeout(300)
async def test_npms_client_agrees_about_ten_thousand_users(place: Place, tmp_path: Path) -> None:
    expected = ask(ours(place), [*USERS, *ODD])

    found = await node(place, tmp_path, users=[*USERS, *ODD])

    assert found == expected


@pytest.mark.clients
@pytest.mark.timeout(300)
async def test_npms_client_takes_attributes_and_tells_of_errors(
    place: Place, tmp_path: Path
) -> None:
    client = ours(place)

    premium = await node(place, tmp_path, users=USERS[:100], plan="premium")
    keyless = await node(place, tmp_path, users=[""])

    assert premium == ask(client, USERS[:100], plan="premium")
    assert {each["variant"] for each in premium} == {"1.1.0"}
    assert [each["errorCode"] for each in keyless] == ["TARGETING_KEY_MISSING"]


@pytest.mark.clients
@pytest.mark.timeout(300)
async def test_what_the_guide_does_in_node_works(place: Place, tmp_path: Path) -> None:
    (block,) = [each for each in blocks(GUIDE) if each.language == "javascript"]
    signup = House(place.house.database, name="signup")
    await signup.furnish()
    version = await signup.get("1.0.0")
    await until_served(place, "signup.system")

    project = await installed(tmp_path)
    (project / "guide.mjs").write_text(block.source.replace("http://127.0.0.1:8090", place.url))
    printed = await run("node", "guide.mjs", directory=project, RAMPART_TOKEN=place.token)

    assert printed == "Hello 1.0.0\n"
    counted = await signup.metrics.get_metrics(version.version_id)
    assert (counted.total_uses, counted.avg_response_time) == (1, 0.4)


async def until_served(place: Place, flag: str) -> None:
    client, ada = official(place), EvaluationContext("ada")
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(client.get_string_details, flag, DEFAULT, ada)).error_code:
            await asyncio.sleep(0.05)


async def installed(directory: Path) -> Path:
    """Return a Node project with what the lock file names, and nothing else."""
    project = directory / "node"
    if not project.exists():
        await asyncio.to_thread(shutil.copytree, NODE, project)
        await run("npm", "ci", "--no-audit", "--no-fund", directory=project)
    return project


async def node(
    place: Place, directory: Path, *, users: Sequence[str], **attributes: str
) -> list[Said]:
    """Return what npm's client says."""
    project = await installed(directory)
    order = {"token": place.token, "flag": FLAG, "users": users, "attributes": attributes}
    printed = await run(
        "node", "assignments.mjs", place.url, directory=project, given=json.dumps(order)
    )
    return [as_said(each) for each in json.loads(printed)]


async def run(*command: str, directory: Path, given: str = "", **variables: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=directory, env=child_environment(**variables), input=given,
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_said(told: Said) -> Said:
    metadata = told.get("flagMetadata") or {}
    kept = {key: metadata.get(key) for key in ("version_id", "experiment_id", "epoch")}
    return {
        "value": told["value"],
        "variant": told.get("variant"),
        "reason": told.get("reason"),
        "errorCode": told.get("errorCode"),
        "metadata": kept,
    }


async def test_both_serve_a_segment_by_its_lane(place: Place) -> None:
    expected = ask(ours(place), USERS[:50], plan="premium")
    found = await asyncio.to_thread(ask, official(place), USERS[:50], plan="premium")

    assert found == expected
    assert {each["variant"] for each in found} == {"1.1.0"}


@pytest.mark.parametrize(
    ("flag", "user"),
    [("nobody.system", "ada"), ("greeting", "ada"), (FLAG, ""), (FLAG, "x" * 201), (FLAG, "a\0b")],
)
async def test_both_refuse_alike(place: Place, flag: str, user: str) -> None:
    found = [
        client.get_string_details(flag, DEFAULT, EvaluationContext(user))
        for client in (ours(place), official(place))
    ]

    assert found[0].error_code is not None
    assert said(found[0]) == said(found[1])


async def test_both_refuse_to_give_a_number(place: Place) -> None:
    found = [
        client.get_integer_details(FLAG, 7, EvaluationContext("ada"))
        for client in (ours(place), official(place))
    ]

    assert [each.value for each in found] == [7, 7]
    assert found[0].error_code == found[1].error_code == "TYPE_MISMATCH"


async def test_events_that_are_sent_to_the_gateway_are_counted_once(place: Place) -> None:
    intake = RemoteIntake(place.url, token=place.token)

    with Serving(place.house.database, intake=intake) as serving:
        for user in USERS[:200] * 2:
            served = serving.assign("greeting", "system", user)
            serving.report(served, user, tokens=7, metadata={"n": user}, event_id=f"e-{user}")

    versions = await place.house.versions.list_versions("greeting", "system")
    found = await place.house.metrics.compare_variants([each.version_id for each in versions])
    assert serving.dropped == 0
    assert sum(metrics.total_uses for metrics in found.values()) == 200
    assert sum(metrics.total_tokens for metrics in found.values()) == 1_400
