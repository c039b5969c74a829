"""Which way changes come to this process."""

from domain.broadcast.updates import Updates
from domain.database import Database


def updates_of(database: Database, *, redis_url: str = "") -> Updates | None:
    """Return who tells a `Router` of changes: Redis if there is one, else PostgreSQL, else nobody.

    As in `Router(database, updates=updates_of(database, redis_url=settings.redis_url))`. SQLite
    tells nobody; there a router polls.

    Raises:
        InvalidValue: The URL is not one of Redis.
    """
    if redis_url:
        from domain.broadcast.redis import RedisUpdates

        return RedisUpdates(redis_url)
    if database.url.get_backend_name() == "postgresql":
        from domain.broadcast.postgres import PostgresUpdates

        return PostgresUpdates(database)
    return None
