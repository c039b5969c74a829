"""One rollout, watched and steered on its page, which nobody loads again."""

from pathlib import Path

import pytest

from control.rollouts import Verb
from domain.record import Kind
from tests.browser.conftest import Sitting
from tests.browser.person import Person
from tests.browser.place import OPERATOR, Place, Prompt, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LONG = [{"percent": 10, "bake": "1h"}, {"percent": 50}, {"percent": 100}]


async def opens(person: Person, prompt: Prompt) -> None:
    await person.go(f"/ui/rollouts/{prompt.flag}")


async def kinds(prompt: Prompt) -> list[Kind]:
    (rollout,) = await prompt.house.rollouts.list(prompt.house.name, "system")
    return [line.kind for line in await prompt.house.rollouts.decisions(rollout.id)]


async def test_a_gate_is_approved_and_a_broken_candidate_is_seen_to_be_rolled_back(
    ann: Person, prompt: Prompt
) -> None:
    await prompt.start()
    await opens(ann, prompt)
    await ann.state("waiting for approval")

    await ann.page.get_by_label("Reason, for the journal").first.fill("reads well")
    await ann.page.get_by_role("button", name="Approve").click()
    await ann.sees("approved: it goes on")
    await ann.step("50 %")
    await ann.page.get_by_role("button", name="Pause").click()
    await ann.state("paused")
    address = ann.page.url
    loads = ann.loads
    prompt.worsen()

    await ann.state("rolled back")
    await ann.sees("It is over")
    assert (ann.page.url, ann.loads) == (address, loads)
    assert await prompt.house.share("1.0.0") == 1
    assert {Kind.APPROVED, Kind.PAUSED, Kind.ROLLED_BACK} <= {*await kinds(prompt)}


async def test_a_double_click_counts_once(ann: Person, prompt: Prompt) -> None:
    await prompt.start(stages=LONG)
    await opens(ann, prompt)
    await ann.state("baking")

    await ann.page.get_by_role("button", name="Pause").dblclick()

    await ann.state("paused")
    await ann.sees("paused: the ramp holds")
    assert (await kinds(prompt)).count(Kind.PAUSED) == 1
    assert Kind.REFUSED not in await kinds(prompt)


async def test_a_wrong_plan_is_refused_and_what_was_typed_stays(
    ann: Person, prompt: Prompt
) -> None:
    await prompt.start(stages=LONG)
    await opens(ann, prompt)
    await ann.state("baking")
    await ann.page.get_by_text("Amend the plan …").click()
    plan, reason = ann.page.get_by_label("Plan, as YAML").first, ann.page.locator("#amend-reason")

    await plan.fill("stages:\n- percent: 200\n")
    await reason.fill("sooner")
    await ann.page.get_by_role("button", name="Amend", exact=True).click()

    await ann.page.get_by_role("alert").filter(has_text="percent").wait_for()
    assert (await plan.input_value()).strip() == "stages:\n- percent: 200"
    assert await reason.input_value() == "sooner"
    assert Kind.AMENDED not in await kinds(prompt)


async def test_a_rollback_needs_no_mouse(ann: Person, prompt: Prompt) -> None:
    await prompt.start(stages=LONG)
    await opens(ann, prompt)
    await ann.state("baking")
    keys = ann.page.keyboard

    await ann.tab_to("Roll back …")
    await keys.press("Enter")
    await ann.tab_to("rollback-reason")
    await keys.type("complaints")
    await keys.press("Tab")
    await keys.press("Space")  # yes, roll back
    await keys.press("Tab")
    await keys.press("Enter")

    await ann.state("rolled back")
    await ann.sees("complaints")
    (rollout,) = await prompt.house.rollouts.list(prompt.house.name, "system")
    (line, *_) = reversed(await prompt.house.rollouts.decisions(rollout.id))
    assert (line.by, line.reason) == (OPERATOR, "complaints")


async def test_a_rollback_that_nobody_confirmed_is_not_sent(ann: Person, prompt: Prompt) -> None:
    await prompt.start(stages=LONG)
    await opens(ann, prompt)
    await ann.state("baking")

    await ann.page.get_by_text("Roll back …").click()
    await ann.page.get_by_role("button", name="Roll back", exact=True).click()

    assert await ann.page.locator("#sure:invalid").count() == 1
    assert Kind.ROLLING_BACK not in await kinds(prompt)


async def test_while_temporal_is_away_the_page_says_so_and_rolls_back_in_the_database(
    sits: Sitting, place: Place, prompt: Prompt, tmp_path: Path
) -> None:
    await prompt.start(stages=LONG)
    async with (
        serving(place.stack, tmp_path, TEMPORAL_ADDRESS="127.0.0.1:1") as cut_off,
        sits(cut_off) as person,
    ):
        await person.go()
        await person.log_in(place.tokens[OPERATOR])
        await person.sees("Temporal is away")
        await opens(person, prompt)
        await person.sees("Temporal is away")

        await person.page.get_by_text("Roll back …").click()
        await person.page.locator("#rollback-reason").fill("glass")
        await person.page.locator("#sure").check()
        await person.page.locator("#do-rollback-direct").click()

        await person.state("rolled back")
        assert await prompt.house.share("1.0.0") == 1


async def test_what_another_person_does_is_seen_and_what_one_types_stays(
    ann: Person, prompt: Prompt
) -> None:
    await prompt.start(stages=LONG)
    await opens(ann, prompt)
    await ann.state("baking")
    reason = ann.page.get_by_label("Reason, for the journal").first
    await reason.fill("I was about to")

    await prompt.control.order(Verb.PAUSE, prompt.house.name, "system", by="bo", reason="lunch")

    await ann.state("paused")
    await ann.sees("paused by bo: lunch")
    assert await reason.input_value() == "I was about to"
