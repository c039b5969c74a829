"""The way in and out, and what is said to those who go astray."""

import pytest

from tests.browser.conftest import Sitting
from tests.browser.person import Person
from tests.browser.place import ONLOOKER, OPERATOR, Place

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


async def test_a_stranger_logs_in_and_is_led_to_where_they_wanted(
    stranger: Person, place: Place
) -> None:
    await stranger.go("/ui/experiments")
    await stranger.log_in(place.tokens[OPERATOR])

    await stranger.page.wait_for_url("**/ui/experiments")
    await stranger.sees(OPERATOR)


async def test_who_may_not_operate_is_told_so_and_stays_outside(
    stranger: Person, place: Place
) -> None:
    await stranger.go()
    await stranger.log_in(place.tokens[ONLOOKER])

    await stranger.sees("this needs the role operate")
    await stranger.go()
    assert stranger.page.url.startswith(f"{place.gateway}/ui/login")


async def test_logged_out_one_has_to_log_in_again(ann: Person, place: Place) -> None:
    await ann.page.get_by_role("button", name="Log out").click()

    await ann.page.wait_for_url("**/ui/login")
    await ann.go()
    assert ann.page.url.startswith(f"{place.gateway}/ui/login")


async def test_logging_in_needs_no_mouse(stranger: Person, place: Place) -> None:
    await stranger.go()

    await stranger.page.keyboard.type(place.tokens[OPERATOR])  # the field has the focus
    await stranger.page.keyboard.press("Enter")

    await stranger.page.wait_for_url("**/ui")


async def test_the_first_tab_skips_to_the_page(ann: Person) -> None:
    await ann.go()

    await ann.page.keyboard.press("Tab")
    shown = ann.page.get_by_role("link", name="Skip to the page")

    assert await shown.evaluate("each => each === document.activeElement")
    assert (await shown.bounding_box() or {"x": -1})["x"] >= 0


async def test_a_page_that_is_not_there_says_so_and_leads_back(ann: Person) -> None:
    await ann.go("/ui/rollouts/nobody.system")

    await ann.sees("no rollout of nobody.system is known")
    await ann.page.get_by_role("link", name="All rollouts").click()
    await ann.page.wait_for_url("**/ui")


async def test_the_stack_for_one_laptop_asks_nobody_to_log_in(sits: Sitting, place: Place) -> None:
    async with sits(place.stack.gateway) as person:
        await person.go("/")

        await person.page.wait_for_url("**/ui")
        assert await person.page.get_by_role("button", name="Log out").count() == 0
