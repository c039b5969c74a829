"""Tokens as people see them in a terminal."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.table import Table

from domain.tokens import Token


def listing(found: Iterable[Token]) -> Table:
    """Return tokens as a table, one line each."""
    now, table = datetime.now(UTC), Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "name", "roles", "state", "made (UTC)", "by"):
        table.add_column(name, no_wrap=name == "id")
    for one in found:
        made = f"{one.created_at:%Y-%m-%d %H:%M}"
        table.add_row(
            one.id, one.name, ", ".join(one.roles), _state(one, now), made, one.created_by
        )
    return table


def _state(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d}"
    if token.expires_at is None:
        return "live"
    return f"{'live until' if token.is_live(now) else 'expired'} {token.expires_at:%Y-%m-%d %H:%M}"
