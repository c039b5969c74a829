"""Durations as people write them: `90s`, `4h`, `7d`, `1h30m`. Used by every plan."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST = timedelta(days=365)
SHORTEST_TICK = timedelta(seconds=0.5)  # a wait of nothing would be a hot loop


def _duration(value: object) -> object:
    """Read `90s`, `30m`, `4h`, `7d`, `1h30m`; numbers are seconds; ISO 8601 is pydantic's."""
    if not isinstance(value, str) or value.startswith("P"):
        return value
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError(f"must be a duration such as 90s, 30m, 4h, 7d or 1h30m, got {value!r}")
    return timedelta(seconds=sum(float(number) * UNITS[unit] for number, unit in parts))


def _bounded(value: timedelta) -> timedelta:
    if not timedelta(0) <= value <= LONGEST:
        raise ValueError(f"must be between 0s and {spell(LONGEST)}, got {value.total_seconds():g}s")
    return value


def _positive(value: timedelta) -> timedelta:
    if value < SHORTEST_TICK:
        raise ValueError(f"must be at least {spell(SHORTEST_TICK)}, got {value.total_seconds():g}s")
    return value


def spell(duration: timedelta) -> str:
    """Return `1d12h`, `4h`, `1m30s`: what `Duration` reads; whole milliseconds."""
    left, words = round(duration.total_seconds() * 1000), ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        words += f"{count}{unit}" if count else ""
    return words or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    AfterValidator(_bounded),
    PlainSerializer(spell, return_type=str, when_used="json"),
]
Tick = Annotated[Duration, AfterValidator(_positive)]
