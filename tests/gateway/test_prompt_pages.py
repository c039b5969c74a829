"""The pages of prompts: what is served, which versions there are, what differs, who moved tags."""

import re

import pytest

from domain.tokens import Role
from tests.gateway.entrance import ON_SQLITE, Entrance
from tests.gateway.visitor import Visitor

pytestmark = ON_SQLITE

HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}/../?#%2e"
PLACE = "/prompts/greeting.system"


async def test_a_prompt_shows_what_its_users_are_served(way_in: Entrance) -> None:
    everybody = await Visitor(way_in).open(PLACE)
    experiment = await way_in.split("1.0.0", "1.1.0")
    split = await Visitor(way_in).open(PLACE)

    assert "Everybody gets the same version Version Users 1.0.0 100 %" in everybody.said
    assert "Users are split among versions Version Users 1.0.0 50 % 1.1.0 50 %" in split.said
    snapshot = await way_in.house.routing.snapshot("greeting", "system")
    assert snapshot
    assert f"Salt {snapshot.salt}" in split.said
    assert f"Epoch {snapshot.epoch}" in split.said
    assert f"experiment {experiment}, running" in split.said


async def test_versions_are_shown_with_what_they_did(way_in: Entrance) -> None:
    version = (await way_in.house.get("1.1.0")).version_id
    for seconds in (0.25, 0.25, 2.0):
        await way_in.house.metrics.record_event(version, success=seconds < 1, response_time=seconds)

    page = await Visitor(way_in).open(PLACE)

    assert re.search(r"1\.1\.0 active – 3 66\.7 % 25\d ms 2\.0\d s", page.said)


async def test_a_tag_is_moved_by_who_is_logged_in_for_a_reason(way_in: Entrance) -> None:
    visitor = Visitor(way_in)

    page = await visitor.send(f"{PLACE}/tags", version="1.1.0", tag="staging", reason="try it")
    again = await visitor.open(PLACE)
    history = await visitor.open(f"{PLACE}/history")

    assert "1.1.0 is tagged staging" in page.said
    assert "is tagged staging" not in again.said
    assert "staging – 1.1.0 try it operate" in history.said


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"sure": ""}, "nothing was changed: tick the box"),
        ({"reason": "  "}, "nothing was changed: say why"),
        ({"version": "9.9.9"}, "greeting.system has no version '9.9.9'"),
        ({"tag": ""}, "tag must be 1 to 200 printable characters"),
    ],
)
async def test_a_form_that_cannot_be_followed_says_why_on_the_page_it_came_from(
    way_in: Entrance, fields: dict[str, str], why: str
) -> None:
    sent = {"version": "1.1.0", "tag": "production", "reason": "typed <b>"} | fields

    page = await Visitor(way_in).send(f"{PLACE}/tags", **sent)

    assert page.status in (404, 422)
    assert why in page.said
    assert "1.0.0 in production" in page.said
    assert f">{sent['reason']}</textarea>".replace("<b>", "&lt;b&gt;") in page.source


async def test_production_is_reverted_once_however_often_the_form_is_sent(
    way_in: Entrance,
) -> None:
    house = way_in.house
    await house.version("1.2.0")
    await house.put_in_production("1.1.0")
    await house.put_in_production("1.2.0")
    visitor = Visitor(way_in)

    form = await visitor.open(PLACE)
    first = await visitor.send(f"{PLACE}/revert", leaving="1.2.0", reason="too long")
    second = await visitor.send(f"{PLACE}/revert", leaving="1.2.0", reason="too long")

    assert 'name="leaving" value="1.2.0"' in form.source
    assert "1.1.0 is in production again, 1.2.0 is deprecated" in first.said
    assert "production 1.2.0 1.1.0 too long operate" in first.said
    assert (second.status, "1.2.0 of greeting.system is in production no more" in second.said) == (
        409,
        True,
    )
    assert await house.share("1.1.0") == 1.0


async def test_a_live_rollout_keeps_the_tag_that_it_holds(way_in: Entrance) -> None:
    await way_in.house.open()

    page = await Visitor(way_in).send(f"{PLACE}/tags", version="1.1.0", tag="production")

    assert page.status == 409
    assert "holds its production tag" in page.said
    assert "Revert production" not in page.said


