"""Rules on users' attributes, and the plans that go from segment to segment."""

import json
import string
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidPlan, InvalidValue
from domain.plan import preset
from domain.segments.plan import Audience, OnFailure, Segment, SegmentedPlan, SegmentedRequest
from domain.segments.rule import Rule

REQUEST: dict[str, Any] = {"name": "greeting", "prompt_type": "system", "candidate": "1.1.0"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def endless() -> list[object]:
    circle: list[object] = []
    circle += [circle, circle]
    return circle


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("rule", "attributes", "true"),
    [
        ('plan == "premium"', {"plan": "premium"}, True),
        ('plan == "premium"', {"plan": "free"}, False),
        ('plan == "x" && country in ["DE", "FR"]', {"plan": "x", "country": "FR"}, True),
        ('"beta" in groups', {"groups": ["alpha", "beta"]}, True),
        ("age >= 18", {"age": 18.5}, True),
        ("account.seats > 10", {"account": {"seats": 11}}, True),
        ("has(account.seats) ? account.seats > 1 : staff", {"account": {}, "staff": True}, True),
        ('since < timestamp("2024-01-01T00:00:00Z")', {"since": "2023-05-01T10:00:00Z"}, False),
        ('timestamp(t) < timestamp("2024-01-01T00:00:00Z")', {"t": "2023-05-01T10:00:00Z"}, True),
        ('user_id.startsWith("user")', {}, True),
        ('user_id == "u"', {"user_id": "u"}, False),
        ("true", {}, True),
    ],
)
def test_a_rule_reads_attributes(rule: str, attributes: dict[str, Any], true: bool) -> None:
    assert Rule.parse(rule).matches("user-1", attributes) is true


