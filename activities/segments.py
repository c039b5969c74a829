"""Activities of segmented rollouts: each calls one manager method and translates its errors."""

from dataclasses import dataclass

from pydantic import JsonValue
from temporalio import activity

from activities.refusals import final_refusals
from domain.segments.lanes import SegmentManager
from domain.segments.plan import Opening, SegmentedRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedRings:
    """Result of `open_rings`.

    Attributes:
        search_attributes: Whether the server knows ours; setting unknown ones would stick the
            workflow, so it asks, and its history remembers the answer.
    """

    opening: Opening
    search_attributes: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """Input of `roll_back_orphan`: the rollout of that workflow, which ended without a word."""

    name: str
    prompt_type: str
    workflow_id: str
    reason: str
    by: str = ""


class SegmentActivities:
    """A segmented rollout's hands."""

    def __init__(self, segments: SegmentManager, *, search_attributes: bool = False) -> None:
        self._segments = segments
        self._search_attributes = search_attributes

    @activity.defn
    async def open_rings(self, request: JsonValue) -> OpenedRings:
        """Read the request as it was sent, and make the lanes ready."""
        with final_refusals():
            opening = await self._segments.open(SegmentedRequest.parse(request))
        return OpenedRings(opening=opening, search_attributes=self._search_attributes)

    @activity.defn
    async def roll_back_orphan(self, order: Orphan) -> bool:
        """Roll back what a workflow that is gone left live; return whether there was anything."""
        with final_refusals():
            return await self._segments.roll_back_orphan(
                order.name,
                order.prompt_type,
                workflow_id=order.workflow_id,
                reason=order.reason,
                by=order.by,
            )
