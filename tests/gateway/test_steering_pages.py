"""Rollouts steered from their pages, by forms alone, on a real Temporal."""

import re
from html import unescape
from typing import Any

import yaml

from domain.plan import RolloutPlan
from domain.record import Kind
from domain.tokens import Role
from tests.gateway.entrance import ON_SQLITE, Entrance

pytestmark = ON_SQLITE

HERE = "/rollouts/greeting.system"
STAGES = [
    {"percent": 10, "bake": "30d"},
    {"percent": 50, "bake": "30d"},
    {"percent": 80, "bake": "30d"},
    {"percent": 100},
]
PLAN = {"stages": STAGES, "check_min": 0.5, "check_max": 1, "guardrails": [{"kind": "threshold"}]}
GATED = PLAN | {"stages": [{"percent": 10, "bake": 0, "approval": True}, *STAGES[1:]]}


async def start(way_in: Entrance, plan: dict[str, Any] = PLAN) -> None:
    body = {"flag": "greeting.system", "candidate": "1.1.0", "plan": plan}
    answer = await way_in.ask("POST", "/v1/rollouts", role=Role.OPERATE, json=body)
    assert answer.status_code == 201, answer.text
    await way_in.enter()
    await way_in.until(lambda: state(way_in), "baking")


async def state(way_in: Entrance) -> str:
    (found,) = re.findall(r'<h1 .*<span class="state (\w+)">', await way_in.page(HERE))
    return str(found)


async def journal(way_in: Entrance, kind: Kind) -> list[tuple[str, str]]:
    """Return who did it, and why."""
    (rollout,) = await way_in.house.rollouts.list("greeting", "system", limit=1)
    found = await way_in.house.rollouts.decisions(rollout.id)
    return [(line.by, line.reason) for line in found if line.kind is kind]


def buttons(page: str) -> set[str]:
    """Return the buttons that can be pressed."""
    return set(re.findall(r'<button id="do-([\w-]+)"(?![^>]* disabled)[^>]*>', page))


def key(page: str, form: str) -> str:
    """Return the idempotency key of the form that sends a verb."""
    (found,) = re.findall(rf'action="/ui{HERE}/{form}".*?name="key" value="(\w+)"', page, re.S)
    return str(found)


def typed(page: str, field: str) -> str:
    (found,) = re.findall(rf'<textarea id="{field}"[^>]*>(.*?)</textarea>', page, re.S)
    return unescape(found)


async def test_a_rollout_is_paused_resumed_promoted_and_rolled_back_by_its_buttons(
    operated: Entrance,
) -> None:
    await start(operated)
    baking = buttons(await operated.page(HERE))

    paused = await operated.submit(f"{HERE}/pause", reason="lunch")
    resumed = await operated.submit(f"{HERE}/resume", reason="back")
    gone = await operated.submit(f"{HERE}/rollback", reason="enough")
    await operated.until(lambda: state(operated), "rolled_back")

    assert baking == {"pause", "promote", "promote-full", "extend", "skip", "amend", "rollback"}
    assert "paused: the ramp holds, the guardrails stay on" in paused.text
    assert buttons(paused.text) == {"resume", "extend", "amend", "rollback"}
    assert "paused by operate: lunch" in paused.text
    assert "resumed" in resumed.text
    assert "rolling back" in gone.text
    assert await journal(operated, Kind.PAUSED) == [("operate", "lunch")]
    assert await journal(operated, Kind.ROLLED_BACK) == [("operate", "enough")]
    ended = await operated.page(HERE)
    assert buttons(ended) == set()
    assert "data-live" not in ended


async def test_what_is_refused_is_told_on_the_page_with_the_reason(operated: Entrance) -> None:
    await start(operated)

    refused = await operated.submit(f"{HERE}/resume", reason="too early")
    nonsense = await operated.submit(f"{HERE}/extend", longer="soon", reason="more data")

    assert (refused.status_code, nonsense.status_code) == (409, 422)
    assert "it is not paused: it is baking" in refused.text
    assert typed(refused.text, "reason") == "too early"
    assert "must be a duration" in nonsense.text
    assert 'value="soon"' in nonsense.text
    assert 'value="more data"' in nonsense.text
    assert '<details id="timing" open>' in nonsense.text


