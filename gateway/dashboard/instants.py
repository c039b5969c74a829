"""Instants and durations as pages show them."""

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from domain.duration import spell
from domain.instants import clock

TIME = Markup('<time datetime="{}">{}</time>')
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def moment(when: datetime, now: datetime | None = None) -> Markup:
    """Return an instant in UTC; with `now`, in words from then as well."""
    told = f"{clock(when)} ({away(when, now)})" if now else clock(when)
    return TIME.format(stamp(when), told)


def minute(when: datetime) -> Markup:
    """Return an instant to the minute, for lists, whose head says that it is UTC."""
    return TIME.format(stamp(when), f"{when.astimezone(UTC):%Y-%m-%d %H:%M}")


def at(when: datetime) -> Markup:
    """Return the time of a day, for lines that follow one another."""
    return TIME.format(stamp(when), f"{when.astimezone(UTC):%m-%d %H:%M:%S}")


def stamp(when: datetime) -> str:
    """Return an instant as programs read it."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def away(when: datetime, now: datetime) -> str:
    """Return `in 4h`, `3d ago`, `now`."""
    near = rounded(abs(when - now))
    if not near:
        return "now"
    return f"in {spell(near)}" if when > now else f"{spell(near)} ago"


def rounded(duration: timedelta) -> timedelta:
    """Leave out what nobody reads: seconds of hours, hours of days."""
    grain = 1 if duration < HOUR else 60 if duration < DAY else 3600
    return timedelta(seconds=round(duration.total_seconds() / grain) * grain)
