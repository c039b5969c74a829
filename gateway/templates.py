"""The texts that are served: a version never changes, so each is read once."""

import asyncio
from contextlib import suppress
from typing import Self

from domain.errors import Unavailable
from domain.routing import OUTAGES
from domain.snapshot import RoutingSnapshot
from domain.versions import VersionManager

LIMIT = 10_000  # texts in memory; beyond it, the one read first is forgotten
RETRY_S = 1.0


class Templates:
    """Holds the templates of what is routed; reads those of a new snapshot while it is entered."""

    def __init__(self, versions: VersionManager) -> None:
        self._versions = versions
        self._known: dict[str, str | None] = {}
        self._reading = asyncio.Lock()
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def known(self, version_id: str) -> str | None:
        """Return the template if it is in memory."""
        return self._known.get(version_id)

    async def of(self, version_id: str) -> str | None:
        """Return the template; None if the version is deleted.

        Raises:
            Unavailable: It was never read, and the database cannot be asked.
        """
        if version_id not in self._known:
            async with self._reading:
                if version_id not in self._known:
                    await self._read(version_id)
        return self._known.get(version_id)

    def want(self, snapshot: RoutingSnapshot) -> None:
        """Read, soon, what the snapshot serves."""
        for version_id in snapshot.version_ids - self._known.keys():
            self._wanted.put_nowait(version_id)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read_ahead())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _read(self, version_id: str) -> None:
        try:
            found = await self._versions.get_version_by_id(version_id)
        except OUTAGES as error:
            raise Unavailable(f"version {version_id} cannot be read: {error}") from error
        while len(self._known) >= LIMIT:
            del self._known[next(iter(self._known))]
        self._known[version_id] = found.template if found else None

    async def _read_ahead(self) -> None:
        while True:
            version_id = await self._wanted.get()
            try:
                await self.of(version_id)
            except Unavailable:
                self._wanted.put_nowait(version_id)
                await asyncio.sleep(RETRY_S)