async def test_a_version_shows_its_text_and_what_it_needs(way_in: Entrance) -> None:
    await way_in.house.versions.create_version(
        "greeting", "system", "\n<b>Dear</b> {{ name }}, {{ tone }}", "2.0.0",
        {"tone": "warm"}, {"tone": {"enum": ["warm", "dry"]}}, {"owner": "ann"}, "ann",
    )  # fmt: skip

    page = await Visitor(way_in).open(f"{PLACE}/versions/2.0.0")

    assert "\n\n&lt;b&gt;Dear&lt;/b&gt; <mark>{{ name }}</mark>, <mark>" in page.source
    assert 'tone "warm" {"enum": ["warm", "dry"]}' in page.said
    assert "by ann Made from 1.0.0" in page.said
    assert '"owner": "ann"' in page.said
    assert "/diff?from=1.0.0&amp;to=2.0.0" in page.source


async def test_a_text_of_another_language_is_shown_as_it_is(way_in: Entrance) -> None:
    await way_in.house.versions.create_version("greeting", "system", "{{ a.b( }}", "2.0.0")

    page = await Visitor(way_in).open(f"{PLACE}/versions/2.0.0")

    assert page.status == 200
    assert "{{ a.b( }}" in page.said
    assert "Its variables cannot be told: line 1" in page.said


async def test_two_versions_are_told_apart_without_colours(way_in: Entrance) -> None:
    await way_in.house.versions.create_version(
        "greeting", "system", "Hello you", "2.0.0", {"tone": "dry"}
    )
    await way_in.house.versions.create_version("greeting", "system", "Hello all of you", "2.1.0")

    page = await Visitor(way_in).open(f"{PLACE}/diff?from=2.0.0&to=2.1.0")
    default = await Visitor(way_in).open(f"{PLACE}/diff")
    same = await Visitor(way_in).open(f"{PLACE}/diff?from=2.0.0&to=2.0.0")

    assert "1 − removed Hello you" in page.said
    assert "<ins>all of </ins>you" in page.source
    assert 'defaults.tone − removed "dry" –' in page.said
    assert "1.0.0 → 2.1.0" in default.said
    assert same.said.count("The same.") == 2


async def test_what_is_not_there_is_not_found_on_a_page(way_in: Entrance) -> None:
    visitor = Visitor(way_in)

    for path in ("/prompts/nobody.knows", f"{PLACE}/versions/9.9.9", f"{PLACE}/diff?to=9.9.9"):
        page = await visitor.open(path)
        assert (page.status, "<h1>Not Found</h1>" in page.source) == (404, True), path
    assert (await visitor.open("/prompts/greeting")).status == 422


async def test_what_others_wrote_is_text_on_every_page(way_in: Entrance) -> None:
    versions, flag = way_in.house.versions, "%3Cb%3E%20%22%27%26%25%3F%23%2Fx.%3Cu%3E"
    name, kind = "<b> \"'&%?#/x", "<u>"
    for template in (HOSTILE, f"{HOSTILE} again"):
        made = await versions.create_version(
            name, kind, template, None, {HOSTILE: HOSTILE}, None, {HOSTILE: [HOSTILE]}, HOSTILE,
            tags=[HOSTILE],
        )  # fmt: skip
    await versions.tag_version(made.version_id, "production", by=HOSTILE, reason=HOSTILE)
    visitor = Visitor(way_in, role=Role.ADMIN)

    for path in (
        "/prompts?q=%3Cb%3E",
        f"/prompts/{flag}",
        f"/prompts/{flag}/history",
        f"/prompts/{flag}/versions/1.0.1",
        f"/prompts/{flag}/diff?from=1.0.0&to=1.0.1",
    ):
        page = await visitor.open(path)
        assert page.status == 200, path
        assert "<b> \"'&%?#/x.<u>" in page.said
        assert not re.search(r"<(img|b|u)\b", page.source), path
        for link in re.findall(r'href="(/ui/prompts/[^"]*)"', page.source):
            assert (
                await visitor.open(link.removeprefix("/ui").replace("&amp;", "&"))
            ).status == 200
