"""Reports: what they tell, in three forms, of every end; and that words in them are only words."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import jsonschema_rs
import pytest
from markdown_it import MarkdownIt
from sqlalchemy import delete, update
from sqlmodel import col

from domain.database import Database
from domain.errors import NotFound
from domain.judge import Standing
from domain.plan import RolloutRequest, preset
from domain.record import Kind
from domain.tables import RolloutRow, VersionRow
from gateway.dashboard.dashboard import HERE as DASHBOARD
from reports.facts import ExperimentReport, RolloutReport
from reports.illustrated import Illustrated
from reports.reporter import Reporter
from reports.schema import schema
from reports.writing import STYLE, Form, write
from tests.couple import Couple
from tests.finished import DEMO, STORIES, Archive, Telling, tell
from tests.guides.document import ROOT
from tests.house import House
from tests.unit.test_trials import Laboratory

SCHEMA = ROOT / "docs" / "schemas" / "report-1.json"
UI = "https://temporal.example"
HOSTILE = (
    "</title></script><script>alert(1)</script><img src=x onerror=alert(1)> | `x` [y](javascript:z)"
    " **bold** ![i](https://evil.example/i) https://evil.example/ @ops \x1b[2J\u202e\x07 &amp; $x$"
)


@pytest.fixture
async def house(sqlite: Database) -> House:
    house = House(sqlite)
    await house.furnish()
    return house


@dataclass(frozen=True)
class Told:
    """A report in all its forms."""

    found: Illustrated
    html: str
    markdown: str
    json: dict[str, object]

    @property
    def rollout(self) -> RolloutReport:
        assert isinstance(self.found.report, RolloutReport)
        return self.found.report

    @property
    def experiment(self) -> ExperimentReport:
        assert isinstance(self.found.report, ExperimentReport)
        return self.found.report


async def told(database: Database, wanted: str = "") -> Told:
    reporter = Reporter(database, ui=UI)
    found = await (reporter.by_id(wanted) if wanted else reporter.latest("greeting", "system"))
    html, markdown, facts = (write(found, form) for form in Form)
    return Told(found, html, markdown, json.loads(facts))


class Page(HTMLParser):
    """The elements and addresses of a page, and what is to be read on it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", STORIES)
async def test_every_end_is_reported_in_every_form(archive: Archive, name: str) -> None:
    house, rollout = await archive.find(name)

    found = await told(house.database, rollout.id)

    page = Page(found.html)
    jsonschema_rs.validate(json.loads(SCHEMA.read_text()), found.json)
    assert RolloutReport.model_validate(found.json) == found.found.report
    for text in (page.words, found.markdown.replace("\\", "")):
        assert found.rollout.finding in text
        assert found.rollout.because in text
        assert rollout.id in text
        assert f"rampart replay {rollout.id}" in text
    assert page.tags >= {"svg", "table", "main"}
    assert "script" not in page.tags
    assert page.addresses == []
    assert not re.search(r"url\(|@import|<link|<img", found.html)


async def test_a_rollback_says_who_began_it_and_on_what_evidence(archive: Archive) -> None:
    house, rollout = await archive.find("harmed late")

    found = await told(house.database, rollout.id)

    (part,) = found.rollout.parts
    assert part.grounds
    assert part.grounds.guardrails[0].standing is Standing.HARMED
    assert part.grounds.guardrails[0].interval
    assert found.rollout.finding.startswith("It was rolled back to 1.0.0 in stage 2 of 3, after ")
    assert found.rollout.by == "guardrails"
    assert "1 check: roll back" in Page(found.html).words
    assert [(stage.number, stage.percent) for stage in found.rollout.stages] == [(1, 10), (2, 50)]
    assert len(part.looks) == sum(stage.checks for stage in found.rollout.stages)


async def test_a_person_who_ended_it_is_named_with_the_reason(archive: Archive) -> None:
    house, rollout = await archive.find("by a person")

    found = await told(house.database, rollout.id)

    assert (found.rollout.by, found.rollout.because) == ("ana", "it is rude")
    assert {"ana"} == {deed.by for deed in found.rollout.deeds}


