"""domain.prompts: the seed's values, immutable, to and from plain JSON."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain import MetricEvent, PromptExperiment, PromptMetrics, PromptVariant, PromptVersion
from domain.errors import InvalidValue
from domain.prompts import instant

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
VERSION = PromptVersion(
    "v-1", "greeting", "system", "1.0.0", "Hello", metadata={"tags": ["a"]}, created_at=NOW
)
EXPERIMENT = PromptExperiment(
    "e-1",
    "greeting",
    "system",
    [PromptVariant("1.0.0", 0.5, "Control"), PromptVariant("1.1.0", 0.5)],
    {"1.0.0": 0.5, "1.1.0": 0.5},
    NOW,
)
METRICS = PromptMetrics("v-1", 10, 9, 1, 5.0, 100, [4.0, 5.0], NOW)


@pytest.mark.parametrize("value", [VERSION, EXPERIMENT, METRICS, MetricEvent("v-1", NOW)])
def test_a_value_survives_json(
    value: PromptVersion | PromptExperiment | PromptMetrics | MetricEvent,
) -> None:
    assert type(value).from_dict(json.loads(json.dumps(value.to_dict()))) == value


def test_a_value_does_not_change_with_what_it_was_made_from() -> None:
    metadata = {"tags": ["a"]}
    version = PromptVersion("v-1", "greeting", "system", "1.0.0", "Hello", metadata=metadata)

    metadata["tags"].append("b")

    assert version.metadata == {"tags": ["a"]}
    with pytest.raises(dataclasses.FrozenInstanceError):
        version.template = "Bye"  # type: ignore[misc]


def test_the_metrics_carry_the_computed_figures_out_and_drop_them_on_the_way_in() -> None:
    plain = METRICS.to_dict()

    assert (plain["success_rate"], plain["avg_response_time"]) == (0.9, 0.5)
    assert (plain["avg_tokens"], plain["avg_rating"]) == (10.0, 4.5)
    assert PromptMetrics.from_dict(plain) == METRICS


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_must_be_positive(weight: float) -> None:
    with pytest.raises(ValueError, match=f"Variant weight must be positive, got {weight}"):
        PromptVariant("1.0.0", weight)


def test_a_split_must_sum_to_one() -> None:
    with pytest.raises(ValueError, match=r"Traffic split must sum to 1\.0, got 0\.9"):
        dataclasses.replace(EXPERIMENT, traffic_split={"1.0.0": 0.5, "1.1.0": 0.4})


@pytest.mark.parametrize(
    "given",
    [
        NOW,
        NOW.replace(tzinfo=None),
        "2026-11-23T12:00:00",
        "2026-11-23T14:00:00+02:00",
        NOW.astimezone(timezone(timedelta(hours=-5))),
    ],
)
def test_an_instant_is_aware_and_in_utc_however_it_is_given(given: datetime | str) -> None:
    assert instant(given) == NOW
    assert str(instant(given)).endswith("+00:00")


@pytest.mark.parametrize("given", ["soon", "", 5, 1.5, b"2026"])
def test_something_else_than_an_instant_is_refused(given: object) -> None:
    with pytest.raises(InvalidValue, match="instant"):
        instant(given)  # type: ignore[arg-type]
