"""Updates without Redis: PostgreSQL notifies who listens."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from asyncpg import InterfaceError, PostgresError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from domain.broadcast.notice import CHANNEL
from domain.broadcast.updates import Listener
from domain.circuit import Circuit
from domain.database import Database
from domain.snapshot import RoutingSnapshot

OUTAGES = (SQLAlchemyError, PostgresError, InterfaceError, OSError)
CHECK_S = 10.0  # a connection that was silent for so long is tried

logger = logging.getLogger(__name__)


class PostgresUpdates:
    """Wakes a router by `LISTEN`, on a connection of its own.

    Behind a pooler that gives connections to transactions (PgBouncer) nothing is heard; then what
    the router polls is all there is.
    """

    def __init__(self, database: Database) -> None:
        self._url = database.url

    async def load(self) -> Sequence[RoutingSnapshot]:
        """Return nothing: all is in the database."""
        return ()

    async def follow(self, listener: Listener) -> None:
        """Wake the listener at each notice, and whenever one may have been missed."""
        circuit = Circuit()
        while True:
            try:
                await self._listen(listener, circuit)
            except OUTAGES as error:
                listener.rely(False)
                pause = circuit.failed()
                logger.warning("updates.deaf", extra={"error": str(error), "pause": pause})
                await asyncio.sleep(pause)

    async def _listen(self, listener: Listener, circuit: Circuit) -> None:
        """Listen until the connection is lost, which is raised."""
        lost = asyncio.Event()
        engine = create_async_engine(
            self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT", pool_reset_on_return=None
        )
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.add_listener(CHANNEL, lambda *_: listener.wake())
            driver.add_termination_listener(lambda *_: lost.set())
            if circuit.worked():
                logger.info("updates.listening_again")
            listener.rely(True)
            listener.wake()
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), CHECK_S)
                async with asyncio.timeout(CHECK_S):
                    await connection.exec_driver_sql("SELECT 1")
