"""How long something lasted, as people say it."""

from datetime import timedelta


def whole(lasted: timedelta) -> timedelta:
    """Return it in whole seconds, and in whole minutes once that says enough."""
    seconds = lasted.total_seconds()
    grain = 60 if seconds > 6 * 3600 else 1
    return timedelta(seconds=round(seconds / grain) * grain)
