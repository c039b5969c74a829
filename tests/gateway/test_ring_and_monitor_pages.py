"""The pages of segmented rollouts and of monitors."""

import re

from pydantic import JsonValue

from domain.monitors.plan import MonitorPlan
from domain.segments.lanes import SegmentManager
from domain.segments.plan import SegmentedRequest
from tests.gateway.entrance import ON_SQLITE, Entrance
from tests.gateway.visitor import Visitor

pytestmark = ON_SQLITE

RINGS = "/rings/greeting.system"
PLAN: JsonValue = {"stages": [{"percent": 10, "bake": "30d"}, {"percent": 100}], "check_max": "1h"}
HOSTILE = "<img src=x onerror=alert(1)>/x?#"


async def segmented(way_in: Entrance) -> None:
    segments = SegmentManager(way_in.house.database)
    await segments.define("greeting", "system", "beta", "plan == '<b>'")


async def watched(operated: Entrance, name: str) -> None:
    """Watch a version that fails all the time."""
    await operated.house.events("1.0.0", good=0, bad=40)
    version = (await operated.house.get("1.0.0")).version_id
    monitors = await operated.gateway._services.operators.monitors()
    plan: JsonValue = {"versions": [version], "duration": "300d", "window": "1h", "interval": "1h"}
    await monitors.start(name, MonitorPlan.parse(plan))


async def test_without_temporal_the_segments_are_shown(way_in: Entrance) -> None:
    await segmented(way_in)

    page = await Visitor(way_in).open(RINGS)
    unknown = await Visitor(way_in).open("/rings/nobody.knows")

    assert "Only its segments can be shown: no Temporal server answers" in page.said
    assert "beta plan == '<b>' greeting_beta.system" in page.said
    assert "<b>" not in page.source
    assert unknown.status == 404


async def test_rings_are_shown_and_steered(operated: Entrance) -> None:
    await segmented(operated)
    control = await operated.gateway._services.operators.rings()
    given: JsonValue = {
        "name": "greeting",
        "prompt_type": "system",
        "candidate": "1.1.0",
        "plan": {"plan": PLAN},
    }
    await control.start(SegmentedRequest.parse(given))
    visitor = Visitor(operated)

    page = await visitor.wait_for(RINGS, "2 everybody waiting greeting.system")
    refused = await visitor.send(f"{RINGS}/resume", reason="typed")
    back = await visitor.send(f"{RINGS}/rollback", reason="enough")
    ended = await visitor.wait_for(RINGS, "enough (by operate)")

    assert "greeting.system → 1.1.0, ring by ring" in page.said
    assert re.search(r"1 beta (waiting|running) greeting_beta\.system", page.said)
    assert re.findall(r"<summary>([\w ]+) …", page.source)[0] == "Pause"
    assert (refused.status, ">typed</textarea>" in refused.source) == (409, True)
    assert back.status == 200
    assert 'id="answer"' in back.source
    assert "1 beta rolled back greeting_beta.system" in ended.said
    assert "<summary>" not in ended.source


async def test_monitors_are_listed_with_their_open_alerts_and_stopped(operated: Entrance) -> None:
    await watched(operated, HOSTILE)
    visitor = Visitor(operated)
    place = "/monitors/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%2Fx%3F%23"

    page = await visitor.wait_for(place, "below 50.0 %")
    unmeant = await visitor.send(f"{place}/stop", sure="")
    stopped = await visitor.send(f"{place}/stop", reason="seen enough")
    ended = await visitor.wait_for(place, "by operate: seen enough")
    listed = await visitor.open("/monitors")

    assert (
        "open greeting.system 1.0.0: success_rate 0.0 % (40 events in 1h), below 50.0 %"
        in page.said
    )
    assert "alerted" in page.said
    assert unmeant.status == 422
    assert stopped.status == 200
    assert "success_rate below 0.5" in ended.said
    assert "<summary>Stop" not in ended.source
    assert HOSTILE in listed.said
    assert "<img" not in listed.source + page.source


async def test_monitors_live_in_temporal_alone(way_in: Entrance) -> None:
    visitor = Visitor(way_in)

    assert (await visitor.open("/monitors")).status == 503
    assert "no Temporal server answers" in (await visitor.open("/monitors/nightly")).said


async def test_a_monitor_that_nobody_started_is_not_found(operated: Entrance) -> None:
    assert (await Visitor(operated).open("/monitors/nobody")).status == 404
