"""How much a gateway takes at once."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of one process.

    Attributes:
        events_bytes: Of a body of events or exposures, unzipped.
        evaluation_bytes: Of a request for an evaluation.
        operator_bytes: Of any other body.
        per_second: Requests of one token, on average.
        burst: And at once.
        exposures: Waiting to be recorded; what comes while so many wait is not.
        flush: How often exposures are recorded.
        streams: Clients that may follow changes at the same time.
        viewers: Pages of rollouts that may be kept fresh at the same time.
        look: How often a rollout is looked at while somebody watches its page.
        logins: Wrong tokens of one address within `login_within`; then it waits.
        heartbeat: How often a stream without changes says that it is alive.
    """

    events_bytes: int = 8 * 2**20
    evaluation_bytes: int = 64 * 2**10
    operator_bytes: int = 2**20
    per_second: float = 5_000.0
    burst: float = 10_000.0
    exposures: int = 100_000
    flush: timedelta = timedelta(seconds=1)
    streams: int = 1_000
    viewers: int = 200
    look: timedelta = timedelta(seconds=1)
    logins: int = 10
    login_within: timedelta = timedelta(minutes=1)
    heartbeat: timedelta = timedelta(seconds=15)