@pytest.mark.parametrize(
    ("rule", "attributes"),
    [
        ('plan == "premium"', {}),
        ("age > 3", {"age": "seven"}),
        ("account.seats > 1", {"account": 7}),
        ("groups[4] == 1", {"groups": [1]}),
        ('int(age) > 3 && plan == "x"', {"age": "many", "plan": "x"}),
        ("plan", {"plan": "premium"}),
        ("1", {}),
        ("plan == plan", {"plan": object()}),
        ("plan == plan", {"plan": "\ud800"}),
        ("plan == plan", {"plan": "x" * 10_001}),
        ("plan == plan", {"plan": [0] * 1_000}),
        ("plan == plan", {"plan": {str(n): n for n in range(10_000)}}),
        ("plan == plan", {"plan": endless()}),
        ("plan == plan", {"plan": deep(100_000)}),
    ],
)
def test_a_missing_or_strange_attribute_is_no_match_and_no_exception(
    rule: str, attributes: dict[str, Any]
) -> None:
    assert Rule.parse(rule).matches("user-1", attributes) is False


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("plan ==", "rule is not CEL: mismatched input '<EOF>' at character 8, got 'plan =='"),
        ("", "rule must be 1 to 2000 printable characters, got ''"),
        ("a || " * 400 + "a", "rule must be 1 to 2000 printable characters, got 'a ||"),
        ("plan == \x00", "rule must be 1 to 2000 printable characters, got 'plan == "),
        ("(" * 900 + "a" + ")" * 900, "rule is not CEL: "),
        ('mail.matches("(a+)+")', "rule must not use matches: allowed are comparisons, &&,"),
        ("groups.all(g, groups.all(h, g == h))", "rule must not use arithmetic or a macro over a"),
        ("groups.map(g, g) == []", "rule must not use arithmetic or a macro over a list: "),
        ("groups.exists_one(g, g)", "rule must not use arithmetic or a macro over a list: "),
        ("strange(plan)", "rule must not use strange: "),
    ],
)
def test_a_wrong_rule_is_refused_in_one_line(rule: str, why: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Rule.parse(rule)

    assert str(refused.value).startswith(why)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


CAREFREE = Rule.parse('x == "1" || x > 1 || x.a.b < 2 || user_id in x || size(x) > 3 || x[0] == x')


@given(JSON, st.text())
def test_no_attribute_and_no_user_makes_a_rule_raise(value: Any, user: str) -> None:
    assert CAREFREE.matches(user, {"x": value}) in {True, False}


@settings(max_examples=300, deadline=timedelta(seconds=2))
@given(st.text(alphabet=string.printable, max_size=2_100))
def test_no_text_makes_a_definition_end_in_anything_but_a_rule_or_a_refusal(text: str) -> None:
    with suppress(InvalidValue):
        assert Rule.parse(text).matches("user-1", {"a": 1}) in {True, False}


def test_a_user_belongs_to_the_first_segment_that_matches() -> None:
    audience = Audience.of(
        [
            Segment(name="internal", rule='mail.endsWith("@example.com")'),
            Segment(name="premium", rule='plan == "premium"'),
        ]
    )

    both = audience.segment_of("u", {"mail": "ann@example.com", "plan": "premium"})
    premium = audience.segment_of("u", {"plan": "premium"})
    neither = audience.segment_of("u", {"plan": "free"})

    assert (both, premium, neither) == ("internal", "premium", None)


def test_a_rule_that_cel_no_longer_knows_never_matches_and_the_others_do() -> None:
    old = Segment.model_construct(name="old", rule="plan ==", order=1)

    audience = Audience.of([old, Segment(name="all", rule="true")])

    assert audience.segment_of("u", {}) == "all"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "a_b", "rule": "true"}, "segment name: String should match pattern"),
        ({"name": "", "rule": "true"}, "segment name: "),
        ({"name": "beta", "rule": "plan =="}, "segment rule: rule is not CEL: mismatched input"),
        ({"name": "beta", "rule": "true", "order": 0}, "segment order: must be greater than or eq"),
        ({"name": "beta", "role": "true"}, "segment unknown field 'role': allowed are name, rule,"),
    ],
)
def test_a_wrong_segment_is_refused_with_its_field(given: Any, why: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Segment.parse(given)

    assert str(refused.value).startswith(why)


def test_the_smallest_request_takes_every_segment_and_then_everybody() -> None:
    request = SegmentedRequest.parse(REQUEST | {"plan": "demo"})

    assert request.plan == SegmentedPlan(plan=preset("demo"))
    assert (request.plan.segments, request.plan.everyone) == ((), True)
    assert request.plan.on_failure is OnFailure.STOP


def test_a_plan_names_rings_by_name_or_whole_and_survives_json() -> None:
    plan = SegmentedPlan.parse(
        """
        segments: [internal, {segment: beta, plan: aggressive}]
        plan: demo
        pause_between: 1h
        on_failure: roll_back_all
        everyone: false
        """
    )

    again = SegmentedPlan.model_validate(json.loads(plan.model_dump_json()))

    assert again == plan
    assert [(ring.segment, ring.plan) for ring in plan.segments] == [
        ("internal", None),
        ("beta", preset("aggressive")),
    ]
    assert plan.pause_between == timedelta(hours=1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (7, "request must be an object like {"),
        (REQUEST | {"plan": "swift"}, "request: plan.plan: unknown plan 'swift': give one of "),
        (
            REQUEST | {"plan": {"segments": ["beta", "beta"]}},
            "request: plan.segments: segment 'beta' is named twice",
        ),
        (
            REQUEST | {"plan": {"segments": ["no way"]}},
            "request: plan.segments.0.segment: String should match pattern",
        ),
        (REQUEST | {"plan": {"segments": "beta"}}, "request: plan.segments: must be a valid tuple"),
        (REQUEST | {"plan": {"on_failure": "cry"}}, "request: plan.on_failure: must be 'stop' or "),
        (REQUEST | {"plan": {"pause_between": "-1s"}}, "request: plan.pause_between: must be a "),
        (REQUEST | {"plan": {"stages": []}}, "request: plan: unknown field 'stages': allowed are "),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(given: Any, why: str) -> None:
    with pytest.raises(InvalidPlan) as refused:
        SegmentedRequest.parse(given)

    assert str(refused.value).startswith(why)
    assert "\n" not in str(refused.value)


def test_a_plan_that_is_no_yaml_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidPlan, match=r"^plan is not YAML: .*$"):
        SegmentedPlan.parse("segments: [")
