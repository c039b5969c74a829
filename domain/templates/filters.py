"""What a template may do to a value: `{{ topic | upper }}`. All of it ends soon, on any value."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Undefined

from domain.errors import InvalidValue

OUTPUT_LIMIT = 1_000_000  # characters that are rendered, and of all values together

Filter = Callable[..., Any]


def shown(value: object) -> str:
    """Return the value as it is printed: a text as it is, null as nothing, all others as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else to_json(value)


def to_json(value: object) -> str:
    """Return JSON that leaves letters of all languages as they are."""
    str(value) if isinstance(value, Undefined) else None  # which raises: it is missing
    return json.dumps(value, ensure_ascii=False)


def _capitalize(value: object) -> str:
    return shown(value).capitalize()


def _default(value: object, instead: object = "", empty: bool = False) -> object:
    return instead if isinstance(value, Undefined) or (empty and not value) else value


def _first(value: Sequence[Any]) -> object:
    return value[0]


def _items(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"items needs an object, got {shown(value):.60}")
    return list(value.items())


def _join(value: Sequence[Any], between: str = "") -> str:
    """Join after looking how long it would get: a chain of joins could fill the memory."""
    parts = [shown(part) for part in value]
    length = sum(map(len, parts)) + len(between) * len(parts)
    if length > OUTPUT_LIMIT:
        raise InvalidValue(f"join must give at most {OUTPUT_LIMIT} characters, got {length}")
    return between.join(parts)


def _last(value: Sequence[Any]) -> object:
    return value[-1]


def _lower(value: object) -> str:
    return shown(value).lower()


def _round(value: float, digits: int = 0) -> float:
    return round(value, digits) if digits else round(value)


def _sort(value: Sequence[Any], reverse: bool = False) -> list[Any]:
    return sorted(value, reverse=reverse)


def _title(value: object) -> str:
    return shown(value).title()


def _trim(value: object) -> str:
    return shown(value).strip()


def _truncate(value: object, length: int = 255) -> str:
    text = shown(value)
    return text if len(text) <= length else f"{text[: max(length - 1, 0)]}…"


def _upper(value: object) -> str:
    return shown(value).upper()


FILTERS: dict[str, Filter] = {
    "capitalize": _capitalize,
    "count": len,
    "d": _default,
    "default": _default,
    "first": _first,
    "items": _items,
    "join": _join,
    "last": _last,
    "length": len,
    "lower": _lower,
    "round": _round,
    "sort": _sort,
    "title": _title,
    "tojson": to_json,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
}
