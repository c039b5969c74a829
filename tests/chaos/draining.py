"""A process that does nothing but drain, for stories in which it is killed.

It takes the URLs of the database and of Redis, and ends by SIGTERM.
"""

import asyncio
import signal
import sys
from datetime import timedelta

from domain import MetricsCollector, broker
from domain.database import Database
from domain.intake.drain import Drain

IDLE = timedelta(seconds=2)  # the dead are found soon


async def main(database_url: str, redis_url: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = Database(database_url)
    async with (
        broker.connect(redis_url, timeout=5) as client,
        Drain(client, MetricsCollector(database), idle=IDLE),
    ):
        await stop.wait()
    await database.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
