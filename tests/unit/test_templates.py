"""Templates: values become text, wrong ones are named, and nothing a template says does harm."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.prompts import PromptVersion
from domain.templates.filters import FILTERS
from domain.templates.language import TESTS
from domain.templates.template import Template, render

RULES = {
    "topic": {"required": True, "type": "string", "min_length": 2, "max_length": 8},
    "tone": {"enum": ["warm", "dry", 1]},
    "code": {"pattern": "^[A-Z]{3}$"},
    "count": {"type": "integer", "minimum": 1, "maximum": 3},
}


def version(template: str, defaults: Any = None, validation: Any = None) -> PromptVersion:
    return PromptVersion("v-1", "mail", "user", "1.0.0", template, defaults or {}, validation)


def say(template: str, **values: Any) -> str:
    return render(version(template), values)


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("Generate email subject for: {{topic}}", {"topic": "t"}, "Generate email subject for: t"),
        ("Hi {{ name }}, welcome!\n", {"name": "Ada"}, "Hi Ada, welcome!\n"),
        ("{{ user.name }} {{ user['tags'][0] }}", {"user": {"name": "A", "tags": ["x"]}}, "A x"),
        (
            "{{ a }} {{ b }} {{ c }} {{ d }}",
            {"a": 1.5, "b": True, "c": ["ü"], "d": None},
            '1.5 true ["ü"] ',
        ),
        ("{% if vip %}Dear{% else %}Hi{% endif %}", {"vip": True}, "Dear"),
        ("{{ 'Dear' if vip else 'Hi' }}", {"vip": False}, "Hi"),
        ("{% for d in docs %}{{ loop.index }}{{ d }};{% endfor %}", {"docs": ["a", "b"]}, "1a;2b;"),
        (
            "{% for k, v in facts | items %}{{ k }}={{ v }};{% endfor %}",
            {"facts": {"a": 1}},
            "a=1;",
        ),
        ("{{ name | default('you') }}{% if x is defined %}!{% endif %}", {}, "you"),
        ("{{ words | sort | join(', ') | upper }}", {"words": ["b", "a"]}, "A, B"),
        ("{% raw %}{{ kept }}{% endraw %}{# not this #}", {}, "{{ kept }}"),
        ("<b>{{ name }}</b> & co", {"name": "<i>"}, "<b><i></b> & co"),
    ],
)
def test_values_become_text(template: str, values: dict[str, Any], text: str) -> None:
    assert say(template, **values) == text


@pytest.mark.parametrize(
    ("filter_", "value", "text"),
    [
        ("capitalize", "aB", "Ab"),
        ("count", [1, 2], "2"),
        ("d('x')", None, ""),
        ("d('x', true)", None, "x"),
        ("default('x')", "a", "a"),
        ("first", [1, 2], "1"),
        ("items | length", {"a": 1}, "1"),
        ("join('-')", [1, "b"], "1-b"),
        ("last", [1, 2], "2"),
        ("lower", "ÄB", "äb"),
        ("round(1)", 1.26, "1.3"),
        ("round", 1.6, "2"),
        ("sort(true)", [1, 3, 2], "[3, 2, 1]"),
        ("title", "a bc", "A Bc"),
        ("tojson", "ü<", '"ü<"'),
        ("trim", " a ", "a"),
        ("truncate(5)", "abcdefgh", "abcd…"),
        ("truncate", "short", "short"),
        ("upper", 7, "7"),
    ],
)
def test_a_filter_does_what_it_says(filter_: str, value: Any, text: str) -> None:
    assert say(f"{{{{ value | {filter_} }}}}", value=value) == text


def test_defaults_are_used_where_no_value_is_given() -> None:
    mail = version("Write to {{name}} in a {{tone}} tone.", {"tone": "warm", "name": "you"})

    assert render(mail) == "Write to you in a warm tone."
    assert render(mail, {"name": "Ada", "unused": 1}) == "Write to Ada in a warm tone."


def test_a_missing_value_is_named_with_its_version() -> None:
    with pytest.raises(InvalidValue) as refused:
        say("Hello {{ name }}")

    assert str(refused.value) == ("mail.user 1.0.0: 'name' has no value: give one, or a default")


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({}, "variable 'topic' must be given"),
        ({"topic": 3}, "variable 'topic' must be of type string, got 3"),
        ({"topic": "a"}, "variable 'topic' must have a length of at least 2, got \"a\""),
        ({"topic": "a" * 9}, "variable 'topic' must have a length of at most 8, not 9"),
        ({"tone": "loud"}, 'variable \'tone\' must be one of "warm", "dry", 1, got "loud"'),
        ({"tone": True}, "variable 'tone' must be one of"),
        ({"code": "ABCD"}, "variable 'code' must match ^[A-Z]{3}$, got \"ABCD\""),
        ({"count": 0}, "variable 'count' must be at least 1, got 0"),
        ({"count": 4}, "variable 'count' must be at most 3, got 4"),
        ({"count": True}, "variable 'count' must be of type integer, got true"),
        ({"count": 1.5}, "variable 'count' must be of type integer, got 1.5"),
    ],
)
def test_a_value_that_breaks_a_rule_is_named_with_what_is_allowed(
    values: dict[str, Any], refusal: str
) -> None:
    whole = {"topic": "tea"} | values if values else {}

    with pytest.raises(InvalidValue) as refused:
        render(version("{{ topic }}", validation=RULES), whole)

    assert refusal in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("string", "a", 1),
        ("integer", 1, 1.0),
        ("number", 1.5, "1.5"),
        ("boolean", False, 0),
        ("array", [1], {"a": 1}),
        ("object", {"a": 1}, [1]),
    ],
)
def test_types_are_those_of_json(kind: str, right: Any, wrong: Any) -> None:
    typed = version("ok", validation={"x": {"type": kind}})

    assert render(typed, {"x": right}) == "ok"
    with pytest.raises(InvalidValue, match=f"variable 'x' must be of type {kind}"):
        render(typed, {"x": wrong})


@pytest.mark.parametrize(
    ("rule", "refusal"),
    [
        ({"typ": "string"}, "unknown field 'typ': allowed are required, type, enum"),
        ({"type": "text"}, "type: must be 'string', 'integer'"),
        ({"pattern": "(a"}, "not a regular expression of Rust's regex: '\\(a'"),
        ({"pattern": "a{1000}{1000}"}, "not a regular expression"),
        ({"enum": []}, "enum: "),
        ({"max_length": -1}, "max_length: "),
        ([], "valid dictionary"),
    ],
)
def test_a_rule_that_is_none_is_refused(rule: Any, refusal: str) -> None:
    with pytest.raises(InvalidValue, match=f"validation: 'x': .*{refusal}"):
        Template.of(version("a", validation={"x": rule}))


def test_a_default_that_breaks_its_rule_is_refused_before_anything_is_rendered() -> None:
    with pytest.raises(InvalidValue, match="defaults: variable 'tone' must be one of"):
        Template.of(version("{{ tone }}", {"tone": "loud"}, RULES))


def test_a_pattern_takes_linear_time() -> None:
    slow = version("{{ x }}", validation={"x": {"pattern": "^(a+)+$"}})

    with pytest.raises(InvalidValue, match="must match"):
        render(slow, {"x": "a" * 100_000 + "!"})


class Secret:
    """An object of the application, within reach of nobody."""

    key = "sk-1234"

    def __repr__(self) -> str:
        return "a Secret"


@pytest.mark.parametrize(
    "value", [Secret(), {1, 2}, b"bytes", float("nan"), float("inf"), [Secret]]
)
def test_values_that_are_not_json_stay_outside(value: Any) -> None:
    with pytest.raises(InvalidValue, match="variable 'x' must be JSON, got "):
        say("{{ x }}", x=value)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ x.__class__ }}",
        "{{ x['__class__'] }}",
        "{{ x | attr('__class__') }}",
        "{{ x.upper }}",
        "{{ x.format }}",
        "{{ x() }}",
        "{{ x.upper() }}",
        "{{ range(3) }}",
        "{{ cycler }}",
        "{{ lipsum.__globals__ }}",
        "{{ self }}",
        "{{ self.__init__ }}",
        "{{ self._TemplateReference__context }}",
        "{% for a in x %}{{ loop }}{% endfor %}",
        "{% for a in x %}{{ loop.changed }}{{ loop._recurse }}{% endfor %}",
        "{{ joiner() }}",
        "{{ '%s' | format(x) }}",
        "{{ x | map('upper') }}",
        "{{ x | sort(attribute='__class__') }}",
        "{{ x is callable }}",
        "{% include 'x' %}",
        "{% import 'os' as os %}",
        "{% extends 'x' %}",
        "{% macro f() %}{% endmacro %}",
        "{% set y = x %}",
        "{% block b %}{% endblock %}",
        "{% filter upper %}x{% endfilter %}",
        "{% with y = 1 %}{% endwith %}",
        "{% do x.append(1) %}",
        "{{ x ~ x }}",
        "{{ x * 9 }}",
        "{{ 2 ** 9 }}",
        "{{ {'a': 1} }}",
    ],
)
def test_nothing_but_variables_conditions_loops_and_filters_can_be_said(template: str) -> None:
    with pytest.raises(InvalidValue):
        say(template, x="text")


def test_a_value_that_looks_like_a_template_is_text() -> None:
    assert say("{{ name }}", name="{{ 7 }}{% if %}") == "{{ 7 }}{% if %}"


@pytest.mark.parametrize(
    ("template", "refusal"),
    [
        ("a\n\n{{ x ", "line 3: unexpected end of template"),
        ("a\n{% set y = 1 %}", "line 2: Assign is not allowed"),
        ("a\n{{ x | nope }}", "line 2: no filter 'nope': there are capitalize, count"),
        ("{{ x is nope }}", "line 1: no test 'nope': there are boolean, defined"),
        ("{% if x %}", "line 1: Unexpected end of template"),
        ("{{" + "(" * 90_000, "line 1: it is nested too deeply"),
        ("{% for y in x %}" * 30 + "{% endfor %}" * 30, "line 1: it is nested too deeply"),
        ("{{ " + "9" * 5_000 + " }}", "line 1: Exceeds the limit"),
        ("{{x}}" * 6_000, "must have at most 5000 parts, got "),
        ("x" * 200_001, "must have at most 200000 characters, got 200001"),
    ],
)
def test_a_template_that_is_wrong_is_refused_with_its_line(template: str, refusal: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Template.of(version(template))

    assert refusal in str(refused.value)


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("{% for a in x %}" * 3 + "{% endfor %}" * 3, {"x": [0] * 1_000}),
        ("{% for a in x %}{{ big | tojson }}{% endfor %}", {"x": [0] * 5_000, "big": "a" * 9_000}),
        ("{% for a in x %}{% if big | tojson %}{% endif %}{% endfor %}",
         {"x": [0] * 5_000, "big": ["abc"] * 200_000}),
        ("{{ x | join(x) | join(x) | join(x) }}", {"x": "a" * 1_000}),
        ("{{ x }}" * 12, {"x": "a" * 90_000}),
        ("{{ x }}", {"x": "a" * 1_000_001}),
        ("{{ x }}", {"x": [0] * 1_000_001}),
    ],
)  # fmt: skip
def test_what_would_take_too_long_or_get_too_large_is_refused(
    template: str, values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue, match=r"too long|at most|more than"):
        say(template, **values)


def test_five_hundred_documents_of_two_thousand_characters_are_not_too_much() -> None:
    documents = [{"text": "w" * 1_900, "source": "u"} for _ in range(500)]

    text = say(
        "{% for d in docs %}{{ d.text }}{% if d.source %} ({{ d.source }}){% endif %}{% endfor %}",
        docs=documents,
    )

    assert len(text) == 500 * 1_904


def test_endless_values_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(InvalidValue, match="variable 'x' must be nested at most 20 deep"):
        say("{{ x }}", x=endless)


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("{{ x | first }}", {"x": []}),
        ("{{ x | sort }}", {"x": [1, "a"]}),
        ("{{ x | items }}", {"x": 7}),
        ("{{ x[9] }}", {"x": [1]}),
        ("{{ x.y.z }}", {"x": {}}),
        ("{% for a in x %}{% endfor %}", {"x": 7}),
        ("{{ x[::0] }}", {"x": [1]}),
        ("{{ -x }}", {"x": "a"}),
        ("{{ x < 1 }}", {"x": "a"}),
        ("{{ x[y] }}", {"x": {}, "y": []}),
    ],
)
def test_a_value_that_does_not_fit_is_refused(template: str, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=r"^mail\.user 1\.0\.0: "):
        say(template, **values)


def test_it_knows_which_variables_it_mentions() -> None:
    mail = Template.of(version("{% for d in docs %}{{ d }}{{ tone }}{% endfor %}"))

    assert mail.variables == {"docs", "tone"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
PARTS = "{{ }} {% %} {# #} x . | ( ) [ ] ' - , : * ~ if else endif for in endfor set raw".split()  # noqa: SIM905
PIECES = st.lists(st.sampled_from([*PARTS, " ", "\n"]), max_size=15).map("".join)
USES = st.sampled_from([f"| {name}" for name in FILTERS] + [f"is {name}" for name in TESTS])
ATOMS = ["x", "y", "x.a", "x[0]", "'t'", "1", "-1", "loop.index", "none", "x.__class__", "[x, 1]"]
EXPRESSIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.builds("({} {})".format, inner, USES),
        st.builds("({} | join({}))".format, inner, inner),
        st.builds("({} | {}({}))".format, inner, st.sampled_from([*FILTERS]), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["==", "<", "in", "and"]), inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({})[{}:]".format, inner, inner),
    ),
    max_leaves=5,
)
TEMPLATES = st.recursive(
    PIECES | EXPRESSIONS.map("{{{{ {} }}}}".format),
    lambda inner: st.one_of(
        st.builds("{{% if {} %}}{}{{% endif %}}".format, EXPRESSIONS, inner),
        st.builds("{{% for y in {} %}}{}{{% endfor %}}".format, EXPRESSIONS, inner),
        st.builds("{{% for y, z in {} | items %}}{}{{% endfor %}}".format, EXPRESSIONS, inner),
    ),
    max_leaves=3,
)


@given(template=TEMPLATES, value=JSON)
@settings(deadline=None, max_examples=200)
def test_whatever_is_written_renders_or_is_refused(template: str, value: Any) -> None:
    try:
        text = say(template, x=value)
    except InvalidValue:
        return

    assert " at 0x" not in text


@given(value=JSON)
@settings(deadline=None)
def test_what_is_printed_is_a_text_as_it_is_and_json_otherwise(value: Any) -> None:
    text = say("{{ x }}", x=value)

    if isinstance(value, str):
        assert text == value
    elif value is None:
        assert text == ""
    else:
        assert json.loads(text) == value
