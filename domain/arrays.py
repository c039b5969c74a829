"""Columns as arguments of PostgreSQL statements.

asyncpg encodes an array element by element, in a third of a microsecond each, and that is most of
what writing an event costs. A long column therefore travels as one text, which PostgreSQL takes
apart in less; and what is the same in every row (an experiment that there is not, metadata that
nobody sent) is sent once.
"""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Integer, SmallInteger, Table

from domain.tables import UtcDateTime

LONG = 64  # rows; shorter columns travel as arrays, by statements that are always the same
SEPARATOR = "\x1f"
TYPES = (  # the first that fits, else text
    (SmallInteger, "smallint"),
    (BigInteger, "bigint"),
    (Integer, "integer"),
    (Float, "double precision"),
    (Boolean, "boolean"),
    (UtcDateTime, "timestamptz"),
)

Columns = Sequence[Sequence[Any]]  # what the rows have in each column of their table
Statement = tuple[str, list[Any]]  # and its arguments


class _Way(Enum):
    """How a column travels."""

    ARRAY = 0
    ONCE = 1
    JOINED = 2
    LITERAL = 3  # of an array: of numbers, and of instants in seconds


def insert_new(table: Table, columns: Columns, *, key: Sequence[str]) -> Statement:
    """Return what keeps the rows whose key is not taken.

    It returns, of each row that is new, a true first column and the key; when all are new, one row
    that is true, and nothing of keys; when none are, one row that is not.
    """
    ways, arguments = _travelling(table, columns)
    names, rows = ", ".join(key), len(columns[0])
    new = f"{_insert(table, ways)} ON CONFLICT DO NOTHING RETURNING {names}"
    arguments.append(rows)
    count = "(SELECT count(*) FROM new)"
    statement = (
        f"WITH new AS ({new}) SELECT {count} > 0, {names} FROM (VALUES (1)) AS one"  # noqa: S608
        f" LEFT JOIN new ON {count} < ${len(arguments)}::bigint"
    )
    return statement, arguments


def upsert(table: Table, columns: Columns) -> Statement:
    """Return what writes the rows over those of the same keys."""
    ways, arguments = _travelling(table, columns)
    key = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in key]
    kept = ", ".join(f"{name} = excluded.{name}" for name in others)
    clause = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {kept}"
    return f"{_insert(table, ways)} {clause}", arguments


def touch(table: Table, columns: Columns, *, keys: int) -> Statement:
    """Return what makes the rows that are missing, locks all and returns them as they are.

    Args:
        table: Its first columns are its key.
        columns: The keys, and what a row that is made has besides.
        keys: How many columns the key has.
    """
    ways, arguments = _travelling(table, columns)
    names = [column.name for column in table.columns]
    clause = f"ON CONFLICT ({', '.join(names[:keys])}) DO UPDATE"
    same = f"{names[keys]} = {table.name}.{names[keys]}"
    return f"{_insert(table, ways)} {clause} SET {same} RETURNING {_all(table)}", arguments


def _travelling(table: Table, columns: Columns) -> tuple[tuple[_Way, ...], list[Any]]:
    """Return how each column travels, and as what."""
    if len(columns[0]) < LONG:
        return (_Way.ARRAY,) * len(columns), list(columns)
    found = [_packed(c, values) for c, values in zip(table.columns, columns, strict=True)]
    return tuple(way for way, _ in found), [argument for _, argument in found]


def _packed(column: Column[Any], values: Sequence[Any]) -> tuple[_Way, Any]:
    first = values[0]
    if not column.primary_key and values.count(first) == len(values):
        return _Way.ONCE, first
    if isinstance(column.type, UtcDateTime):
        seconds = [None if at is None else at.timestamp() for at in values]
        return _Way.LITERAL, _literal(seconds)
    if _type(column) != "text":
        return _Way.LITERAL, _literal(list(values))
    if None not in values:
        joined = SEPARATOR.join(values)
        if joined.count(SEPARATOR) == len(values) - 1:
            return _Way.JOINED, joined
    return _Way.ARRAY, values


def _literal(values: list[Any]) -> str:
    """Return PostgreSQL's words for numbers or truths, from Python's: they differ in None."""
    return f"{{{str(values)[1:-1].replace('None', 'NULL')}}}"


@lru_cache
def _insert(table: Table, ways: tuple[_Way, ...]) -> str:
    names = ", ".join(column.name for column in table.columns)
    given, listed, sources = [], [], []
    for i, (column, way) in enumerate(zip(table.columns, ways, strict=True), start=1):
        json = "::json" if isinstance(column.type, JSON) else ""
        if way is _Way.ONCE:
            given.append(f"${i}::{_type(column)}{json}")
            continue
        seconds = way is _Way.LITERAL and _type(column) == "timestamptz"
        given.append(f"to_timestamp({column.name})" if seconds else f"{column.name}{json}")
        listed.append(column.name)
        sources.append(_source(column, way, f"${i}"))
    rows = f"unnest({', '.join(sources)}) AS u({', '.join(listed)})"
    return f"INSERT INTO {table.name} ({names}) SELECT {', '.join(given)} FROM {rows}"  # noqa: S608


def _source(column: Column[Any], way: _Way, argument: str) -> str:
    if way is _Way.JOINED:
        return f"string_to_array({argument}::text, chr({ord(SEPARATOR)}))"
    kind = _type(column)
    if way is _Way.LITERAL:
        return f"{argument}::text::{'double precision' if kind == 'timestamptz' else kind}[]"
    return f"{argument}::{kind}[]"


@lru_cache
def _all(table: Table) -> str:
    """Return all columns, JSON as text."""
    return ", ".join(
        f"{table.name}.{c.name}{'::text' if isinstance(c.type, JSON) else ''}"
        for c in table.columns
    )


def _type(column: Column[Any]) -> str:
    fits = (name for kind, name in TYPES if isinstance(column.type, kind))
    return next(fits, "text")
