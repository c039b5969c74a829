"""What was found of one part, and what to do about it."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum

from domain.duration import spell
from domain.prompts import Json

DRIFT = timedelta(seconds=1)  # between clocks: below it nobody notices
APART = timedelta(seconds=30)  # from it leases, windows and deadlines go wrong


class Health(StrEnum):
    """How a part is."""

    OK = "ok"
    WARNING = "warning"  # it works, or is not needed for everything
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, how it is, and why.

    Attributes:
        said: What was seen, in a line.
        advice: What to do; empty where nothing has to be done.
    """

    part: str
    health: Health
    said: str
    advice: str = ""

    def to_json(self) -> Json:
        """Return plain JSON."""
        return asdict(self)


def ok(part: str, said: str) -> Finding:
    """Return that it is as it should be."""
    return Finding(part, Health.OK, said)


def warning(part: str, said: str, advice: str) -> Finding:
    """Return that something is not as it should be, and what to do."""
    return Finding(part, Health.WARNING, said, advice)


def failed(part: str, said: str, advice: str) -> Finding:
    """Return that it does not work, and what to do."""
    return Finding(part, Health.FAILED, said, advice)


def clock(part: str, ahead: timedelta) -> Finding:
    """Return how far apart two clocks are; `ahead` is by how much theirs is before ours."""
    said = f"{spell(_whole(abs(ahead)))} {'ahead of' if ahead > timedelta(0) else 'behind'}"
    if abs(ahead) < DRIFT:
        return ok(part, "as that of this machine, to the second")
    advice = "set both by NTP (timedatectl status; chronyc tracking)"
    make = failed if abs(ahead) >= APART else warning
    return make(part, f"{said} that of this machine", advice)


def _whole(apart: timedelta) -> timedelta:
    return timedelta(seconds=round(apart.total_seconds()))
