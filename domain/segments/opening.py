"""How a segmented rollout takes its lanes: copies of the prompt's versions, and nobody notices."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import Conflict, NotFound
from domain.lineage import SERVABLE
from domain.prompts import PromptVersion, VersionStatus
from domain.routing import PRODUCTION_TAG
from domain.segments.plan import EVERYBODY, Opening, OpenRing, Ring, SegmentedRequest, lane_name
from domain.snapshot import SPLITTING
from domain.tables import ExperimentRow
from domain.versions import VersionManager

DOING = "open a segmented rollout"


@dataclass(frozen=True, slots=True)
class Source:
    """The prompt whose versions the lanes are copies of; `history` is oldest first."""

    request: SegmentedRequest
    history: Sequence[PromptVersion]
    production: PromptVersion
    candidate: PromptVersion

    @classmethod
    async def read(cls, versions: VersionManager, request: SegmentedRequest) -> "Source":
        """Read the prompt.

        Raises:
            NotFound: It has no production version, or no such candidate.
            Conflict: The candidate is no active version.
        """
        prompt = f"{request.name}.{request.prompt_type}"
        history = await versions.get_version_history(request.name, request.prompt_type)
        production = next((each for each in history if PRODUCTION_TAG in each.tags), None)
        if production is None:
            raise NotFound(f"{prompt} has no production version: tag one `production` first")
        candidate = next((each for each in history if each.version == request.candidate), None)
        if candidate is None:
            known = ", ".join(each.version for each in history[-10:])
            raise NotFound(
                f"candidate {request.candidate!r} of {prompt} does not exist: known are {known}"
            )
        if candidate.status not in SERVABLE:
            raise Conflict(
                f"candidate {candidate.version} of {prompt} is {candidate.status}:"
                " only an active version can be rolled out"
            )
        return cls(request, history, production, candidate)


async def open_rings(
    session: AsyncSession,
    request: SegmentedRequest,
    *,
    versions: VersionManager,
    defined: Sequence[str],
) -> Opening:
    """Make the lanes ready, in the order of their turns; `defined` names the prompt's segments.

    Raises:
        NotFound, Conflict: As `SegmentManager.open` says. Nothing is written.
    """
    source = await Source.read(versions, request)
    rings = []
    for ring in request.plan.segments or [Ring(segment=each) for each in defined]:
        _refuse_undefined(ring.segment, request, defined=defined)
        lane = lane_name(request.name, ring.segment)
        await refuse_if_splitting(session, lane, request.prompt_type, doing=DOING)
        serves = await _ready(versions, source, lane=lane)
        rings.append(_ring(ring.segment, ring, source, serves=serves))
    if request.plan.everyone:
        await refuse_if_splitting(session, request.name, request.prompt_type, doing=DOING)
        rings.append(_ring(EVERYBODY, None, source, serves=source.production.version))
    if all(ring.already for ring in rings):
        prompt = f"{request.name}.{request.prompt_type}"
        raise Conflict(f"{request.candidate} of {prompt} is in production in every ring already")
    return Opening(
        name=request.name,
        prompt_type=request.prompt_type,
        candidate=request.candidate,
        rings=tuple(rings),
        pause_between=request.plan.pause_between,
        on_failure=request.plan.on_failure,
        by=request.by,
        reason=request.reason,
    )


async def refuse_if_splitting(
    session: AsyncSession, name: str, prompt_type: str, *, doing: str
) -> None:
    """Keep whoever would disturb it from a prompt whose users are divided.

    Raises:
        Conflict: A rollout is live, or an experiment running or paused, on the prompt.
    """
    query = select(ExperimentRow).where(
        ExperimentRow.name == name,
        ExperimentRow.prompt_type == prompt_type,
        col(ExperimentRow.status).in_(SPLITTING),
    )
    if found := (await session.exec(query)).first():
        what = f"rollout {found.rollout_id}" if found.rollout_id else f"experiment {found.id}"
        raise Conflict(f"{what} is live on {name}.{prompt_type}, cannot {doing}: end it first")


async def _ready(versions: VersionManager, source: Source, *, lane: str) -> str:
    """Copy into the lane what it lacks, give it a production version; return which it has.

    Raises:
        Conflict: It has another version of a number that is needed.
    """
    prompt_type = source.request.prompt_type
    history = await versions.get_version_history(lane, prompt_type)
    known = {each.version: each for each in history}
    copies: dict[str, str] = {}
    for each in source.history:
        copy = known.get(each.version)
        if copy is None:
            copy = await _copy(
                versions, each, lane=lane, parent=copies.get(each.parent_version or "")
            )
            known[each.version] = copy
        copies[each.version_id] = copy.version_id
    _refuse_other_content(known, source.candidate)
    if known[source.candidate.version].status is VersionStatus.DRAFT:  # a draft when copied
        await versions.update_status(copies[source.candidate.version_id], VersionStatus.ACTIVE)
    present = next((each for each in history if PRODUCTION_TAG in each.tags), None)
    if present is None:
        _refuse_other_content(known, source.production)
        first = copies[source.production.version_id]
        why = f"lane of {source.request.name}.{prompt_type}"
        present = await versions.tag_version(
            first, PRODUCTION_TAG, by=source.request.by, reason=why
        )
        await versions.update_status(first, VersionStatus.PRODUCTION)
    return present.version


async def _copy(
    versions: VersionManager, original: PromptVersion, *, lane: str, parent: str | None
) -> PromptVersion:
    in_production = original.status is VersionStatus.PRODUCTION
    return await versions.create_version(
        lane,
        original.prompt_type,
        original.template,
        original.version,
        original.defaults,
        original.validation,
        original.metadata | {"copied_from": original.version_id},
        original.created_by,
        parent,
        status=VersionStatus.ACTIVE if in_production else original.status,
    )


def _refuse_other_content(known: dict[str, PromptVersion], original: PromptVersion) -> None:
    copy = known[original.version]
    content = (copy.template, copy.defaults, copy.validation)
    if content != (original.template, original.defaults, original.validation):
        raise Conflict(
            f"{copy.name}.{copy.prompt_type} has a {copy.version} of its own, unlike that of"
            f" {original.name}.{original.prompt_type}: roll out another number"
        )


def _refuse_undefined(segment: str, request: SegmentedRequest, *, defined: Sequence[str]) -> None:
    if segment not in defined:
        raise NotFound(
            f"segment {segment!r} of {request.name}.{request.prompt_type} is not defined:"
            f" defined are {', '.join(defined) or 'none'}"
        )


def _ring(segment: str, ring: Ring | None, source: Source, *, serves: str) -> OpenRing:
    request = source.request
    return OpenRing(
        segment=segment,
        name=lane_name(request.name, segment),
        plan=(ring.plan if ring else None) or request.plan.plan,
        already=serves == request.candidate,
    )
