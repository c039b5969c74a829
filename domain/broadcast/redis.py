"""Updates through Redis: whole snapshots, as they are called out."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as ConnectionLost

from domain import broker
from domain.broadcast.board import Board, readable
from domain.broadcast.updates import Listener
from domain.circuit import Circuit
from domain.snapshot import RoutingSnapshot

CHECK_S = 10.0  # a connection that was silent for so long is tried

logger = logging.getLogger(__name__)


class RedisUpdates:
    """Brings a router each snapshot that is hung on the board, on a connection of its own."""

    def __init__(self, url: str) -> None:
        """Take the URL of Redis.

        Raises:
            InvalidValue: It is none.
        """
        broker.connect(url)
        self._url = url

    async def load(self) -> Sequence[RoutingSnapshot]:
        """Return what hangs on the board, nothing if Redis is away."""
        try:
            async with broker.connect(self._url) as client:
                return await Board(client).snapshots()
        except broker.OUTAGES as error:
            logger.warning("updates.no_board", extra={"error": str(error)})
            return ()

    async def follow(self, listener: Listener) -> None:
        """Tell the listener what is called out; after an outage, all that hangs there first."""
        circuit = Circuit()
        async with broker.connect(self._url, retries=0) as client:
            while True:
                try:
                    await _listen(client, listener, circuit)
                except broker.OUTAGES as error:
                    listener.rely(False)
                    pause = circuit.failed()
                    logger.warning("updates.deaf", extra={"error": str(error), "pause": pause})
                    await asyncio.sleep(pause)


async def _listen(client: Redis, listener: Listener, circuit: Circuit) -> None:
    """Listen until the connection is lost, which is raised."""
    board = Board(client)
    async with client.pubsub() as pubsub:
        await pubsub.subscribe(board.channel)
        for snapshot in await board.snapshots():  # after subscribing, so that none is missed
            listener.hear(snapshot)
        if circuit.worked():
            logger.info("updates.listening_again")
        listener.rely(True)
        while True:
            told = await _next(pubsub)
            if told is not None:
                listener.hear(told)


async def _next(pubsub: PubSub) -> RoutingSnapshot | None:
    """Return what is called out next; None if it is something else, or all is silent.

    Raises:
        ConnectionLost: Nobody answers.
    """
    message: Any = await pubsub.get_message(timeout=CHECK_S)
    if message is None:
        await pubsub.ping()
        message = await pubsub.get_message(timeout=CHECK_S)
        if message is None:
            raise ConnectionLost(f"no answer for {CHECK_S:g} s")
    return readable(message["data"]) if message["type"] == "message" else None
