"""A page of a long list, for people who look through it: bounded, however long the list is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.sql.selectable import GenerativeSelect

SIZE = 50
LAST = 10_000  # what nobody pages to

Item = TypeVar("Item")
Query = TypeVar("Query", bound=GenerativeSelect)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list; `number` is counted from 1, `more` says whether others follow."""

    items: tuple[Item, ...]
    number: int = 1
    more: bool = False


def window(query: Query, number: int) -> Query:
    """Return the query for one page, and for one item more that says whether others follow."""
    return query.offset((number - 1) * SIZE).limit(SIZE + 1)


def page(found: Sequence[Item], number: int) -> Page[Item]:
    """Return the page of what such a query found."""
    return Page(tuple(found[:SIZE]), number, more=len(found) > SIZE)
