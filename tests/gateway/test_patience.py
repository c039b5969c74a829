"""Pages and a Temporal that is silent: they wait a little, and not each of them."""

import asyncio

import pytest
from gateway.dashboard.patience import Patience

from control.connection import Unreachable
from gateway.dashboard import patience


async def test_who_answers_is_asked_each_time() -> None:
    asked = Patience()

    async def question() -> int:
        return 7

    assert [await asked.ask(question) for _ in range(2)] == [7, 7]


async def test_who_hangs_is_waited_for_once_and_asked_again_after_a_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 0.01)
    now = 0.0
    monkeypatch.setattr(patience, "monotonic", lambda: now)
    asked, heard = Patience(), []

    async def silent() -> None:
        heard.append(now)
        await asyncio.Event().wait()

    for now in (0.0, 1.0, patience.REST_S):  # noqa: B007  # the clock that is read above
        with pytest.raises(Unreachable, match="Temporal does not answer"):
            await asked.ask(silent)

    assert heard == [0.0, patience.REST_S]
