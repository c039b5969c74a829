"""Pages and a Temporal that is silent: they wait a little, and not each of them."""

import asyncio

import pytest

from control.connection import Unreachable
from gateway.dashboard import silence
from gateway.dashboard.silence import REST_S, Silence


async def test_who_hangs_is_waited_for_once_and_asked_again_after_a_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(silence, "monotonic", lambda: now)
    kept, asked = Silence(), []

    for now in (0.0, 1.0, REST_S):  # the clock that is read above
        with pytest.raises(Unreachable, match="Temporal does not answer"):
            async with kept.noted(0.01):
                asked.append(now)
                await asyncio.Event().wait()

    assert asked == [0.0, REST_S]


async def test_who_cannot_be_reached_is_remembered_by_what_was_said() -> None:
    kept = Silence()

    with pytest.raises(Unreachable):
        async with kept.noted():
            raise Unreachable("nobody answers at localhost:7233")

    with pytest.raises(Unreachable, match="nobody answers at localhost:7233"):
        async with kept.noted():
            raise AssertionError("asked again at once")
