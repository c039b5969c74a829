"""The guides are whole and true by the look of them; `tests/journeys` does what they say."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo

from domain.duration import spell
from domain.guardrail import Guardrail
from domain.notifications.targets import Directory
from domain.notifications.wording import Wording
from domain.plan import PRESETS, RolloutPlan, RolloutRequest, Stage
from domain.windows.plan import Windows
from tests.guides.document import (
    DOCUMENTS,
    GUIDES,
    ROOT,
    RUN,
    SHOWN,
    Block,
    blocks,
    blocks_in,
    title,
)
from workflows.commands import COMMANDS, Command
from workflows.publication import ATTRIBUTES

PLANS = (GUIDES / "plans.md").read_text()
MOST_UNRUN = 14  # what needs a cloud, node or a server's configuration
OPERATING = (GUIDES / "operating.md").read_text()


def place(block: Block) -> str:
    return block.where


@pytest.mark.parametrize("document", DOCUMENTS, ids=title)
def test_every_block_is_run_or_says_why_not(document: Path) -> None:
    fences = re.findall(r"^\s*(?:```|~~~)", document.read_text(), re.MULTILINE)
    found = list(blocks(document))
    others = [block for block in found if block.language not in RUN]

    assert len(fences) == 2 * len(found)
    assert [block.where for block in others if block.language != SHOWN and not block.why] == []


def test_few_blocks_are_not_run() -> None:
    unrun = [block.where for document in DOCUMENTS for block in blocks(document) if block.why]

    assert len(unrun) <= MOST_UNRUN, unrun


@pytest.mark.parametrize("document", DOCUMENTS, ids=title)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("block", blocks_in("yaml"), ids=place)
def test_every_plan_and_every_file_of_targets_that_is_shown_is_one(block: Block) -> None:
    if "\ntargets:\n" in block.source:
        given = yaml.safe_load(block.source)
        assert not [*Wording(Directory.model_validate(given).templates).problems()]
    else:
        assert RolloutPlan.parse(block.source).stages


@pytest.mark.parametrize("block", blocks_in("json"), ids=place)
def test_every_json_that_is_shown_is_a_request_or_a_command(block: Block) -> None:
    given = json.loads(block.source)

    if "candidate" in given:
        assert RolloutRequest.parse(given).plan
    else:
        commands: list[type[Command]] = [Command, *COMMANDS.values()]
        assert any(_takes(command, given) for command in commands)


def _takes(command: type[Command], given: JsonValue) -> bool:
    try:
        return bool(command.parse(given))
    except ValueError:
        return False


def test_every_file_that_is_to_be_saved_is_used() -> None:
    for block in blocks_in("python") + blocks_in("yaml"):
        document = ROOT / block.where.rpartition(":")[0]
        assert document.read_text().count(block.file) > bool(block.file), block.where


def rows(text: str, *, under: str) -> list[list[str]]:
    """Return the cells of the table beneath a heading, its head left out."""
    section = re.split(r"^#+ ", text.split(f"# {under}\n")[1], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_presets_are_those_of_the_code() -> None:
    shown = rows(PLANS, under="Presets")

    assert shown == [_preset(plan) for plan in PRESETS.values()]


def _preset(plan: RolloutPlan) -> list[str]:
    steps = [f"{stage.percent:g} % {spell(stage.bake)}" for stage in plan.stages]
    checks = f"{spell(plan.check_min)} to {spell(plan.check_max)}"
    return [f"`{plan.name}`", " → ".join(steps), checks, spell(plan.final_bake)]


@pytest.mark.parametrize(
    ("heading", "value"), [("Plan", RolloutPlan), ("Stage", Stage), ("Guardrail", Guardrail)]
)
def test_every_field_of_a_plan_is_explained(heading: str, value: type[BaseModel]) -> None:
    shown = {row[0]: row[1] for row in rows(PLANS, under=heading)}

    assert shown == {f"`{name}`": _default(field) for name, field in value.model_fields.items()}


def _default(field: FieldInfo) -> str:
    given = field.default
    if field.is_required():
        return "required"
    if given is None or given == Windows():
        return "none"
    if isinstance(given, tuple):
        return "one, all defaults"
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, timedelta):
        return spell(given)
    return f"{given:g}" if isinstance(given, float) else str(given)


def test_every_variable_of_the_environment_is_explained() -> None:
    read = re.findall(r'environ\.get\("(\w+)"', (ROOT / "settings.py").read_text())
    named = " ".join(row[0] for row in rows(OPERATING, under="Settings"))
    shown = re.findall(r"`([A-Z_]+)`", named)

    assert set(read) - {"USER"} <= set(shown)
    assert {name for name in shown if name.startswith("RAMPART_")} <= set(read)


@pytest.mark.parametrize(
    "document", [GUIDES / "getting-started.md", GUIDES / "operating.md", GUIDES / "temporal-ui.md"]
)
def test_the_columns_are_those_the_worker_registers(document: Path) -> None:
    named = set(re.findall(r"\bRampart[A-Z]\w+", document.read_text()))

    assert named == {key.name for key in ATTRIBUTES}


def test_the_pins_in_the_readme_are_those_of_the_project() -> None:
    pins = re.findall(r"`([\w-]+==[\d.]+)`", (ROOT / "README.md").read_text())

    assert len(pins) == 2
    assert [pin for pin in pins if f'"{pin}"' not in (ROOT / "pyproject.toml").read_text()] == []
