"""Temporal's own UI, read and used by somebody who has nothing else."""

import re

import pytest
from playwright.async_api import Browser, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from domain.record import Kind
from tests.browser.person import sitting
from tests.browser.place import Place, Prompt

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

MOST_TURNS = 60
SAID = (
    "waiting for approval",
    "asked by ann: greets people by name",
    "an approval of stage 1",
    "approve open the gate",
    "rollback everybody back to 1.0.0",
)

TOLD = (  # in this order
    "ramp • to 10 %, stage 1 of 3",
    "baking at 10 % until",
    "waiting for approval at 10 %",
    "note • approved by ann: reads well",
    "ramp • to 50 %, stage 2 of 3",
)


async def opens(page: Page, place: Place, identity: str, tab: str) -> None:
    """Open a tab of a workflow's page. The UI finds the latest run by itself."""
    await page.goto(place.workflow(identity))
    await page.wait_for_url("**/timeline")
    await page.goto(page.url.removesuffix("timeline") + tab)


async def finds(page: Page, said: str) -> None:
    """Scroll down the timeline until it is there: rows out of sight are not drawn."""
    shown = page.get_by_text(said).locator("visible=true").first
    for _ in range(MOST_TURNS):
        try:
            await shown.wait_for(timeout=1_000)
        except PlaywrightTimeout:
            await page.mouse.move(800, 700)
            await page.mouse.wheel(0, 300)
        else:
            return
    raise AssertionError(f"the timeline does not say: {said}")


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
    browser: Browser, place: Place, prompt: Prompt
) -> None:
    await prompt.start()
    await prompt.until("waiting_for_approval")  # for the page is as fresh as its loading
    identity = f"rollout/{prompt.flag}"
    async with sitting(browser, place.stack.ui) as person:  # which asks for its maker's news
        await opens(person.page, place, identity, "user-metadata")
        shown = person.page.frame_locator("iframe >> nth=-1").locator("body")  # of Markdown
        for said in SAID:
            await shown.filter(has_text=said).wait_for()

        await send(person.page, "approve", '{"reason": "reads well", "by": "ann"}')
        await prompt.until("baking")  # else leaving the page could overtake the signal
        await opens(person.page, place, identity, "timeline")

        await person.page.get_by_role("button", name="Descending").click()  # the oldest first
        for said in TOLD:
            await finds(person.page, said)
    (rollout,) = await prompt.house.rollouts.list(prompt.house.name, "system")
    lines = await prompt.house.rollouts.decisions(rollout.id)
    assert [(line.by, line.reason) for line in lines if line.kind is Kind.APPROVED] == [
        ("ann", "reads well")
    ]
