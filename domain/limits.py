"""What an event may hold: one source for what decodes it in C and what judges it in Python."""

import re
from collections.abc import Mapping
from datetime import timedelta
from numbers import Real
from reprlib import repr as shortened

BATCH_LIMIT = 10_000  # events of one body, and of one transaction
SKEW = timedelta(minutes=10)  # how far a caller's clock may run ahead of ours
MAX_AGE = timedelta(days=30)  # less than raw events are kept: only these tell a repeated one
TEXT_LIMIT = 200  # characters
NUMBERS_LIMIT = 50  # custom numbers of one event
METRICS_LIMIT = 200  # names of custom numbers of one version, ever
LARGEST = 1e100  # so that squares and their sums stay finite
TOKENS_LARGEST = 2**63 - 1
NUMBER = (float, int, Real)  # what most are first: an abstract class is slow to ask for
METADATA_BYTES = 16_384
METADATA_DEPTH = 32

SUCCESS = "success"
MEASURED = ("response_time", "tokens", "user_rating")  # built in, besides success

# What both databases keep: PostgreSQL takes no NUL, and UTF-8 no half of a surrogate pair.
TEXT = re.compile(f"[^\0\ud800-\udfff]{{1,{TEXT_LIMIT}}}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)

A_TEXT = f"a text of 1 to {TEXT_LIMIT} characters, without NUL"
A_NAME = f"{NAME.pattern}, and no built-in metric"
A_NUMBER = f"a number within ±{LARGEST:g}"
ALLOWED = {  # in words, by field
    "version_id": A_TEXT,
    "event_id": A_TEXT,
    "user_id": A_TEXT,
    "experiment_id": A_TEXT,
    "success": "True or False",
    "response_time": "a finite number of seconds >= 0",
    "tokens": f"an integer from 0 to {TOKENS_LARGEST}",
    "user_rating": "between 1.0 and 5.0",
    "numbers": f"at most {NUMBERS_LIMIT} names with their numbers",
    "metadata": f"a JSON object of at most {METADATA_BYTES} bytes and {METADATA_DEPTH} levels",
    "occurred_at": "an instant in ISO 8601 with its offset",
}
TIMELY = f"an instant at most {MAX_AGE.days} days behind and at most {SKEW} ahead of"


def is_too_deep(value: object, *, levels: int = METADATA_DEPTH) -> bool:
    """Return whether containers lie in each other at more than `levels`."""
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list | tuple):
        inner = list(value)
    else:
        return False
    return levels == 0 or any(is_too_deep(each, levels=levels - 1) for each in inner)


def is_number(value: object, *, low: float, high: float) -> bool:
    """Return whether it is a number in this range; NaN is in none, and True is not one."""
    if not isinstance(value, NUMBER) or isinstance(value, bool):
        return False
    return bool(value <= high) and not value < low


def fault_of_numbers(numbers: object) -> str | None:
    """Return what is wrong with an event's custom numbers, if anything."""
    if not isinstance(numbers, Mapping) or len(numbers) > NUMBERS_LIMIT:
        return f"numbers must be {ALLOWED['numbers']}, got {shortened(numbers)}"
    for name, value in numbers.items():
        free = isinstance(name, str) and name not in (SUCCESS, *MEASURED)
        if not (free and NAME.fullmatch(name)):
            return f"the name of a number must be {A_NAME}, got {shortened(name)}"
        if not is_number(value, low=-LARGEST, high=LARGEST):
            return f"numbers[{name!r}] must be {A_NUMBER}, got {shortened(value)}"
    return None
