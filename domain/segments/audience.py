"""SegmentRouter: a router that serves users by the lane of their segment, from memory."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from domain.broadcast.updates import Updates
from domain.database import Database, default_database
from domain.routing import OUTAGES, POLL, Router
from domain.segments.lanes import SegmentManager
from domain.segments.plan import Audience, Segment, lane_name
from domain.segments.rule import Attributes
from domain.snapshot import Assignment, Reason

logger = logging.getLogger(__name__)


class SegmentRouter(Router):
    """Assigns users from memory: by their segment's lane where there is one, else as `Router`."""

    def __init__(
        self,
        storage: Database | None = None,
        *,
        poll: timedelta = POLL,
        updates: Updates | None = None,
    ) -> None:
        storage = storage or default_database()
        super().__init__(storage, poll=poll, updates=updates)
        self._segments = SegmentManager(storage)
        self._audiences: dict[tuple[str, str], Audience] = {}

    def assign(
        self,
        name: str,
        prompt_type: str,
        user_id: str,
        *,
        default: str | None = None,
        attributes: Attributes | None = None,
    ) -> Assignment:
        """Return what the user is served. Never raises, whatever it is given.

        `attributes` are JSON by name. A user of a segment whose lane serves nothing yet is served
        by the prompt itself.
        """
        segment = self.segment_of(name, prompt_type, user_id, attributes=attributes)
        if segment is not None:
            served = super().assign(lane_name(name, segment), prompt_type, user_id)
            if served.reason is not Reason.UNKNOWN:
                return served
        return super().assign(name, prompt_type, user_id, default=default)

    def segment_of(
        self, name: str, prompt_type: str, user_id: str, *, attributes: Attributes | None = None
    ) -> str | None:
        """Return the prompt's first segment whose rule is true of the user. Never raises."""
        try:
            audience = self._audiences.get((name, prompt_type))
        except TypeError:  # no texts: no prompt of ours
            return None
        if audience is None:
            return None
        return audience.segment_of(user_id, attributes if isinstance(attributes, dict) else {})

    async def refresh(self) -> None:
        """Load what has changed; if the database cannot be asked, go on with what is known."""
        await super().refresh()
        try:
            found = await self._segments.everywhere()
        except OUTAGES as error:
            logger.warning("segments.stale", extra={"error": str(error)})
            return
        held = self._audiences
        self._audiences = {
            prompt: _audience(segments, held=held.get(prompt)) for prompt, segments in found.items()
        }


def _audience(segments: Sequence[Segment], *, held: Audience | None) -> Audience:
    """Return the one held if nothing has changed: compiling takes longer than serving."""
    if held and held.segments == tuple(segments):
        return held
    return Audience.of(segments)
