"""Texts of people stay texts: to SQL, to templates, to logs, to terminals and to Markdown."""

import io
import json
import logging
import tracemalloc
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table
from rich.text import Text
from sqlalchemy import func
from sqlmodel import SQLModel, select

from domain.database import Database
from domain.errors import InvalidValue
from domain.prompts import PromptVersion
from domain.rollouts import RolloutManager
from domain.tables import TokenRow
from domain.templates.template import render
from domain.tokens import TokenManager
from domain.versions import VersionManager
from terminal import console
from terminal.console import Screen
from tests.house import House
from workflows.markdown import literal

NASTY = [
    "'; DROP TABLE token; --",
    "' OR '1'='1",
    '" OR ""="',
    "\\' OR 1=1 --",
    "$1 :name %(name)s ? {0} %s",
    "a%b_c",
    "'||(SELECT digest FROM token)||'",
    "1); DELETE FROM prompt_version; --",
    "\u02bc\uff07 OR 1=1",
    "{{ 7 * 7 }}",
]
FORGED = "fine\n2026-11-25 12:00:00 ERROR rollout.rolled_back forged\r\nand more"
ESCAPES = ["\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x08\x08", "\r", "\u202egpj.exe", "\x00"]


async def counts(database: Database) -> dict[str, int]:
    async with database.reading() as session:
        tables = SQLModel.metadata.sorted_tables
        query = {table.name: select(func.count()).select_from(table) for table in tables}
        return {name: (await session.exec(each)).one() for name, each in query.items()}


@pytest.mark.parametrize("text", NASTY)
async def test_a_name_of_sql_is_a_name(database: Database, text: str) -> None:
    versions, tokens = VersionManager(database), TokenManager(database)
    await versions.create_version("greeting", "system", "Hi", tags=["production"])
    await tokens.create("keep", ["ingest"])
    before = await counts(database)

    made = await versions.create_version(text, "system", text, created_by=text, tags=[text])
    await versions.tag_version(made.version_id, text, by=text, reason=text)
    issued = await tokens.create(text, ["ingest"], by=text)

    (found,) = await versions.list_versions(text, "system")
    assert (found.name, found.template, found.created_by) == (text, text, text)
    assert list(found.tags) == [text]
    assert {move.reason for move in await versions.tag_history(text, "system", text)} <= {"", text}
    assert issued.token.name == issued.token.created_by == text
    after = await counts(database)
    assert after["token"] == before["token"] + 1
    assert after["prompt_version"] == before["prompt_version"] + 1


@pytest.mark.parametrize("text", NASTY)
async def test_what_is_asked_for_by_sql_is_not_found(database: Database, text: str) -> None:
    house = House(database)
    await house.furnish()
    await house.open()

    versions = await house.versions.list_versions(text, "system")
    rollouts = await RolloutManager(database).list(text, "system")
    history = await house.versions.tag_history("greeting", "system", text)
    one = await house.versions.get_version_by_id(text)

    assert (list(versions), list(rollouts), list(history), one) == ([], [], [], None)


async def test_no_token_is_known_by_sql(database: Database) -> None:
    await TokenManager(database).create("keep", ["ingest"])

    for text in NASTY:
        with pytest.raises(Exception, match="no token"):
            await TokenManager(database).revoke(text)
    async with database.reading() as session:
        assert [row.revoked_at for row in await session.exec(select(TokenRow))] == [None]


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ x['__class__']['__init__']['__globals__'] }}",
        "{{ x | attr('__class__') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ config }}{{ request }}",
        "{{ ''.format.__globals__ }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ x | format(x.__class__) }}",
        "{{ x | map(attribute='__class__') | list }}",
        "{% import 'os' as os %}{{ os }}",
        "{% include '/etc/passwd' %}",
        "{% set x = 1 %}",
        "{% macro m() %}{{ caller() }}{% endmacro %}",
        "{{ lipsum() }}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ range(10 ** 9) | list }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ x ~ x ~ x }}",
    ],
)
def test_a_template_reaches_no_object_and_calls_nothing(template: str) -> None:
    with pytest.raises(InvalidValue):
        say(template, x="text")


