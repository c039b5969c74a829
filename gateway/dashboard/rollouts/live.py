"""A rollout's page while it is looked at: one watch for all who do, who are sent what has changed.

The watch renders a part once; each viewer gets it with a key of their own.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple, Self

from sse_starlette import ServerSentEvent

from domain.errors import RampartError, Unavailable
from domain.tokens import Token
from gateway.dashboard.rollouts.parts import Frame, mark, own, trouble
from gateway.guard import Guard
from gateway.limits import Limits
from gateway.problems import RETRY, Problem, retry_after

AGAIN_MS = 3_000  # after which a browser that lost its stream comes back
END, LOST = "end", "lost"  # it is over, or to be asked for again

logger = logging.getLogger(__name__)


class Which(NamedTuple):
    """Whose page."""

    flag: str
    rollout_id: str = ""


Take = Callable[[Which], Awaitable[Frame]]


class Viewer:
    """What one page has not been told yet; of each part, the latest."""

    def __init__(self) -> None:
        self._untold: dict[str, str] = {}
        self._woken = asyncio.Event()

    def tell(self, event: str, data: str) -> None:
        """Have it told; the same event again replaces what was not told yet."""
        self._untold[event] = data
        self._woken.set()

    async def next(self) -> dict[str, str]:
        """Wait for news and return them."""
        await self._woken.wait()
        self._woken.clear()
        told, self._untold = self._untold, {}
        return told


class Watch:
    """Looks at one rollout for as long as somebody watches."""

    def __init__(self, which: Which, take: Take, *, every_s: float, left: asyncio.Event) -> None:
        """`left` ends it, whoever watches."""
        self.viewers: set[Viewer] = set()
        self._left = left
        self._which = which
        self._take = take
        self._every = every_s
        self._frame: Frame | None = None
        self._said = ""

    def join(self, viewer: Viewer) -> None:
        """Tell a viewer all there is, and from now on what changes."""
        self.viewers.add(viewer)
        if self._frame is not None:
            self._tell({viewer}, self._frame, before=None)

    async def run(self) -> None:
        """Look until the rollout is over, or nobody watches any more."""
        while self.viewers and not self._left.is_set():
            try:
                frame = await self._take(self._which)
            except RampartError as error:
                self._say(self.viewers, trouble(error))
            else:
                before, self._frame = self._frame, frame
                self._tell(self.viewers, frame, before=before)
                if frame.over:
                    return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), self._every)

    def _tell(self, viewers: set[Viewer], frame: Frame, *, before: Frame | None) -> None:
        for name, text in frame.parts.items():
            if before is None or before.parts.get(name) != text:
                for viewer in viewers:
                    viewer.tell(f"part {name}", text)
        if before is None or before.said != frame.said or self._said:
            self._said = ""
            self._say(viewers, frame.said, title=frame.title)
        if frame.over:
            for viewer in viewers:
                viewer.tell(END, "{}")

    def _say(self, viewers: set[Viewer], said: str, title: str = "") -> None:
        if not title and said == self._said:
            return
        self._said = "" if title else said
        for viewer in viewers:
            viewer.tell("said", json.dumps({"said": said, "title": title}))


class Watches:
    """All watches of this process. Entered while it serves; leaving ends them."""

    def __init__(self, take: Take, guard: Guard, *, limits: Limits) -> None:
        self._take = take
        self._guard = guard
        self._limits = limits
        self._watches: dict[Which, Watch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._left = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._left.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End between two looks."""
        self._left.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open(self) -> int:
        """How many pages are watched."""
        return sum(len(watch.viewers) for watch in self._watches.values())

    @property
    def looking(self) -> int:
        """At how many rollouts is looked."""
        return len(self._watches)

    def follow(self, token: Token, which: Which) -> AsyncIterator[ServerSentEvent]:
        """Return the events for one page.

        Raises:
            Problem: 503 if too many pages are watched already.
        """
        if self.open >= self._limits.viewers:
            detail = f"{self._limits.viewers} pages are watched already: reload to look again"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=retry_after(RETRY))
        return self._follow(token, which)

    async def _follow(self, token: Token, which: Which) -> AsyncIterator[ServerSentEvent]:
        viewer, key = Viewer(), secrets.token_hex(8)
        watch = self._joined(which, viewer)
        try:
            yield ServerSentEvent(comment="watching", retry=AGAIN_MS)
            while await self._still(token):
                for event in await self._next(viewer, key):
                    if event.event != LOST:
                        yield event
                    if event.event in (LOST, END):
                        return
        finally:
            watch.viewers.discard(viewer)

    def _joined(self, which: Which, viewer: Viewer) -> Watch:
        watch = self._watches.get(which)
        if watch is not None and watch.viewers:
            watch.join(viewer)
            return watch
        every_s = self._limits.look.total_seconds()
        fresh = Watch(which, self._take, every_s=every_s, left=self._left)
        fresh.join(viewer)
        self._watches[which] = fresh
        task = asyncio.create_task(fresh.run())
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, which, fresh))
        return fresh

    def _ended(self, task: asyncio.Task[None], which: Which, watch: Watch) -> None:
        self._tasks.discard(task)
        if self._watches.get(which) is watch:
            del self._watches[which]
        if not task.cancelled() and (error := task.exception()):
            logger.error("watch.died", exc_info=error, extra={"flag": which.flag})
            for viewer in watch.viewers:
                viewer.tell(LOST, "")

    async def _still(self, token: Token) -> bool:
        try:
            return await self._guard.is_live(token)
        except Unavailable:
            return True

    async def _next(self, viewer: Viewer, key: str) -> list[ServerSentEvent]:
        with suppress(TimeoutError):
            told = await asyncio.wait_for(viewer.next(), self._limits.heartbeat.total_seconds())
            return [_event(name, text, key) for name, text in told.items()]
        return [ServerSentEvent(comment="alive")]


def _event(name: str, text: str, key: str) -> ServerSentEvent:
    kind, _, part = name.partition(" ")
    if kind == "part":
        text = json.dumps({"part": part, "mark": mark(text), "html": own(text, key)})
    return ServerSentEvent(event=kind, data=text)
