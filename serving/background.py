"""Background: an event loop in a thread of its own, beside an application of any kind."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta

from domain.errors import RampartError, Unavailable

Work = Callable[[], AbstractAsyncContextManager[object]]


class Background:
    """Keeps a context manager entered in a thread, on a loop that nobody else waits for.

    The application may be synchronous or run event loops of its own: none is blocked but by
    `start` and `stop`, and those no longer than they are told.
    """

    def __init__(self, work: Work, *, name: str) -> None:
        """Take what makes the context manager; it is called in the thread."""
        self._work = work
        self._entered: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._left = asyncio.Event()
        # A daemon: an application that forgets to stop it can end all the same.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def start(self, *, patience: timedelta) -> None:
        """Start the thread, and return when the context is entered. Not to be called again.

        Raises:
            Unavailable: It takes longer than `patience`. It goes on trying.
            RampartError: What entering raised. The thread has ended.
        """
        self._thread.start()
        try:
            self._entered.result(patience.total_seconds())
        except TimeoutError as error:
            seconds = patience.total_seconds()
            raise Unavailable(f"not ready after {seconds:g} s, and still trying") from error

    def stop(self, *, patience: timedelta) -> bool:
        """Have the context left, and return whether it was within `patience`. Idempotent."""
        self.call(self._left.set)
        self._thread.join(patience.total_seconds())
        return not self._thread.is_alive()

    def call(self, callback: Callable[[], object]) -> None:
        """Have the callback called on the loop, from any thread; nothing when it has ended."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it ended this very moment
                self._loop.call_soon_threadsafe(callback)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except RampartError as error:
            self._entered.set_exception(error)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._work():
            self._entered.set_result(None)
            await self._left.wait()