async def test_what_is_not_over_is_told_as_of_now_with_what_it_waits_for(house: House) -> None:
    rollout = await house.ramped(1, plan=DEMO)
    await house.rollouts.check(rollout.id, number=1)

    found = await told(house.database)

    assert not found.rollout.ended
    for text in (Page(found.html).words, found.markdown):
        assert "not over yet; as of " in text
        assert "to go on: 100 more users of the candidate in this stage" in text
    assert found.rollout.stages[-1].until is None


async def test_what_was_never_checked_or_never_ramped_is_reported_too(house: House) -> None:
    await house.open()

    found = await told(house.database)

    assert "It was not ramped." in found.html
    assert "nothing was checked" in found.markdown


async def test_a_bundle_tells_of_each_of_its_prompts(sqlite: Database) -> None:
    couple = Couple(sqlite)
    await couple.furnish()
    leader = await couple.ramped(1, plan=DEMO)
    for _ in range(2):
        await couple.greeting.events("1.1.0", good=10, bad=190)
        await couple.greeting.events("1.0.0", good=200, bad=0)
    await couple.rollouts.check(leader.id, number=1)
    await couple.rollouts.roll_back(leader.id, reason="it harms", by="guardrails")

    found = await told(sqlite, leader.id)

    prompts = ["greeting.system", "farewell.system"]
    assert [part.prompt for part in found.rollout.parts] == prompts
    assert list(found.found.plates) == prompts
    changes = "greeting.system 1.0.0 → 1.1.0, farewell.system 1.0.0 → 1.1.0"
    assert found.rollout.title == changes
    assert [part.grounds.alpha for part in found.rollout.parts if part.grounds] == [0.025] * 2
    assert "Evidence: farewell.system" in Page(found.html).words


async def test_an_experiment_is_reported_while_it_runs_and_at_its_end(sqlite: Database) -> None:
    house = Laboratory(sqlite)
    await house.furnish()
    trial = await house.try_out()
    await house.come({"1.0.0": 900, "1.1.0": 960, "1.2.0": 890})
    await house.trials.look(trial.id, number=1)
    before = await told(sqlite)
    await house.trials.conclude(trial.id)
    await house.trials.deploy(trial.id, "1.1.0", epoch=trial.epoch, by="plan")

    after = await told(sqlite, trial.id)

    assert "its tests are asked once, at its end" in before.experiment.finding
    assert after.experiment.winner == "1.1.0"
    assert [arm.version for arm in after.experiment.standing] == ["1.0.0", "1.1.0", "1.2.0"]
    assert "The tests of its end, asked once" in Page(after.html).words
    assert "1.1.0 beats every other arm" in after.markdown.replace("\\", "")
    jsonschema_rs.validate(json.loads(SCHEMA.read_text()), after.json)


async def test_the_latest_of_a_prompt_is_meant_be_it_rollout_or_experiment(
    sqlite: Database,
) -> None:
    house = Laboratory(sqlite)
    await house.furnish()
    rollout = await house.ramped(1)
    await house.rollouts.roll_back(rollout.id, reason="", by="ana")
    assert (await told(sqlite)).rollout.id == rollout.id

    trial = await house.try_out()

    assert (await told(sqlite)).experiment.id == trial.id
    with pytest.raises(NotFound, match=r"no rollout and no experiment of nope\.system is known"):
        await Reporter(sqlite).latest("nope", "system")
    with pytest.raises(NotFound, match="no rollout and no experiment has the id 'nope'"):
        await Reporter(sqlite).by_id("nope")


async def test_versions_are_told_with_their_commits_and_the_workflow_with_its_page(
    house: House,
) -> None:
    commit = "https://git.example/prompts/commit/4f2a"
    await house.versions.create_version(
        "greeting", "system", "Hi", "1.2.0",
        metadata={"commit": commit, "review": "javascript:alert(1)"}, created_by="ana",
    )  # fmt: skip
    request = RolloutRequest(
        name="greeting", prompt_type="system", candidate="1.2.0", plan=DEMO, by="ana", reason="warm"
    )
    rollout = await house.rollouts.open(request, key="k", workflow_id="rollout/greeting.system")

    found = await told(house.database)

    link = f"{UI}/namespaces/default/workflows/rollout%2Fgreeting.system"
    assert Page(found.html).addresses == [link, commit]
    assert f"](<{commit}>)" in found.markdown
    assert f"](<{link}>)" in found.markdown
    assert "javascript:alert(1)" in Page(found.html).words
    assert found.rollout.parts[0].versions[0].metadata["commit"] == commit
    assert (found.rollout.asked_by, found.rollout.asked_for) == ("ana", "warm")
    assert rollout.id in found.html


