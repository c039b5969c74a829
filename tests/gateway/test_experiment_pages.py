"""The pages of experiments: from the database alone, and steered through Temporal."""

import re
from typing import Any

import pytest
from pydantic import JsonValue

from domain.trials.findings import Trial, TrialStatus
from domain.trials.manager import TrialManager
from domain.trials.plan import ExperimentRequest
from tests.gateway.entrance import ON_SQLITE, Entrance
from tests.gateway.visitor import Page, Visitor

pytestmark = ON_SQLITE

PLACE = "/experiments/greeting.system"
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}"


def request(**plan: Any) -> ExperimentRequest:
    whole = {"variants": ["1.0.0", "1.1.0"], "min_duration": "0s"} | plan
    asked: JsonValue = {
        "name": "greeting",
        "prompt_type": "system",
        "plan": whole,
        "reason": "which?",
    }
    return ExperimentRequest.parse(asked)


async def tried(way_in: Entrance, key: str = "run-1", **plan: Any) -> Trial:
    """Open a trial in the database, as its workflow would."""
    return await TrialManager(way_in.house.database).open(request(**plan), key=key)


async def begun(operated: Entrance, **plan: Any) -> None:
    """Start an experiment, and wait until it is open."""
    control = await operated.gateway._services.operators.experiments()
    await control.start(request(**plan))


async def test_without_temporal_the_database_tells_all_but_what_is_to_come(
    way_in: Entrance,
) -> None:
    trial = await tried(way_in)
    await way_in.house.events("1.0.0", good=3600, bad=400)
    await way_in.house.events("1.1.0", good=3840, bad=160)
    await TrialManager(way_in.house.database).look(trial.id, number=0)

    page = await Visitor(way_in).open(PLACE)

    assert page.status == 200
    assert "greeting.system 1.0.0 / 1.1.0 running" in page.said
    assert "Temporal is away, so it cannot be steered now" in page.said
    assert "no Temporal server answers" in page.said
    assert re.search(r"1\.1\.0 50 % 4.000 96\.0 % .* \+6\.0 pp \+\d\.\d pp", page.said)
    assert "better not harmed" in page.said
    assert "opened users are split: 1.0.0 50%, 1.1.0 50%: which?" in page.said
    assert "<meter" in page.source
    assert page.source.count('class="picture"') == 4
    assert "<form" not in page.source.partition("<main")[2]


async def test_an_experiment_that_nobody_came_to_is_shown_too(way_in: Entrance) -> None:
    await tried(way_in)

    page = await Visitor(way_in).open(PLACE)

    assert "1.1.0 50 % 0 – – – – nothing to compare yet" in page.said
    assert "Looks none yet" in page.said
    assert "Nobody was recorded as having been given an arm yet" in page.said


async def test_a_wrong_split_is_told_in_figures_and_in_words(way_in: Entrance) -> None:
    trial = await tried(way_in)
    given = [(f"u-{n}", "1.0.0" if n < 500 else "1.1.0", trial.epoch) for n in range(700)]
    await way_in.house.experiments.record_exposures(trial.id, given)

    page = await Visitor(way_in).open(PLACE)

    assert "Wrong: users are not split as they should be (50 %, 50 %)" in page.said
    assert "1.0.0 350 500 +150 1.1.0 350 200 -150" in page.said


async def test_the_winner_is_marked_once_the_tests_were_asked(way_in: Entrance) -> None:
    trials, trial = TrialManager(way_in.house.database), await tried(way_in)
    await way_in.house.events("1.0.0", good=800, bad=200)
    await way_in.house.events("1.1.0", good=960, bad=40)
    await trials.look(trial.id, number=0)
    await trials.conclude(trial.id, early=True, by="ann", reason="sold out")

    page = await Visitor(way_in).open(PLACE)

    assert "waiting for decision" in page.said
    assert "1.1.0 ★ winner" in page.said
    assert "1.0.0 ★ winner" not in page.said
    assert "< 0.0001 yes, 1.1.0 is ahead" in page.said
    assert "A person chose the moment" in page.said


async def test_an_arm_that_was_stopped_says_so(way_in: Entrance) -> None:
    await way_in.house.version("1.2.0")
    trials = TrialManager(way_in.house.database)
    trial = await tried(way_in, variants=["1.0.0", "1.1.0", "1.2.0"])
    await way_in.house.events("1.0.0", good=900, bad=100)
    await way_in.house.events("1.2.0", good=500, bad=500)
    report = await trials.look(trial.id, number=0)
    (harmed,) = report.harmed
    await trials.stop_arm(trial.id, "1.2.0", epoch=trial.epoch, reason=harmed.reason)

    page = await Visitor(way_in).open(PLACE)

    assert re.search(r"1\.2\.0 0 % 1.000 50\.0 % .* stopped: it harmed", page.said)
    assert re.search(r"1\.0\.0 66\.67 % ", page.said)


