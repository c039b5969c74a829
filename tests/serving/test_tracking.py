"""How tracking events are read."""

import math
from typing import Any

import pytest

from domain.errors import InvalidValue
from serving.tracking import Tracked

FLAG = "greeting.system"


@pytest.mark.parametrize(
    ("name", "value", "attributes", "success"),
    [
        ("outcome", None, {}, True),
        ("outcome", 1, {}, True),
        ("outcome", 0, {}, False),
        ("success", None, {}, True),
        ("success", 0.0, {}, False),
        ("failure", None, {}, False),
        ("error", 3.5, {}, False),
        ("outcome", None, {"success": False}, False),
        ("failure", None, {"success": True}, True),
        ("purchase", 0, {}, True),
        ("purchase", 49.9, {"success": False}, False),
    ],
)
def test_success_is_said_by_name_value_or_attribute(
    name: str, value: float | None, attributes: dict[str, Any], success: bool
) -> None:
    tracked = Tracked.read(name, value=value, attributes={"flag": FLAG} | attributes)

    assert (tracked.flag, tracked.success) == (FLAG, success)


def test_an_event_may_be_named_as_the_flag_it_is_about() -> None:
    by_name = Tracked.read(FLAG, value=0, attributes={"tokens": 3})
    by_attribute = Tracked.read("outcome", value=0, attributes={"tokens": 3, "flag": FLAG})

    assert by_name == by_attribute


def test_what_is_measured_numbered_and_said_is_told_apart() -> None:
    tracked = Tracked.read(
        "outcome",
        value=None,
        attributes={
            "flag": FLAG,
            "event_id": "e-1",
            "version_id": "v-1",
            "response_time": 0.5,
            "tokens": 12,
            "user_rating": 4,
            "cost": 0.25,
            "cached": True,
            "model": "small",
        },
    )

    assert tracked == Tracked(
        FLAG,
        True,
        version_id="v-1",
        event_id="e-1",
        measured={"response_time": 0.5, "tokens": 12, "user_rating": 4},
        numbers={"cost": 0.25},
        metadata={"cached": True, "model": "small"},
    )


@pytest.mark.parametrize(
    ("name", "value", "measured", "numbers"),
    [
        ("response_time", 0.5, {"response_time": 0.5}, {}),
        ("tokens", 12.0, {"tokens": 12}, {}),
        ("tokens", 12.5, {"tokens": 12.5}, {}),
        ("tokens", math.inf, {"tokens": math.inf}, {}),
        ("purchase", 49.9, {}, {"purchase": 49.9}),
        ("purchase", None, {}, {}),
    ],
)
def test_the_value_of_another_event_is_the_number_of_its_name(
    name: str, value: float | None, measured: dict[str, float], numbers: dict[str, float]
) -> None:
    tracked = Tracked.read(name, value=value, attributes={"flag": FLAG})

    assert (tracked.success, tracked.measured, tracked.numbers) == (True, measured, numbers)
    assert tracked.metadata == ({"event": "purchase"} if name == "purchase" else {})


@pytest.mark.parametrize(
    ("value", "attributes", "told"),
    [
        (0.5, {}, "success must be True or False, 1 or 0, got 0.5"),
        (math.nan, {}, "success must be True or False, 1 or 0, got nan"),
        (None, {"success": "yes"}, "success must be True or False, 1 or 0, got 'yes'"),
        (None, {"flag": 7}, "flag must be a text, got 7"),
        (None, {"version_id": ["v"]}, r"version_id must be a text, got \['v'\]"),
        (None, {"event_id": True}, "event_id must be a text, got True"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    value: float | None, attributes: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidValue, match=f"^{told}$"):
        Tracked.read("outcome", value=value, attributes={"flag": FLAG} | attributes)
