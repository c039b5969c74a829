"""Kinds of columns, as revisions write them down: what `domain.tables` says may change, they not.

Each returns as many columns as it is given names, all of them filled unless `null`.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

Columns = list[sa.Column[Any]]


def texts(*names: str, null: bool = False) -> Columns:
    """Return columns of texts of any length."""
    return _of(sa.String(), names, null)


def long_texts(*names: str) -> Columns:
    """Return columns of whole templates and rules."""
    return _of(sa.Text(), names, False)


def counts(*names: str, null: bool = False) -> Columns:
    """Return columns of integers below 2**31."""
    return _of(sa.Integer(), names, null)


def big_counts(*names: str, null: bool = False) -> Columns:
    """Return columns of integers below 2**63."""
    return _of(sa.BigInteger(), names, null)


def numbers(*names: str, null: bool = False) -> Columns:
    """Return columns of floats."""
    return _of(sa.Float(), names, null)


def flags(*names: str) -> Columns:
    """Return columns of truths."""
    return _of(sa.Boolean(), names, False)


def instants(*names: str, null: bool = False) -> Columns:
    """Return columns of instants."""
    return _of(sa.DateTime(timezone=True), names, null)


def documents(*names: str, null: bool = False) -> Columns:
    """Return columns of JSON."""
    return _of(sa.JSON(), names, null)


def only(condition: str) -> dict[str, Any]:
    """Return what limits an index to some rows."""
    return {f"{kind}_where": sa.text(condition) for kind in ("sqlite", "postgresql")}


def _of(kind: TypeEngine[Any], names: tuple[str, ...], null: bool) -> Columns:
    return [sa.Column(name, kind, nullable=null) for name in names]
