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

    async def hang() -> None:
        async with kept.noted(0.01):
            asked.append(now)
            await asyncio.Event().wait()

    for now in (0.0, 1.0, REST_S):  # noqa: B007  # the clock that is read above
        with pytest.raises(Unreachable, match="Temporal does not answer"):
            await hang()

    assert asked == [0.0, REST_S]


async def test_who_cannot_be_reached_is_remembered_by_what_was_said() -> None:
    kept = Silence()

    async def ask(why: str) -> None:
        async with kept.noted():
            raise Unreachable(why)

    for why in ("nobody answers at localhost:7233", "asked again at once"):
        with pytest.raises(Unreachable, match="nobody answers at localhost:7233"):
            await ask(why)