async def test_it_is_steered_by_who_is_logged_in_for_a_reason(operated: Entrance) -> None:
    await begun(operated)
    visitor = Visitor(operated)

    running = await visitor.wait_for(PLACE, "Waits for 1000 observations in every arm")
    paused = await visitor.send(f"{PLACE}/pause", reason="a holiday")
    resumed = await visitor.send(f"{PLACE}/resume", reason="back")
    concluded = await visitor.send(f"{PLACE}/conclude", reason="sold out")

    assert _buttons(running) == ["Pause", "Conclude", "Deploy", "Stop"]
    assert "paused: its clock stands" in paused.said
    assert _buttons(paused) == ["Resume", "Conclude", "Deploy", "Stop"]
    assert "resumed: it has run for" in resumed.said
    assert "concluding: the tests are asked now" in concluded.said
    await operated.until(lambda: _phase(visitor), "waiting for decision")
    waiting = await visitor.open(PLACE)
    assert _buttons(waiting) == ["Deploy", "Conclude", "Stop"]
    assert "paused a holiday operate" in waiting.said
    await visitor.send(f"{PLACE}/deploy", version="1.1.0", reason="we like it")
    await operated.until(lambda: _phase(visitor), "deployed")
    ended = await visitor.open(PLACE)
    assert _buttons(ended) == []
    assert await operated.house.share("1.1.0") == 1.0


async def test_what_it_refuses_is_said_on_its_page(operated: Entrance) -> None:
    await begun(operated)
    visitor = Visitor(operated)

    refused = await visitor.send(f"{PLACE}/resume", reason="typed")
    unmeant = await visitor.send(f"{PLACE}/stop", sure="")
    unknown = await visitor.send(f"{PLACE}/deploy", version="9.9.9")

    assert (refused.status, unmeant.status, unknown.status) == (409, 422, 409)
    assert "it is not paused: it is running" in refused.said
    assert ">typed</textarea>" in refused.source
    assert "nothing was changed: tick the box" in unmeant.said
    assert "9.9.9 is none of its arms" in unknown.said
    assert await _phase(visitor) == "running"


async def test_a_form_that_is_sent_twice_counts_once(operated: Entrance) -> None:
    await begun(operated)
    visitor = Visitor(operated)
    form = await visitor.open(PLACE)
    (key,) = re.findall(r'name="key" value="(Pause-[^"]+)"', form.source)

    first = await visitor.send(f"{PLACE}/pause", key=key)
    second = await visitor.send(f"{PLACE}/pause", key=key)

    assert "paused: its clock stands" in first.said
    assert "paused: its clock stands" in second.said
    assert second.said.count("paused because operate") == 1


async def test_without_temporal_a_form_says_so_and_nothing_is_lost(way_in: Entrance) -> None:
    await tried(way_in)

    page = await Visitor(way_in).send(f"{PLACE}/stop", reason="now")

    assert page.status == 503
    assert "no Temporal server answers" in page.said
    assert "opened users are split" in page.said


async def test_what_others_wrote_is_text(way_in: Entrance) -> None:
    trials = TrialManager(way_in.house.database)
    asked = request(variants=[{"version": "1.0.0", "description": HOSTILE}, "1.1.0"])
    asked = asked.model_copy(update={"by": HOSTILE, "reason": HOSTILE})
    trial = await trials.open(asked, key="run-1")
    await trials.release(trial.id, TrialStatus.STOPPED, by=HOSTILE, reason=HOSTILE)

    for path in (PLACE, "/experiments", "/experiments?q=%3Cimg"):
        page = await Visitor(way_in).open(path)
        assert page.status == 200
        assert "<img" not in page.source


@pytest.mark.parametrize("verb", ["explode", "PAUSE", "stop/arm"])
async def test_no_other_verbs_are_known(way_in: Entrance, verb: str) -> None:
    await tried(way_in)

    assert (await Visitor(way_in).send(f"{PLACE}/{verb}")).status in (404, 422)


def _buttons(page: Page) -> list[str]:
    return re.findall(r"<summary>(\w+) …", page.source)


async def _phase(visitor: Visitor) -> str:
    found = re.search(r'<h1>.*class="state \w+">([^<]+)<', (await visitor.open(PLACE)).source)
    return found[1] if found else ""
