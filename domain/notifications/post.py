"""Post: sends messages to targets by name, each in threads of its own."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

from domain.errors import InvalidValue, Undelivered
from domain.notifications.notice import Enclosure, Message, Notice, link_to
from domain.notifications.targets import Directory, Target
from domain.notifications.wording import Wording

if TYPE_CHECKING:
    from domain.notifications.senders import Send

logger = logging.getLogger(__name__)

LANES = 4  # messages under way to one target: one that hangs must not take the others' threads
PATIENCE_S = 30.0
ENCLOSING_S = 10.0

Enclose = Callable[[Notice], Awaitable[Enclosure | None]]


class Post:
    """Where notifications are sent from. One per process."""

    def __init__(
        self,
        directory: Directory,
        *,
        ui: str = "",
        namespace: str = "default",
        enclose: Enclose | None = None,
    ) -> None:
        """Take whom to tell.

        Args:
            directory: All targets.
            ui: Temporal's web UI, for links; and its namespace.
            namespace: Of the rollouts.
            enclose: Makes what goes along with a notice; whatever becomes of it, the notice goes.

        Raises:
            InvalidValue: A target cannot be sent to.
        """
        self.targets: Mapping[str, Target] = {each.name: each for each in directory.targets}
        self.wording = Wording(directory.templates)
        self._ui, self._namespace, self._enclose = ui, namespace, enclose
        self._lanes = {name: _lane(each) for name, each in self.targets.items()}

    def wanting(self, notice: Notice) -> list[str]:
        """Return the names of the targets that ask for the notice."""
        return [name for name, target in self.targets.items() if target.wants(notice)]

    async def send(self, notice: Notice, name: str, *, again: bool = False) -> None:
        """Send to one target; the event loop goes on meanwhile.

        What is sent again goes without an enclosure: that may have been what was not taken.

        Args:
            notice: What to tell.
            name: Whom.
            again: Whether it may have been sent before.

        Raises:
            Undelivered: The target did not take it, or not in 30 s.
            InvalidValue: There is no such target any more.
        """
        if (lane := self._lanes.get(name)) is None:
            raise InvalidValue(f"no target {name!r} is configured")
        link = link_to(self._ui, self._namespace, workflow_id=notice.workflow_id)
        message = self.wording.word(notice, link=link)
        wanted = self.targets[name].report and not again
        if wanted and (enclosure := await self._enclosed(notice)):
            message = message.model_copy(update={"enclosure": enclosure})
        await lane.send(message, again=again)

    async def _enclosed(self, notice: Notice) -> Enclosure | None:
        if self._enclose is None:
            return None
        try:
            async with asyncio.timeout(ENCLOSING_S):
                return await self._enclose(notice)
        except Exception as error:  # noqa: BLE001  # the news matter more than what goes along
            logger.warning("notify.no_enclosure", extra={"id": notice.id, "why": repr(error)})
            return None


def _lane(target: Target) -> "_Lane":
    from domain.notifications.senders import sender  # seconds of CPU, which few processes need

    return _Lane(target.name, sender(target))


class _Lane:
    """Sends to one target, in threads that nobody waits for: not other targets, not the exit."""

    def __init__(self, name: str, send: "Send") -> None:
        self._name, self._send = name, send
        self._under_way: set[Future[None]] = set()

    async def send(self, message: Message, *, again: bool) -> None:
        if len(self._under_way) >= LANES:
            raise Undelivered(f"{self._name} has not answered to {LANES} earlier ones yet")
        future: Future[None] = Future()
        self._under_way.add(future)
        given = (future, message, again)
        name = f"notify {self._name}"
        threading.Thread(target=self._work, args=given, name=name, daemon=True).start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError:
            raise Undelivered(f"{self._name} does not answer within {PATIENCE_S:g} s") from None

    def _work(self, future: "Future[None]", message: Message, again: bool) -> None:
        failure = self._failure(message, again)
        self._under_way.discard(future)
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

    def _failure(self, message: Message, again: bool) -> Undelivered | None:
        try:
            self._send(message, again)
        except Undelivered as error:
            return error
        except Exception as error:  # noqa: BLE001  # others' code, whose text may show the URL
            return Undelivered(f"{self._name} could not be sent to: {type(error).__name__}")
        return None
