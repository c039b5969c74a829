"""What an event must be before it is counted."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.database import Database
from domain.errors import InvalidValue
from domain.limits import BATCH_LIMIT
from domain.metrics import MetricsCollector
from domain.prompts import MetricEvent

NOON = (datetime.now(UTC) - timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def metrics(database: Database) -> MetricsCollector:
    return MetricsCollector(database)


def at(minutes: float, **fields: Any) -> MetricEvent:
    return MetricEvent("v1", NOON + timedelta(minutes=minutes), **fields)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"user_rating": 5.5}, "User rating must be between 1.0 and 5.0, got 5.5"),
    ({"user_rating": 0.9}, "User rating must be between 1.0 and 5.0, got 0.9"),
    ({"user_rating": math.nan}, "User rating must be between 1.0 and 5.0, got nan"),
    ({"user_rating": True}, "User rating must be between 1.0 and 5.0, got True"),
    ({"response_time": -0.1}, "response_time must be .* >= 0, got -0.1"),
    ({"response_time": math.nan}, "response_time must be a finite .* got nan"),
    ({"response_time": math.inf}, "response_time must be a finite .* got inf"),
    ({"response_time": "1"}, "response_time must be a finite .* got '1'"),
    ({"tokens": -1}, "tokens must be an integer from 0 .* got -1"),
    ({"tokens": 1.5}, "tokens must be an integer .* got 1.5"),
    ({"tokens": True}, "tokens must be an integer .* got True"),
    ({"tokens": 2**63}, "tokens must be an integer from 0 to 9223372036854775807"),
    ({"success": 1}, "success must be True or False, got 1"),
    ({"numbers": {"cost": math.inf}}, r"numbers\['cost'\] must be .* got inf"),
    ({"numbers": {"cost": 10**400}}, r"numbers\['cost'\] must be a number within ±1e\+100"),
    ({"numbers": {"": 1.0}}, "name of a number must be .* got ''"),
    ({"numbers": {"x" * 65: 1.0}}, "name of a number must be"),
    ({"numbers": {"tokens": 1.0}}, "no built-in metric, got 'tokens'"),
    ({"numbers": {"success": 1.0}}, "no built-in metric, got 'success'"),
    ({"numbers": {f"n{i}": 1.0 for i in range(51)}}, "numbers must be at most 50"),
    ({"version_id": ""}, "version_id must be a text of 1 to 200 characters.* got ''"),
    ({"version_id": "x" * 201}, "version_id must be a text of 1 to 200 characters"),
    ({"version_id": "a\0b"}, "version_id must be a text .* without NUL"),
    ({"version_id": 7}, "version_id must be a text .* got 7"),
    ({"event_id": ""}, "event_id must be a text"),
    ({"event_id": "x" * 201}, "event_id must be a text"),
    ({"user_id": "\ud800"}, "user_id must be a text"),
    ({"metadata": {"x": math.nan}}, "metadata must be a JSON object"),
    ({"metadata": {"x": object()}}, "metadata must be a JSON object"),
    ({"metadata": {"x": "y" * 16_384}}, "metadata must be a JSON object of at most 16384 bytes"),
    ({"metadata": {"x": json.loads("[" * 40 + "]" * 40)}}, "metadata must be .* and 32 levels"),
    ({"occurred_at": datetime(2999, 1, 1, tzinfo=UTC)}, "timestamp must be .* 0:10:00 ahead of"),
    ({"occurred_at": datetime(2026, 1, 2, tzinfo=UTC)}, "timestamp must be .* 30 days behind"),
]


@pytest.mark.parametrize(("wrong", "message"), REFUSED)
async def test_a_value_out_of_range_is_refused_before_anything_is_counted(
    sqlite: Database, wrong: dict[str, Any], message: str
) -> None:
    metrics = MetricsCollector(sqlite)

    with pytest.raises(ValueError, match=message) as refusal:
        await metrics.record_event(**({"version_id": "v1"} | wrong))

    assert isinstance(refusal.value, InvalidValue)
    assert (await metrics.get_metrics("v1")).total_uses == 0


async def test_the_largest_values_allowed_are_counted(metrics: MetricsCollector) -> None:
    for sign in (1, -1):
        await metrics.record_event(
            "x" * 200, tokens=2**63 - 1, user_rating=5, numbers={"a.b-c_D": sign * 1e100}
        )

    cell = await metrics.read_cell("x" * 200, metric="a.b-c_D")
    assert (cell.n, cell.mean) == (2, 0.0)
    assert cell.moments.m2 == pytest.approx(2e200)


async def test_whatever_json_can_hold_is_kept(metrics: MetricsCollector) -> None:
    metadata = {"nul": "\0", "half": "\ud800", "deep": [{"ü": [None, 1e300, True]}]}

    await metrics.record_event("v1", metadata=metadata)

    [event] = await metrics.get_events("v1")
    assert event.metadata == metadata


async def test_one_wrong_event_refuses_its_whole_batch(metrics: MetricsCollector) -> None:
    with pytest.raises(InvalidValue, match=r"event 1: User rating must be .* got 6"):
        await metrics.record_events([at(0), at(1, user_rating=6), at(2)])

    assert await metrics.get_events("v1") == []


async def test_a_batch_has_a_limit(sqlite: Database) -> None:
    with pytest.raises(InvalidValue, match="at most 10000 events, got 10001"):
        await MetricsCollector(sqlite).record_events([at(0)] * (BATCH_LIMIT + 1))


async def test_a_callers_containers_are_copied(metrics: MetricsCollector) -> None:
    metadata, numbers = {"path": ["a"]}, {"cost": 1.0}
    event = await metrics.record_event("v1", metadata=metadata, numbers=numbers)

    metadata["path"].append("b")
    numbers["cost"] = 2.0

    assert (event.metadata, event.numbers) == ({"path": ["a"]}, {"cost": 1.0})
