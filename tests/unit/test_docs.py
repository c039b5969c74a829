"""The site is whole: all that the code has is on a page, and what leads nowhere is found."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields as declared
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from docs.site import pages
from docs.site.checking import Site
from docs.site.navigation import DOCS, HOME, ROOT, lost, navigation, sources
from docs.site.reference import (
    commands,
    environment,
    errors,
    http,
    messages,
    metrics,
    plans,
    python,
)
from docs.site.reference.shelf import SHELF
from domain.manual import fields
from domain.plan import PRESETS
from domain.record import Kind
from domain.shape import KINDS, shape
from domain.tokens import INCLUDES, Role
from settings import Settings
from tests.gateway.test_roles import MAY
from tests.guides.document import Block, blocks_in
from tests.unit.test_architecture import product
from workflows.publication import ATTRIBUTES

PLANS = [block for block in blocks_in("yaml") if "\ntargets:\n" not in block.source]


def place(block: Block) -> str:
    return block.where


def test_every_command_says_what_it_does_and_every_option_what_it_is_for() -> None:
    silent = [name for name, command in commands.commands() if not command.help]
    silent += [
        f"{name} {option.name}"
        for name, command in commands.commands()
        for option in commands.options(command)
        if not option.help
    ]

    assert silent == []


def test_every_command_and_option_is_on_its_page() -> None:
    page = commands.page()

    for name, command in commands.commands():
        assert f"`rampart {name}`" in page
        _, _, section = page.partition(f"`rampart {name}`")
        told = section.partition("\n#")[0]
        opts = [opt for each in commands.options(command) for opt in each.opts if opt[0] == "-"]
        assert [opt for opt in opts if f"`{opt}`" not in told] == []


def test_every_setting_says_what_it_is_and_every_variable_is_on_its_page() -> None:
    told, page = fields(Settings), environment.page()

    assert [each.name for each in declared(Settings) if each.name not in told] == []
    assert [name for name in environment.variables() if f"`{name}`" not in page] == []


def test_every_metric_says_what_it_is_and_is_in_the_guide() -> None:
    guide = (DOCS / "guides" / "observability.md").read_text()
    shown = [*metrics.of_workers(), *metrics.of_gateways(), *metrics.of_all()]

    assert [one.name for one in shown if not one.said] == []
    assert [one.name for one in shown if f"| `{one.name}` |" not in guide] == []


def test_every_metric_that_code_names_is_on_its_page() -> None:
    page = metrics.page()
    named = {
        name
        for source in product().values()
        if "prometheus_client" in source or "metric_meter" in source
        for name in re.findall(r'"(rampart_[a-z_]+)"', source)
    }

    assert len(named) > 5
    assert [name for name in named if f"`{name}" not in page] == []


def test_every_message_of_every_workflow_says_what_it_does() -> None:
    page = messages.page()
    found = [one for kind in messages.kinds() for one in messages.messages(kind)]

    assert {one.workflow for one in found} >= {"RolloutWorkflow", "MonitorWorkflow"}
    assert [one for one in found if not one.said or f"| `{one.name}` |" not in page] == []


def test_every_search_attribute_and_kind_is_told_of() -> None:
    page = messages.page()

    assert {key.name for key in ATTRIBUTES} == messages.MEANING.keys()
    assert [kind for kind in Kind if f"| `{kind}` |" not in page] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_plan_is_described_in_its_schema(kind: str) -> None:
    jsonschema_rs.meta.validate(shape(kind))

    assert [*plans.undescribed(kind)] == []


def valid(given: Any, kind: str = "rollout") -> bool:
    return jsonschema_rs.is_valid(shape(kind), given)


@pytest.mark.parametrize("block", PLANS, ids=place)
def test_every_plan_of_the_guides_keeps_the_schema(block: Block) -> None:
    given = yaml.safe_load(block.source)
    as_editors_read = json.loads(json.dumps(given, default=date.isoformat))

    assert valid(as_editors_read)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_keeps_the_schema(name: str) -> None:
    assert valid(yaml.safe_load(PRESETS[name].to_yaml()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"stages": [{"percent": 100}], "gaurdrails": ["success"]},
        {"stages": [{"percent": 101}]},
        {"stages": [{"percent": 100, "bake": "4 hours"}]},
        {"stages": [{"percent": 100}], "guardrails": [{"metric": "success", "role": "boss"}]},
        {},
    ],
)
def test_what_is_misspelt_or_out_of_range_breaks_the_schema(wrong: Any) -> None:
    assert not valid(wrong)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("request", {"name": "a", "prompt_type": "b", "candidate": "1.1.0", "plan": "standard"}),
        ("experiment", {"variants": {"1.0.0": 0.5, "1.1.0": 0.5}, "rollout_plan": "standard"}),
        ("segmented", {"segments": ["beta", {"segment": "all", "plan": "demo"}]}),
        ("monitor", {"versions": ["v"], "window": "ever", "conditions": [
            {"metric": "idle", "above": "2h"}]}),
    ],
)  # fmt: skip
def test_short_forms_keep_the_schema(kind: str, given: Any) -> None:
    assert valid(given, kind)


def test_every_route_says_what_it_does_and_who_may() -> None:
    page, found = http.page(), {route.title: route for route in http.routes()}

    assert found.keys() == MAY.keys()
    assert [title for title, route in found.items() if not route.told.get("summary")] == []
    assert [title for title in found if f"### `{title}`" not in page] == []
    assert {title: http.role_of(route.path) for title, route in found.items()} == {
        title: needed(MAY[title]) for title in found
    }


def needed(may: set[Any]) -> str:
    """Return the role that a set of them comes to: the least of those that include others."""
    if None in may:
        return ""
    if may == {*Role}:
        return "any"
    return next(
        role.value
        for role in Role
        if may == {role} | {each for each, more in INCLUDES.items() if role in more}
    )


def test_every_error_and_exit_code_is_told_of() -> None:
    assert errors.exit_codes().keys() == {0, 1, 2, 130, 143}
    assert all(f"| `{kind.__name__}` |" in errors.page() for kind in errors.kinds())


def silent() -> Iterator[str]:
    for kinds in python.SHELVES.values():
        for kind in kinds:
            if not kind.__doc__:
                yield kind.__name__
            yield from (
                f"{kind.__name__}.{name}" for name, m in python.public(kind) if not m.__doc__
            )


def test_every_name_that_applications_import_has_a_docstring() -> None:
    assert [*silent()] == []


def test_every_page_can_be_found() -> None:
    shown = yaml.safe_dump(navigation())
    new = DOCS / "guides" / "written-today.md"

    assert lost(sources()) == []
    assert lost([*sources(), new]) == [new]
    assert [name for name in SHELF if f"reference/{name}" not in shown] == []


def test_the_first_page_is_the_readmes_first_screen() -> None:
    readme = (ROOT / "README.md").read_text()

    page = pages.home(readme)

    pitch = readme.split("\n\n")[1].split()
    assert " ".join(pitch) in page
    assert "make demo" in page
    assert page.count("- **") >= 8


def test_links_are_led_to_where_their_targets_are_in_the_site() -> None:
    text = (
        "[changes](../CHANGELOG.md#added) ![a](pictures/looking.svg) [web](https://a.example)\n"
        "[formulas](../domain/stats) [`cli.py`](../cli.py)\n```text\n[no](../CHANGELOG.md)\n```\n"
    )

    turned = pages.turned(text, source=DOCS / "guarantees.md")

    assert turned == (
        "[changes](changelog.md#added) ![a](pictures/looking.svg) [web](https://a.example)\n"
        "formulas (`domain/stats`) `cli.py`\n```text\n[no](../CHANGELOG.md)\n```\n"
    )


def test_a_list_right_under_a_paragraph_is_a_list_as_on_a_forge() -> None:
    turned = pages.turned("**Why.**\n* a\n* b\n  c\n* d\n", source=DOCS / "guarantees.md")

    assert turned == "**Why.**\n\n* a\n* b\n  c\n* d\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="b.html">b</a>', "a.html: b.html leads nowhere"),
        ('<a href="#c">c</a>', "a.html: #c names no heading"),
        ('<img src="c.png" alt="c">', "a.html: c.png leads nowhere"),
        ('<script src="https://cdn.example/x.js"></script>',
         "a.html: loads https://cdn.example/x.js from elsewhere"),
        ('<link rel="stylesheet" href="//fonts.example/x.css">',
         "a.html: loads //fonts.example/x.css from elsewhere"),
        ('<p id="d"><img src="data:image/png;base64,AA=="></p>',
         "a.html: picture data:image/png;base64,AA== says nothing to who cannot see it"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_built_page_is_found(tmp_path: Path, body: str, said: str) -> None:
    (tmp_path / "a.html").write_text(body)

    assert Site(tmp_path).faults() == [said]


def test_a_stylesheet_that_loads_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@import 'https://fonts.example/x.css'; a { color: red }")

    assert Site(tmp_path).faults() == [
        "a.css: loads https://fonts.example/x.css from elsewhere",
    ]


def test_what_holds_together_is_left_in_peace(tmp_path: Path) -> None:
    body = '<h1 id="x y">x</h1> <a href="#x%20y"> <a href="a.html?h=1#x%20y">'
    (tmp_path / "a.html").write_text(f'{body} <a href="https://a.example">')

    assert Site(tmp_path).faults() == []
    assert HOME == "index.md"