async def test_a_double_click_counts_once(operated: Entrance) -> None:
    await start(operated)
    page = await operated.page(HERE)
    fields = {"longer": "2h", "reason": "quiet", "key": key(page, "extend")}

    first = await operated.submit(f"{HERE}/extend", **fields)
    again = await operated.submit(f"{HERE}/extend", **fields)
    other = await operated.submit(
        f"{HERE}/extend", **fields | {"key": key(await operated.page(HERE), "extend")}
    )

    for answer in (first, again, other):
        assert "extended" in answer.text
        assert answer.status_code == 200
    assert len(await journal(operated, Kind.EXTENDED)) == 2


async def test_an_amendment_is_shown_before_it_is_made_and_a_refused_one_keeps_what_was_typed(
    operated: Entrance,
) -> None:
    await start(operated)
    plan = yaml.safe_load(typed(await operated.page(HERE), "new-plan"))
    longer = yaml.safe_dump(plan | {"final_bake": "2h"})
    wider = yaml.safe_dump(plan | {"alpha": 0.5}) + "# my own words\n"

    shown = await operated.submit(f"{HERE}/amend", plan=longer, how="preview")
    unchanged = await operated.house.rollouts.list("greeting", "system", limit=1)
    forbidden = await operated.submit(f"{HERE}/amend", plan=wider, how="preview")
    refused = await operated.submit(f"{HERE}/amend", plan=wider, reason="why not")
    broken = await operated.submit(f"{HERE}/amend", plan="stages: [", reason="typo")
    made = await operated.submit(f"{HERE}/amend", plan=longer, reason="quiet")

    assert "final_bake: 30m → 2h" in unescape(shown.text)
    assert "This would change:" in shown.text
    assert unchanged[0].plan.final_bake == RolloutPlan.model_validate(plan).final_bake
    assert "This would be refused:" in forbidden.text
    assert (refused.status_code, broken.status_code) == (409, 422)
    assert "widens the chance of a false alarm" in refused.text
    assert typed(refused.text, "new-plan") == wider
    assert "plan is not YAML" in broken.text
    assert typed(broken.text, "new-plan") == "stages: ["
    assert "final_bake: 30m → 2h" in unescape(made.text)
    assert [by for by, _ in await journal(operated, Kind.AMENDED)] == ["operate"]


async def test_a_gate_is_approved_and_stages_are_skipped(operated: Entrance) -> None:
    way_in = operated
    await way_in.enter()
    body = {"flag": "greeting.system", "candidate": "1.1.0", "plan": GATED}
    await way_in.ask("POST", "/v1/rollouts", role=Role.OPERATE, json=body)
    await way_in.house.events("1.1.0", good=200, bad=0)

    async def gate() -> bool:
        await way_in.house.events("1.1.0", good=200, bad=0)
        return "approve" in buttons(await way_in.page(HERE))

    await way_in.until(gate, True)
    approved = await way_in.submit(f"{HERE}/approve", reason="looks good")
    await way_in.until(lambda: state(way_in), "baking")
    skipped = await way_in.submit(f"{HERE}/skip", to="4")
    odd = await way_in.submit(f"{HERE}/skip", to="next")
    await way_in.submit(f"{HERE}/rollback")

    assert "approved" in approved.text
    assert await journal(way_in, Kind.APPROVED) == [("operate", "looks good")]
    assert "skipped: it goes to stage 4" in skipped.text
    assert "to must be the number of a stage" in unescape(odd.text)


async def test_the_list_shows_what_only_temporal_knows_of_live_rollouts(
    operated: Entrance,
) -> None:
    await start(operated)

    async def seen(*said: str) -> bool:
        page = await operated.page()
        return all(each in page for each in said)

    await operated.until(lambda: seen("stage 1 to bake until"), True)
    assert "then for the guardrails" not in await operated.page()  # many lines, each a short one
    await operated.submit(f"{HERE}/pause", reason="lunch")
    await operated.until(lambda: seen('class="state paused"', "paused by operate: lunch"), True)
    assert "Temporal is away" not in await operated.page()
