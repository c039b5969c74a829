"""Reports on the dashboard: looked at, kept, and harmless whatever anybody wrote into them."""

import json

import pytest
from pydantic import JsonValue

from domain.plan import RolloutRequest, preset
from domain.record import Rollout
from domain.trials.manager import TrialManager
from domain.trials.plan import ExperimentRequest
from tests.gateway.entrance import ON_SQLITE, Entrance

pytestmark = ON_SQLITE

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def rollout(way_in: Entrance) -> Rollout:
    """A rollout that was rolled back by somebody who tries something."""
    request = RolloutRequest(
        name="greeting", prompt_type="system", candidate="1.1.0", plan=preset("demo"), by="ann"
    )
    opened = await way_in.house.rollouts.open(request, key="run")
    await way_in.house.rollouts.roll_back(opened.id, reason=HOSTILE, by="eve")
    await way_in.enter()
    return opened


async def test_a_rollouts_page_leads_to_its_report(way_in: Entrance, rollout: Rollout) -> None:
    page = await way_in.page("/rollouts/greeting.system")

    for form in ("html", "md", "json"):
        assert f'href="/ui/reports/{rollout.id}/{form}"' in page


async def test_an_experiments_page_leads_to_its_report(way_in: Entrance) -> None:
    await way_in.enter()
    plan: JsonValue = {"variants": ["1.0.0", "1.1.0"]}
    asked = ExperimentRequest.parse({"name": "greeting", "prompt_type": "system", "plan": plan})
    trial = await TrialManager(way_in.house.database).open(asked, key="run")

    assert f'href="/ui/reports/{trial.id}/html"' in await way_in.page(
        "/experiments/greeting.system"
    )
    assert "1.0.0, 1.1.0" in await way_in.page(f"/reports/{trial.id}/html")


async def test_a_report_is_a_file_of_its_own_name(way_in: Entrance, rollout: Rollout) -> None:
    kinds = {}
    for form in ("html", "md", "json"):
        answer = await way_in.client.get(f"/ui/reports/{rollout.id}/{form}")
        kinds[answer.headers["content-disposition"]] = answer.headers["content-type"]
        assert "rolled back" in answer.text.replace("_", " ")

    stem = f'inline; filename="greeting.system-{rollout.id}'
    assert kinds == {
        f'{stem}.html"': "text/html; charset=utf-8",
        f'{stem}.md"': "text/markdown; charset=utf-8",
        f'{stem}.json"': "application/json",
    }


async def test_a_report_may_do_nothing_here(way_in: Entrance, rollout: Rollout) -> None:
    answer = await way_in.client.get(f"/ui/reports/{rollout.id}/html")

    assert HOSTILE not in answer.text
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'"} <= set(policy)
    assert answer.headers["cache-control"] == "no-store"


async def test_the_json_is_the_one_that_programs_read(way_in: Entrance, rollout: Rollout) -> None:
    told = json.loads((await way_in.client.get(f"/ui/reports/{rollout.id}/json")).text)

    assert (told["report"], told["status"], told["by"]) == (
        "rampart-report/1",
        "rolled_back",
        "eve",
    )


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("nobodys/html", 404, "no rollout and no experiment has the id"),
        ("nobodys/pdf", 422, "html"),
        (f"{'x' * 101}/html", 422, "100"),
    ],
)
async def test_what_cannot_be_reported_is_refused_on_a_page(
    way_in: Entrance, path: str, status: int, said: str
) -> None:
    await way_in.enter()

    assert said in await way_in.page(f"/reports/{path}", status=status)
