"""TemplateRouter: a router that has the templates of all it serves in memory too."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from domain.broadcast.updates import Updates
from domain.database import Database, Prompt
from domain.prompts import PromptVersion
from domain.routing import OUTAGES, POLL, Router
from domain.segments.audience import SegmentRouter
from domain.segments.rule import Attributes
from domain.snapshot import Assignment, RoutingSnapshot
from domain.versions import VersionManager


class TemplateRouter(SegmentRouter):
    """Assigns users from memory, and knows what their versions say.

    A snapshot is served once every version in it is here, so that there is never an assignment
    without its template. Versions are immutable: each is loaded once, and a rollback, which goes
    back to what was served before, waits for none.
    """

    def __init__(
        self,
        storage: Database,
        *,
        poll: timedelta = POLL,
        updates: Updates | None = None,
        stale: Callable[[bool], None],
    ) -> None:
        """Take whom to ask and whom to tell.

        Args:
            storage: Asked for epochs, snapshots and versions.
            poll: How often, > 0.
            updates: Tells of changes as they happen.
            stale: Told, on the loop that entered, when the database cannot be asked any more, and
                when it can; the first time too.
        """
        super().__init__(storage, poll=poll, updates=updates)
        self._stored = VersionManager(storage)
        self._versions: dict[str, PromptVersion | None] = {}
        self._waiting: dict[Prompt, RoutingSnapshot] = {}
        self._loading = asyncio.Lock()
        self._loaded = False
        self._said_stale: bool | None = None
        self._tell_stale = stale

    @property
    def loaded(self) -> bool:
        """Whether the database was ever asked with success, or anything is known without it."""
        return self._loaded or bool(self.snapshots)

    def version(self, version_id: str | None) -> PromptVersion | None:
        """Return a version that is or was served; None if it was never registered."""
        return self._versions.get(version_id) if version_id else None

    def assign(
        self,
        name: str,
        prompt_type: str,
        user_id: str,
        *,
        default: str | None = None,
        attributes: Attributes | None = None,
    ) -> Assignment:
        """Return what the user is served. Never raises, whatever it is given."""
        try:
            segmented = (name, prompt_type) in self._audiences
        except TypeError:  # no texts: no prompt of ours
            segmented = False
        if not segmented:  # most prompts; asking for segments costs as much as assigning
            return Router.assign(self, name, prompt_type, user_id, default=default)
        return super().assign(name, prompt_type, user_id, default=default, attributes=attributes)

    def apply(self, snapshot: RoutingSnapshot) -> bool:
        """Serve from the snapshot if it is newer than the one held; return whether it was.

        One with a version that is not here yet is served when `load` or a refresh has found it.
        """
        prompt = (snapshot.name, snapshot.prompt_type)
        if self._missing(snapshot):
            self._waiting[prompt] = snapshot
            return False
        return super().apply(snapshot)

    async def load(self) -> None:
        """Load the versions that snapshots wait for, and serve from those.

        Raises:
            Unavailable: The database is away; they go on waiting.
        """
        async with self._loading:
            while self._waiting:
                prompt, snapshot = next(iter(self._waiting.items()))
                for version_id in self._missing(snapshot):
                    found = await self._stored.get_version_by_id(version_id)
                    self._versions[version_id] = found
                if self._waiting[prompt] is snapshot:
                    del self._waiting[prompt]
                self.apply(snapshot)

    async def refresh(self) -> None:
        """Load what has changed; if the database cannot be asked, go on with what is known."""
        await super().refresh()
        try:
            await self.load()
        except OUTAGES:
            self._mark(stale=True)
        self._loaded = self._loaded or not self.stale
        if self.stale != self._said_stale:
            self._said_stale = self.stale
            self._tell_stale(self.stale)

    def _missing(self, snapshot: RoutingSnapshot) -> frozenset[str]:
        return snapshot.version_ids - self._versions.keys()
