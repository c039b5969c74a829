"""Every history ever recorded still replays: rollouts survive a deployment of newer code.

A test that fails here says that a running rollout would get stuck: guard the change by
`workflow.patched`, or undo it; never re-record an old folder.
"""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from control.payloads import Codec, data_converter
from tests.replay.record import HISTORIES, STORIES
from tests.replay.tales import TALES
from worker import RUNNER, WORKFLOWS
from workflows.notifications.workflow import NotificationWorkflow

RECORDED = sorted(HISTORIES.rglob("*.json"))
RELEASES = sorted({path.parent for path in RECORDED})


def replayer(codec: Codec | None = None) -> Replayer:
    return Replayer(
        workflows=(*WORKFLOWS, NotificationWorkflow),
        data_converter=data_converter(codec),
        workflow_runner=RUNNER,
    )


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_a_recorded_rollout_still_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(path.stem, path.read_text())

    await replayer().replay_workflow(history)


@pytest.mark.parametrize(
    "release", sorted({path.parent for path in RECORDED}), ids=lambda p: p.name
)
async def test_what_was_recorded_in_plain_text_replays_where_there_are_keys(release: Path) -> None:
    sealing = replayer(Codec({"k1": bytes(32)}))

    for path in sorted(release.glob("*.json")):
        await sealing.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))


def test_every_story_is_recorded_for_every_release() -> None:
    releases = {path.parent for path in RECORDED}

    assert releases
    for release in releases:
        recorded = {path.name.partition(".")[0] for path in release.glob("*.json")}
        assert recorded >= {story.__name__ for story in STORIES}
    newest = max(releases)
    assert {path.name.partition(".")[0] for path in newest.glob("*.json")} >= {
        tale.name for tale in TALES
    }


async def test_a_history_that_another_code_wrote_is_noticed() -> None:
    path = next(path for path in RECORDED if path.name.startswith("promoted"))
    events = json.loads(path.read_text())
    text = json.dumps(events).replace('"name": "ramp"', '"name": "leap"')

    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(WorkflowHistory.from_json("changed", text))
