"""`rampart stream`: what waits in Redis, what was set aside, and bringing it back."""

import json
import sys
from collections.abc import Callable

import pytest
from redis import Redis

import cli
from embedded.ports import free_port

Rampart = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rampart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rampart:
    """Run `rampart …` in this process; return its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rampart", *arguments])
        return cli.main(), *capsys.readouterr()

    return run


def test_what_was_set_aside_is_told_and_brought_back(
    rampart: Rampart, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAMPART_REDIS_URL", redis_url)
    number = redis_url.rpartition("/")[2]
    with Redis.from_url(redis_url) as client:
        aside = f"{{rampart:{number}}}:events:aside"
        client.xadd(aside, {"entry": "1-1", "reason": "odd", "n": 1, "events": b"odd"})

    code, said, _ = rampart("stream", "status", "--json")
    restored = rampart("stream", "restore")
    after, _, _ = rampart("stream", "status")

    assert (code, json.loads(said)["aside"], json.loads(said)["entries"]) == (1, 1, 0)
    assert restored[0] == 0
    assert restored[1].startswith("1 batches are counted again")
    assert after == 0


@pytest.mark.parametrize("command", ["status", "restore"])
def test_without_redis_a_line_says_what_is_missing(
    rampart: Rampart, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAMPART_REDIS_URL", raising=False)
    unset = rampart("stream", command)
    monkeypatch.setenv("RAMPART_REDIS_URL", f"redis://:secret@127.0.0.1:{free_port()}/0")
    away = rampart("stream", command)

    assert (unset[0], away[0]) == (2, 2)
    assert "RAMPART_REDIS_URL is not set" in unset[2]
    assert "does not answer" in away[2]
    assert "secret" not in away[2]
    assert away[2].count("\n") == 1
