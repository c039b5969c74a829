"""Ours, as it runs in production: the gateway, and the drain that a worker has.

`python -m benchmarks.ingesting.ours PORT DATABASE_URL [REDIS_URL]` serves; with `drain` instead of
a port it is what drains.
"""

import asyncio
import sys

from domain import broker
from domain.database import Database
from domain.intake.drain import Drain
from domain.metrics import MetricsCollector
from serve import Options, serve
from settings import Settings


async def drain(database_url: str, redis_url: str) -> None:
    """Drain for ever."""
    async with Drain(broker.connect(redis_url), MetricsCollector(Database(database_url))):
        await asyncio.Event().wait()


def main(port: str, database_url: str, redis_url: str = "") -> None:
    """Serve, or drain."""
    if port == "drain":
        asyncio.run(drain(database_url, redis_url))
    settings = Settings(database_url=database_url, redis_url=redis_url)
    serve(settings, Options(port=int(port), open=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