async def test_words_of_others_are_only_words(house: House) -> None:
    rollout = await house.ramped(1, plan=DEMO)
    await house.rollouts.note(
        rollout.id, key="p", kind=Kind.PAUSED, by=HOSTILE[:190], reason=HOSTILE
    )
    await house.rollouts.roll_back(rollout.id, reason=HOSTILE, by="ana")

    found = await told(house.database)

    page, rendered = Page(found.html), MarkdownIt("gfm-like", {"linkify": False})
    read = Page(rendered.render(found.markdown))
    for each in (page, read):
        assert not each.tags & {"script", "img", "iframe", "strong", "base"}
        assert not {name for name in each.attributes if name.startswith("on")}
        assert "<script>alert(1)</script>" in each.words
        assert "**bold**" in each.words
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", each.words)
    assert page.addresses == read.addresses == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", found.html + found.markdown)
    rows = [line for line in found.markdown.splitlines() if line.startswith("| 20")]
    assert {line.count(" | ") for line in rows if "paused" in line} == {4}


async def test_evidence_that_retention_deleted_is_said_to_be_gone(house: House) -> None:
    rollout = await tell(house, "healthy")
    async with house.database.transaction() as session:
        statement = update(RolloutRow).where(col(RolloutRow.id) == rollout.id)
        await session.exec(statement.values(swept_at=datetime(2026, 5, 1, tzinfo=UTC)))

    found = await told(house.database)

    assert "was deleted on 2026-05-01, as retention says" in found.html
    assert next(plate.name for plate in found.found.plates[rollout.prompt]) == "ramp"


async def test_a_version_that_was_deleted_is_told_by_its_number(sqlite: Database) -> None:
    house = Laboratory(sqlite)
    await house.furnish()
    trial = await house.try_out()
    async with sqlite.transaction() as session:
        await session.exec(delete(VersionRow).where(col(VersionRow.version) == "1.2.0"))

    found = await told(sqlite, trial.id)

    assert [version.status for version in found.experiment.versions][-1] == "deleted"


async def test_of_many_checks_evenly_chosen_ones_are_told(house: House) -> None:
    telling = Telling(house, await house.open(plan=preset("demo")))
    for _ in range(2):
        await telling.ramp()
        await telling.check(times=15)

    numbers = await house.rollouts.even_checks(telling.rollout.id, most=6)
    found = await house.rollouts.checks(telling.rollout.id, numbers=numbers)

    assert [check.number for check in found] == numbers
    assert {1, 15, 16, 30} <= {*numbers}
    assert len(numbers) <= 10


def test_the_schema_in_the_documentation_is_that_of_the_code() -> None:
    kept, ours = (undescribed(json.loads(text)) for text in (SCHEMA.read_text(), schema()))

    assert kept == ours, "make it anew: python -m reports.schema > docs/schemas/report-1.json"


def undescribed(value: object) -> object:
    """Return a schema without its words: the domain may put them better at any time."""
    if isinstance(value, dict):
        return {key: undescribed(one) for key, one in value.items() if key != "description"}
    return [undescribed(one) for one in value] if isinstance(value, list) else value


def test_reports_have_the_colours_of_the_dashboard() -> None:
    ours, pages = colours(STYLE), colours(DASHBOARD / "static" / "style.css")

    assert {name: pages[name] for name in ours} == ours


def colours(style: Path) -> dict[str, list[str]]:
    """Return each variable with its values, light and dark."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"(--[\w-]+): (#\w+)", style.read_text()):
        found.setdefault(name, []).append(value)
    return found
