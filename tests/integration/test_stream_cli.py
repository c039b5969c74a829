"""`rampart stream`: what waits in Redis, what was set aside, and bringing it back."""

import json

import pytest
from redis import Redis

from embedded.ports import free_port
from tests.typed import Rampart


def test_what_was_set_aside_is_told_and_brought_back(
    alone: Rampart, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAMPART_REDIS_URL", redis_url)
    number = redis_url.rpartition("/")[2]
    with Redis.from_url(redis_url) as client:
        aside = f"{{rampart:{number}}}:events:aside"
        client.xadd(aside, {"entry": "1-1", "reason": "odd", "n": 1, "events": b"odd"})

    code, said, _ = alone("stream", "status", "--json")
    restored = alone("stream", "restore")
    after, _, _ = alone("stream", "status")

    assert (code, json.loads(said)["aside"], json.loads(said)["entries"]) == (1, 1, 0)
    assert restored[0] == 0
    assert restored[1].startswith("1 batches are counted again")
    assert after == 0


@pytest.mark.parametrize("command", ["status", "restore"])
def test_without_redis_a_line_says_what_is_missing(
    alone: Rampart, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAMPART_REDIS_URL", raising=False)
    unset = alone("stream", command)
    monkeypatch.setenv("RAMPART_REDIS_URL", f"redis://:secret@127.0.0.1:{free_port()}/0")
    away = alone("stream", command)

    assert (unset[0], away[0]) == (2, 2)
    assert "RAMPART_REDIS_URL is not set" in unset[2]
    assert "does not answer" in away[2]
    assert "secret" not in away[2]
    assert away[2].count("\n") == 1
