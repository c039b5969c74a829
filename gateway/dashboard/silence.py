"""Remembers that Temporal was silent, so that not every page waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from control.connection import Unreachable

PATIENCE_S = 4.0  # with Temporal; a worker that is not there costs two
REST_S = 5.0  # before a silent Temporal is asked again


class Silence:
    """Of all pages of this process."""

    def __init__(self) -> None:
        self._why = ""
        self._until = -float("inf")

    @asynccontextmanager
    async def noted(self, patience_s: float = PATIENCE_S) -> AsyncIterator[None]:
        """Let Temporal be asked for so long; not at all while it is known to be silent.

        Raises:
            Unreachable: It is, or was a moment ago.
        """
        if monotonic() < self._until:
            raise Unreachable(self._why)
        try:
            async with asyncio.timeout(patience_s):
                yield
        except TimeoutError as error:
            raise Unreachable(self._keep("Temporal does not answer")) from error
        except Unreachable as error:
            self._keep(str(error))
            raise

    def _keep(self, why: str) -> str:
        self._why, self._until = why, monotonic() + REST_S
        return why
