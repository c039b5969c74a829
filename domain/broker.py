"""Redis: how we connect to it, and what its going away looks like."""

from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from domain.errors import InvalidValue

# Every answer that is not the one asked for: away, loading, read-only, out of memory, no rights.
OUTAGES = (RedisError, OSError)
TIMEOUT = 1.0  # seconds for one answer; whoever waits has something else to do instead
KEEP_ALIVE = 10  # seconds of silence after which a connection is tried before it is used
CONNECTIONS = 64  # at most, for one client


def connect(url: str, *, timeout: float = TIMEOUT, retries: int = 1) -> Redis:
    """Return a client that connects when it is used; one for each event loop.

    Args:
        url: `redis://user:password@host:6379/0`, `rediss://…`, or `unix:///path?db=0`.
        timeout: Seconds for an answer, and for a connection, > 0.
        retries: How often a command is sent again when its connection turned out to be dead, or
            died of it, >= 0; all of ours may be repeated. Without an answer in time it never is.

    Raises:
        InvalidValue: The URL is none of these.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "socket_keepalive": True,
        "health_check_interval": KEEP_ALIVE,
        "max_connections": CONNECTIONS,
        "retry": Retry(ConstantBackoff(0), retries, (ConnectionLost,)),
        "protocol": 2,  # the same replies from every release of the server
    }
    if url.startswith("unix:"):
        del options["socket_keepalive"]
    try:
        return Redis.from_url(url, **options)
    except ValueError as error:
        allowed = "redis://host:6379/0, rediss://… or unix:///path"
        raise InvalidValue(f"Redis URL {address(url)} is not supported: give {allowed}") from error


def address(url: str) -> str:
    """Return the URL without its secrets, for messages."""
    scheme, separator, _ = url.partition("://")
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname or ''}:{parts.port}" if parts.port else parts.hostname or ""
        return f"{scheme}://{host}{parts.path}" if separator else "without ://"
    except ValueError:
        return f"{scheme}://…"


def prefix(client: Redis) -> str:
    """Return what all our keys and channels begin with.

    The number of the database is in it, since channels are shared by all of them; the braces keep
    our keys on one node of a cluster.
    """
    number = client.connection_pool.connection_kwargs.get("db") or 0
    return f"{{rampart:{number}}}:"
