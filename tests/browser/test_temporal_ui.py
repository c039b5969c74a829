"""Temporal's own UI, read and used by somebody who has nothing else."""

import re

import pytest
from playwright.async_api import Page

from domain.record import Kind
from tests.browser.conftest import Sitting
from tests.browser.place import Place, Prompt

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SAID = (
    "waiting for approval",
    "asked by ann: greets people by name",
    "an approval of stage 1",
    "approve open the gate",
    "rollback everybody back to 1.0.0",
)


async def opens(page: Page, place: Place, identity: str, tab: str) -> None:
    """Open a tab of a workflow's page. The UI finds the latest run by itself."""
    await page.goto(place.workflow(identity))
    await page.wait_for_url("**/timeline")
    await page.goto(page.url.removesuffix("timeline") + tab)


async def send(page: Page, name: str, given: str) -> None:
    """Send a signal by the UI's own form."""
    await page.get_by_role("button", name="More Actions").click()
    await page.get_by_role("menuitem", name="Send a Signal").locator("visible=true").click()
    await page.get_by_role("button", name="Select a signal").click()
    await page.get_by_role("option", name=re.compile(rf"^{name}\b")).click()
    await page.get_by_role("dialog").get_by_role("textbox").last.fill(given)
    await page.keyboard.press("Tab")  # it is laid out anew, and the button moves
    await page.get_by_role("button", name="Submit").click()


async def test_the_page_says_what_it_waits_for_and_the_signal_it_names_is_followed(
    sits: Sitting, place: Place, prompt: Prompt
) -> None:
    await prompt.start()
    identity = f"rollout/{prompt.flag}"
    async with sits(place.stack.ui) as person:
        await opens(person.page, place, identity, "user-metadata")
        shown = person.page.frame_locator("iframe >> nth=-1").locator("body")  # of Markdown
        for said in SAID:
            await shown.filter(has_text=said).wait_for()

        await send(person.page, "approve", '{"reason": "reads well", "by": "ann"}')
        await opens(person.page, place, identity, "timeline")

        for said in ("to 10 %, stage 1 of 3", "approved by ann: reads well", "to 50 %, stage 2"):
            await person.sees(said)
    (rollout,) = await prompt.house.rollouts.list(prompt.house.name, "system")
    lines = await prompt.house.rollouts.decisions(rollout.id)
    assert [(line.by, line.reason) for line in lines if line.kind is Kind.APPROVED] == [
        ("ann", "reads well")
    ]
