"""The user's starting document runs as it is written, but for its import lines."""

import ast
import inspect
import re
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from domain.database import default_database
from domain.prompts import MetricEvent, VersionStatus
from domain.stats.significance import Rate, compare_rates

ROOT = Path(__file__).parents[2]
DOCUMENT = Path(__file__).parent / "ab-testing-examples.md"
ORIGINAL = "b76cdc34568e4bed604da358eec3aa5b3ccb52c404f5bd9d1ea30a511f2e646c"  # sha256
LEFT_OUT = "# ... (similar to A/B test)"  # where the document says to do as before
GIVEN = (  # what these import is not ours, or is the test's clock: `Clock` and `stand_ins`
    "from dataknobs_llm import create_llm_provider, LLMConfig",
    "from dataknobs_llm.prompts import AsyncPromptBuilder, FileSystemPromptLibrary",
    "import asyncio",
    "from datetime import datetime, timedelta",
)

Names = dict[str, Any]  # what the document's blocks share


class Block(NamedTuple):
    heading: str
    source: str


class Clock:
    """Time that passes by sleeping, at once: the document waits for more than a week."""

    def __init__(self) -> None:
        self.start = self.now = datetime(2026, 1, 2)  # noqa: DTZ001  # as `utcnow` gives it

    def utcnow(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def blocks() -> Iterator[Block]:
    """Return the Python blocks of the document with the headings they stand under."""
    parts = re.finditer(
        r"^#+ (?P<heading>[^\n]+)$|^```python\n(?P<source>.*?)^```$",
        DOCUMENT.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    heading = ""
    for part in parts:
        heading = part["heading"] or heading
        if part["source"]:
            yield Block(heading, part["source"])


def rewritten(source: str) -> str:
    """Change import lines, and say by a call what the document leaves to the reader."""
    for line in GIVEN:
        source = re.sub(f"^{re.escape(line)}$", "", source, flags=re.MULTILINE)
    source = source.replace("from dataknobs_llm.prompts import", "from domain import")
    return source.replace(LEFT_OUT, "await run_experiment()")


def stand_ins(clock: Clock) -> Names:
    def anything(*_args: object, **_named: object) -> None:
        return None

    foreign = ("create_llm_provider", "LLMConfig", "AsyncPromptBuilder", "FileSystemPromptLibrary")
    return dict.fromkeys(foreign, anything) | {
        "asyncio": SimpleNamespace(sleep=clock.sleep),
        "datetime": clock,
        "timedelta": timedelta,
    }


async def record(names: Names, version: str, *, successes: int, failures: int) -> None:
    outcomes = [True] * successes + [False] * failures
    version_id = names[version].version_id
    await names["mc"].record_events(
        [MetricEvent(version_id, datetime.now(UTC), outcome) for outcome in outcomes]
    )


async def run_three_way_test(names: Names) -> None:
    """Do what the document leaves out between making its A/B/C test and reading its winner."""
    await record(names, "v1", successes=120, failures=80)
    await record(names, "v2", successes=80, failures=120)
    await record(names, "v3", successes=190, failures=10)


async def prepare(heading: str, names: Names) -> None:
    """Give the document what it uses without having made it."""
    if heading == "Gradual Rollout":
        names["v_new"] = await names["vm"].create_version("new_feature", "system", "…", "2.0.0")
        await record(names, "v_new", successes=99, failures=1)
    if heading == "Safe Rollback":
        names["before_rollback"] = await names["vm"].get_version_by_id(names["v_new"].version_id)
        await record(names, "v_new", successes=0, failures=100)


async def execute(block: Block, names: Names) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(rewritten(block.source), f"<{block.heading}>", "exec", flags=flags)
    result = FunctionType(code, names)()
    if inspect.isawaitable(result):
        await result


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def names(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Names]:
    """Run the whole document, each block once and in order, against one database."""
    clock = Clock()
    shared = stand_ins(clock) | {"clock": clock}

    async def run_experiment() -> None:
        await run_three_way_test(shared)

    shared["run_experiment"] = run_experiment
    with pytest.MonkeyPatch.context() as patch:
        url = f"sqlite:///{tmp_path_factory.mktemp('seed')}/rampart.db"
        patch.setenv("RAMPART_DATABASE_URL", url)
        for block in blocks():
            await prepare(block.heading, shared)
            await execute(block, shared)
        yield shared
        await default_database().dispose()


def test_the_copy_of_the_document_is_the_document() -> None:
    assert sha256(DOCUMENT.read_bytes()).hexdigest() == ORIGINAL


async def test_a_version_without_a_number_gets_the_next_one_and_a_parent(names: Names) -> None:
    first, second = await names["vm"].get_version_history("email_subject", "user")

    assert (first.version, second.version) == ("1.0.0", "1.0.1")
    assert (first.parent_version, second.parent_version) == (None, first.version_id)
    assert second.status is VersionStatus.DEPRECATED


async def test_a_user_keeps_the_variant_once_given(names: Names) -> None:
    [experiment] = await names["ab"].list_experiments(name="greeting")

    seen = await names["ab"].get_experiment_assignments(experiment.experiment_id)

    assert sorted(seen) == ["user1", "user2", "user3", "user4", "user5"]


async def test_the_better_greeting_is_deployed(names: Names) -> None:
    [tagged] = await names["vm"].list_versions("greeting", "system", tags=["production"])
    v1_metrics, v2_metrics = names["v1_metrics"], names["v2_metrics"]

    assert v1_metrics.total_events + v2_metrics.total_events == 5
    assert (
        tagged.version_id == max((v1_metrics, v2_metrics), key=lambda m: m.success_rate).version_id
    )


async def test_the_winner_of_three_is_the_one_with_the_best_rate(names: Names) -> None:
    assert names["winner_id"] == names["v3"].version_id
    assert names["winner_metrics"].success_rate == 0.95


async def test_a_good_new_version_passes_its_phases_into_production(names: Names) -> None:
    assert names["new_metrics"].success_rate == 0.99
    assert names["exp_phase2"].traffic_split == {"1.0.0": 0.5, "2.0.0": 0.5}
    assert names["before_rollback"].tags == ["production"]


async def test_a_segments_experiment_is_found_by_its_name(names: Names) -> None:
    assert names["exp_id"] == "greeting_free"
    assert names["variant"] in {"1.0.0", "1.2.0"}


async def test_the_monitor_alerts_for_the_version_below_its_threshold_alone(names: Names) -> None:
    alerted = {alert["version_id"] for alert in names["alerts"]}

    assert alerted == {names["v2"].version_id}
    assert len(names["alerts"]) == 48
    assert names["clock"].now - names["clock"].start == timedelta(days=7 + 1)


async def test_significance_is_what_the_document_says(names: Names) -> None:
    ours = compare_rates(Rate(120, 200), Rate(80, 200))

    assert names["result"] == {
        "significant": ours.significant,
        "p_value": pytest.approx(ours.p_value),
        "winner": ours.winner,
    }


async def test_the_failing_version_is_rolled_back_to_its_parent(names: Names) -> None:
    vm, new = names["vm"], names["v_new"]
    [production] = await vm.list_versions("new_feature", "system", tags=["production"])
    failed = await vm.get_version_by_id(new.version_id)
    stopped = await names["ab"].get_experiment(names["exp"].experiment_id)

    assert names["rolled_back"].version_id == new.parent_version == production.version_id
    assert (production.version, production.status) == ("1.0.0", VersionStatus.PRODUCTION)
    assert (failed.tags, failed.status) == ([], VersionStatus.DEPRECATED)
    assert stopped.status == "stopped"


FRESH = """
import asyncio
from domain import MetricsCollector, VersionManager

async def look():
    [version] = await VersionManager().list_versions("new_feature", "system", tags=["production"])
    metrics = await MetricsCollector().get_metrics("{version_id}")
    print(version.version, metrics.total_events, metrics.success_rate)

asyncio.run(look())
"""


async def test_a_fresh_process_reads_the_same_state(names: Names) -> None:
    code = FRESH.format(version_id=names["v_new"].version_id)

    process = await create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stdout=PIPE)
    answer, _ = await process.communicate()

    assert answer.decode().split() == ["1.0.0", "200", "0.495"]
