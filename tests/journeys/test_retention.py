"""What is old is swept by a worker, as an operator says."""

import time
from collections.abc import Callable

from tests.typed import Rampart, Said

PATIENCE_S = 30.0


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_worker_has_made_the_schedule_and_operators_change_it(rampart: Rampart) -> None:
    def retention(*words: str) -> Said:
        return rampart("db", "retention", *words)

    until(lambda: retention().code == 0)
    first = retention()
    changed = retention("--events", "45d", "--evidence", "forever", "--now")
    until(lambda: bool(retention("--json").json["last"]))
    after = retention("--json")
    refused = retention("--events", "30d")

    kept = "kept: events 90d, users 90d, evidence 365d, notifications 30d; counts and journals"
    assert first.out.startswith(kept)
    assert "next sweep: 20" in first.out
    assert "kept: events 45d, users 90d, evidence for ever" in changed.out
    ages = {"events": "45d", "users": "90d", "evidence": None, "notifications": "30d"}
    assert after.json["plan"] == ages
    assert set(after.json["last"]) == {*ages, "observations", "exposures"} - {"users"}
    assert not any(after.json["last"].values())
    assert (refused.code, refused.out) == (2, "")
    assert "events: must be at least 31d, got 30d" in refused.err
    assert refused.err.endswith("or forever\n")
