"""Whether a rollout may advance at an instant; if not, until when, and why.

Hours are open while the clock on the wall shows one of their times: an hour that the clock repeats
is open twice, one that it leaves out never. A freeze lasts from the first instant that its start
can mean until the last that its end can.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from domain.errors import InvalidPlan, InvalidValue
from domain.instants import clock
from domain.value import Frozen
from domain.windows.plan import Freeze, Hours, Windows
from domain.windows.zones import instants, jumps, wall, zone

FAR = timedelta(days=15)  # more than a week: a window may fall into the hour that a day lacks
DAY = timedelta(days=1)


class Closed(Frozen):
    """That nothing advances now, and why, in a sentence.

    Attributes:
        until: When that ends; None when no end can be seen.
    """

    until: datetime | None
    why: str

    def __str__(self) -> str:
        """Say why, and until when."""
        return self.why


def closed_at(windows: Windows, at: datetime) -> Closed | None:
    """Return why a rollout may not advance at an instant; None when it may.

    Raises:
        InvalidValue: The time zone is unknown here.
    """
    if not windows:
        return None
    place = zone(windows.time_zone or "UTC")
    frozen = _frozen(windows, at, place)
    if not frozen and _in_hours(windows, at, place):
        return None
    until = _opens(windows, at.astimezone(UTC), place)
    return Closed(until=until, why=_why(windows, frozen, place=place, until=until))


def refuse_unknown_zone(windows: Windows, *, where: str) -> None:
    """Refuse windows, as a person wrote them, whose time zone does not exist.

    Raises:
        InvalidPlan: One line that begins with `where`.
    """
    try:
        zone(windows.time_zone or "UTC")
    except InvalidValue as error:
        raise InvalidPlan(f"{where}.{error}") from error


def _why(
    windows: Windows, frozen: Freeze | None, *, place: ZoneInfo, until: datetime | None
) -> str:
    opens = f"until {clock(until)}" if until else "and never opens again"
    hours = f"outside of its hours ({'; '.join(map(str, windows.hours))} {windows.time_zone})"
    if frozen is None:
        return f"{hours} {opens}"
    end = _end(frozen, place)
    then = "" if until == end else f", then {hours} {opens}"
    return f"frozen until {clock(end)} ({frozen.reason}){then}"


def _frozen(windows: Windows, at: datetime, place: ZoneInfo) -> Freeze | None:
    for freeze in windows.freezes:
        start = freeze.from_
        begun = instants(start, place)[0] if freeze.local else start
        if begun <= at < _end(freeze, place):
            return freeze
    return None


def _end(freeze: Freeze, place: ZoneInfo) -> datetime:
    return instants(freeze.until, place)[-1] if freeze.local else freeze.until.astimezone(UTC)


def _in_hours(windows: Windows, at: datetime, place: ZoneInfo) -> bool:
    local = wall(at, place)
    return not windows.hours or any(hours.holds(local) for hours in windows.hours)


def _opens(windows: Windows, at: datetime, place: ZoneInfo) -> datetime | None:
    """Return the first instant from `at` on at which nothing binds; None when none is seen."""
    while True:
        if frozen := _frozen(windows, at, place):
            at = _end(frozen, place)
            continue
        found = at if _in_hours(windows, at, place) else _next_hours(windows, at, place)
        if found is None or not _frozen(windows, found, place):
            return found
        at = found


def _next_hours(windows: Windows, at: datetime, place: ZoneInfo) -> datetime | None:
    """Return when the hours open next after an instant at which they are closed.

    They can only open where one begins, or where the clock is put into the midst of one.
    """
    edges = (edge for hours in windows.hours for edge in _edges(hours, at, place))
    turns = sorted({turn for turn in (*edges, *jumps(at, at + FAR, place)) if turn > at})
    return next((turn for turn in turns if _in_hours(windows, turn, place)), None)


def _edges(hours: Hours, at: datetime, place: ZoneInfo) -> Iterator[datetime]:
    """Yield every instant at which the wall shows the beginning, on any day of the near future."""
    midnight = wall(at, place).replace(hour=0, minute=0, second=0, microsecond=0)
    begins = timedelta(hours=int(hours.from_[:2]), minutes=int(hours.from_[3:]))
    for number in range(FAR // DAY):
        yield from instants(midnight + number * DAY + begins, place)
