"""How long pages wait for Temporal; and that it was silent, so that not every page waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from control.connection import Unreachable

PATIENCE_S = 4.0  # a worker that is not there costs two
REST_S = 5.0  # before a silent Temporal is asked again

Answer = TypeVar("Answer")


class Patience:
    """Asks Temporal, unless it was silent a moment ago."""

    def __init__(self) -> None:
        self._why = ""
        self._until = -float("inf")

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer.

        Raises:
            Unreachable: There is none in time, or was none a moment ago.
        """
        if monotonic() < self._until:
            raise Unreachable(self._why)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await question()
        except TimeoutError as error:
            raise self._keep(Unreachable("Temporal does not answer")) from error
        except Unreachable as error:
            self._keep(error)
            raise

    def _keep(self, error: Unreachable) -> Unreachable:
        self._why, self._until = str(error), monotonic() + REST_S
        return error
