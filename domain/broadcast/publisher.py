"""Publisher: hangs what prompts serve on the board in Redis."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Self

from redis.asyncio import Redis

from domain import broker
from domain.broadcast.board import Board
from domain.database import Database, Prompt
from domain.routing import OUTAGES, RoutingManager

EVERY = timedelta(seconds=10)
LIMIT = timedelta(seconds=1)  # that a commit may be held up

logger = logging.getLogger(__name__)


class Publisher:
    """Tells of each change that this process commits, and heals the board while it is entered.

    Telling neither fails a commit nor holds it up for more than a second; what could not be told
    is found by those who poll. Every process that changes what prompts serve should have one; any
    number may.
    """

    def __init__(self, client: Redis, storage: Database, *, every: timedelta = EVERY) -> None:
        """Take where to tell and whom to ask.

        Args:
            client: Of `domain.broker.connect`.
            storage: Its commits are told of from now on until this is left.
            every: How often the board is compared with the database, > 0.
        """
        self._board = Board(client)
        self._manager = RoutingManager(storage)
        self._database = storage
        self._every = every.total_seconds()
        self._left = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._left.clear()
        self._database.announce_to(self.announce)
        self._task = asyncio.create_task(self._keep_healed())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Tell no more."""
        self._left.set()
        if self._task is not None:
            await self._task

    async def announce(self, prompts: Iterable[Prompt]) -> None:
        """Tell what the prompts serve now. Never raises."""
        if self._left.is_set():
            return
        try:
            async with asyncio.timeout(LIMIT.total_seconds()):
                await self._hang(prompts)
        except (*OUTAGES, *broker.OUTAGES) as error:
            logger.warning("publisher.untold", extra={"error": str(error)})

    async def reconcile(self) -> int:
        """Hang up all that the board lacks, or has of a database that is no more; return how many.

        The board is looked at before the database is asked: only if the database was put back to
        an older state can the board be ahead of it.

        Raises:
            Unavailable: The database cannot be reached.
            RedisError: Redis cannot.
        """
        hung = await self._board.epochs()
        known = await self._manager.epochs()
        behind = [prompt for prompt, epoch in known.items() if hung.get(prompt, -1) < epoch]
        ahead = [prompt for prompt, epoch in known.items() if hung.get(prompt, -1) > epoch]
        return await self._hang(behind) + await self._hang(ahead, forced=True)

    async def _hang(self, prompts: Iterable[Prompt], *, forced: bool = False) -> int:
        found = [await self._manager.snapshot(*prompt) for prompt in prompts]
        snapshots = [snapshot for snapshot in found if snapshot is not None]
        return await self._board.hang(snapshots, forced=forced) if snapshots else 0

    async def _keep_healed(self) -> None:
        while not self._left.is_set():
            try:
                if healed := await self.reconcile():
                    logger.info("publisher.healed", extra={"prompts": healed})
            except (*OUTAGES, *broker.OUTAGES) as error:
                logger.warning("publisher.away", extra={"error": str(error)})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), self._every)