NEST = "{% for a in x %}" * 6 + "{{ a }}" + "{% endfor %}" * 6


@pytest.mark.parametrize(
    ("template", "values"),
    [
        (NEST, {"x": list(range(20))}),
        ("{% for a in x %}{{ x }}{% endfor %}", {"x": ["y" * 1000] * 1000}),
        ("{{ x | replace('a', b) | replace('a', b) }}", {"x": "a" * 10_000, "b": "a" * 10_000}),
        ("{{ x | join(b) }}", {"x": list(range(10_000)), "b": "y" * 10_000}),
        ("{{ '%0999999999d' }}" + "{{ x | indent(99999999) }}", {"x": "a\na"}),
        ("(" * 100_000 + "{{ x }}", {"x": "y" * 2_000_000}),
    ],
    ids=["loops in loops", "itself again and again", "growth", "a long glue", "widths", "large"],
)
def test_a_template_takes_neither_long_nor_much(template: str, values: dict[str, Any]) -> None:
    tracemalloc.start()
    began = process_time()
    try:
        say(template, **values)
    except InvalidValue:
        pass
    finally:
        took, (_, peak) = process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 200 * 2**20
    assert took < 20  # an endless one would take hours; this is no measurement


def say(template: str, **values: Any) -> str:
    return render(PromptVersion("v-1", "mail", "user", "1.0.0", template, {}, None), values)


async def test_a_reason_forges_no_line_of_a_log(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(sqlite)
    await house.furnish()
    with caplog.at_level(logging.DEBUG):
        rollout = await house.open()
        await house.rollouts.roll_back(rollout.id, reason=FORGED, by=FORGED)

    told = [record for record in caplog.records if record.name.startswith("domain")]
    assert any("rolled_back" in record.getMessage() for record in told)
    assert not [record for record in told if "\n" in record.getMessage()]


def shown(value: Any) -> str:
    out = io.StringIO()
    Screen(file=out, markup=False, width=100, force_terminal=True, color_system=None).print(value)
    return out.getvalue()


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_terminal_obeys_nobodys_reason(escape: str) -> None:
    table = Table.grid()
    table.add_row(Text(f"because {escape} of it"), f"by {escape}")

    for each in (f"because {escape} of it", Text(escape), table):
        assert not set(escape) & set("\x1b\x07\x9b\x08\r\u202e\x00") & set(shown(each))


def test_what_json_shows_is_json_and_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(console, "out", Screen(file=out, markup=False))
    value = {"reason": "".join(ESCAPES) + "ü … 好"}

    console.say_json(value)

    assert json.loads(out.getvalue()) == value
    assert not set("\x1b\x07\x9b\x08\r\u202e\x00") & set(out.getvalue())


@pytest.mark.parametrize(
    "text",
    [
        "[click](https://evil.example)",
        "![](https://evil.example/pixel.png)",
        "<img src=x onerror=alert(1)>",
        "<script>alert(1)</script>",
        "<https://evil.example>",
        "`code`** and **",
        "\\[click](https://evil.example)",
    ],
)
def test_a_page_in_temporals_ui_shows_texts_as_they_are(text: str) -> None:
    html = MarkdownIt("commonmark").render(f"**{literal(text)}**: 1.0.0 → 1.1.0")

    assert MarkdownIt("commonmark").render(text) != f"<p>{text}</p>\n"
    for tag in ("<a", "<img", "<script", "<code"):
        assert tag not in html


@given(st.text(alphabet="[]()<>!`*\\ahtps:/.", max_size=60))
def test_no_text_becomes_a_link_a_picture_or_html(text: str) -> None:
    html = MarkdownIt("commonmark").render(f"**x {literal(text)} x**: 1.0.0 → 1.1.0")

    left = html.replace("<p>", "").replace("</p>", "").replace("<strong>", "")
    assert "<" not in left.replace("</strong>", "")
