"""Local times and the instants they mean, on the days of 23 and 25 hours too.

Where the clock is put forward some local times do not exist, where it is put back some exist twice.
Offsets and zones are those of the IANA database: of the machine, else of the package `tzdata`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from domain.errors import InvalidValue

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def zone(name: str) -> ZoneInfo:
    """Return the time zone of that name.

    Raises:
        InvalidValue: The database of time zones has none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # not there, no name, a folder
        raise InvalidValue(
            f"time_zone {name!r} is unknown: give a name of the IANA database,"
            " such as Europe/Berlin or UTC"
        ) from error


def wall(instant: datetime, place: ZoneInfo) -> datetime:
    """Return what the clock on the wall shows at an instant: a local time, naive."""
    return instant.astimezone(place).replace(tzinfo=None)


def instants(local: datetime, place: ZoneInfo) -> list[datetime]:
    """Return the instants, in UTC, at which the clock on the wall shows a local time.

    Usually one, two where the clock is put back over it. Of a time that the clock is put forward
    over, the instant at which that happens.
    """
    meant = [local.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)]
    shown = sorted({instant for instant in meant if wall(instant, place) == local})
    whole = [instant.replace(microsecond=0) for instant in meant]
    return shown or [_jump(min(whole), max(whole), place)]


def jumps(start: datetime, end: datetime, place: ZoneInfo) -> Iterator[datetime]:
    """Yield the instants after `start`, up to `end` and a day, at which the clock is changed.

    A change that is taken back within a day is not seen: no zone has had one.
    """
    days = range((end - start) // DAY + 2)
    for before, after in pairwise(start.replace(microsecond=0) + day * DAY for day in days):
        while _offset(before, place) != _offset(after, place):
            before = _jump(before, after, place)
            yield before


def _jump(before: datetime, after: datetime, place: ZoneInfo) -> datetime:
    """Return an instant after `before` at which its offset is given up; to the second."""
    left = _offset(before, place)
    while after - before > SECOND:
        middle = before + (after - before) // (2 * SECOND) * SECOND
        if _offset(middle, place) == left:
            before = middle
        else:
            after = middle
    return after


def _offset(instant: datetime, place: ZoneInfo) -> timedelta | None:
    return instant.astimezone(place).utcoffset()
