"""Tags: one holder per prompt and tag, moved atomically, every move on record."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain.errors import Conflict
from domain.prompts import PromptVersion
from domain.routing import PRODUCTION_TAG, claim_epoch, live_rollout, lock_prompt
from domain.tables import RoutingRow, TagMoveRow, TagRow, VersionRow


@dataclass(frozen=True)
class TagMove:
    """One move of a tag; None where nobody carried it before or nobody does after."""

    version_id: str | None
    previous_id: str | None
    at: datetime
    by: str
    reason: str


async def move_tag(
    session: AsyncSession,
    row: VersionRow,
    tag: str,
    *,
    by: str = "",
    reason: str = "",
    held: int | None = None,
) -> int:
    """Give the tag to the version, from whoever carries it; return the prompt's epoch.

    Moving `production` raises the epoch. Giving it to its present holder changes nothing.

    Raises:
        Fenced: The prompt is not at the epoch `held` any more.
    """
    routing = await lock_prompt(session, row.name, row.prompt_type, held=held)
    return await _move(session, tag, routing=routing, to=row.id, by=by, reason=reason)


async def drop_tag(
    session: AsyncSession, row: VersionRow, tag: str, *, by: str = "", reason: str = ""
) -> int:
    """Take the tag off the version if it carries it; return the prompt's epoch."""
    routing = await lock_prompt(session, row.name, row.prompt_type)
    if await holder(session, row.name, row.prompt_type, tag=tag) != row.id:
        return routing.epoch
    return await _move(session, tag, routing=routing, to=None, by=by, reason=reason)


async def holder(
    session: AsyncSession, name: str, prompt_type: str, *, tag: str = PRODUCTION_TAG
) -> str | None:
    """Return the id of the version that carries the tag."""
    carried = (TagRow.name == name, TagRow.prompt_type == prompt_type, TagRow.tag == tag)
    return (await session.exec(select(TagRow.version_id).where(*carried))).first()


async def moves_of(
    session: AsyncSession, name: str, prompt_type: str, *, tag: str = PRODUCTION_TAG
) -> list[TagMove]:
    """Return every move of the tag, oldest first."""
    of_tag = (
        TagMoveRow.name == name,
        TagMoveRow.prompt_type == prompt_type,
        TagMoveRow.tag == tag,
    )
    rows = await session.exec(select(TagMoveRow).where(*of_tag).order_by(TagMoveRow.id))
    return [TagMove(row.version_id, row.previous_id, row.at, row.by, row.reason) for row in rows]


async def tagged(session: AsyncSession, row: VersionRow) -> PromptVersion:
    """Return the row as a value, with its tags."""
    return (await all_tagged(session, [row]))[0]


async def all_tagged(session: AsyncSession, rows: Sequence[VersionRow]) -> list[PromptVersion]:
    """Return the rows, all of one prompt, as values with their tags."""
    if not rows:
        return []
    of_prompt = (TagRow.name == rows[0].name, TagRow.prompt_type == rows[0].prompt_type)
    query = select(TagRow.version_id, TagRow.tag).where(*of_prompt)
    tags: defaultdict[str, list[str]] = defaultdict(list)
    for version_id, tag in await session.exec(query):
        tags[version_id].append(tag)
    return [
        PromptVersion.from_dict(
            row.model_dump()
            | {"version_id": row.id, "metadata": row.details, "tags": sorted(tags[row.id])}
        )
        for row in rows
    ]


async def refuse_while_live(session: AsyncSession, row: VersionRow) -> None:
    """Keep everybody but the rollout from moving `production` while one is live.

    Raises:
        Conflict: A rollout is live on the version's prompt.
    """
    if rollout := await live_rollout(session, row.name, row.prompt_type):
        raise Conflict(
            f"rollout {rollout} is live on {row.name}.{row.prompt_type} and holds its production"
            " tag: promote or roll it back first"
        )


async def _move(
    session: AsyncSession, tag: str, *, routing: RoutingRow, to: str | None, by: str, reason: str
) -> int:
    name, prompt_type = routing.name, routing.prompt_type
    previous = await holder(session, name, prompt_type, tag=tag)
    if previous == to:
        return routing.epoch
    move = TagMoveRow(
        id=str(uuid7()),
        name=name,
        prompt_type=prompt_type,
        tag=tag,
        version_id=to,
        previous_id=previous,
        at=datetime.now(UTC),
        by=by,
        reason=reason,
    )
    session.add(move)
    await _point(session, move)
    if tag == PRODUCTION_TAG:
        routing = await claim_epoch(session, name, prompt_type)
    await session.flush()
    return routing.epoch


async def _point(session: AsyncSession, move: TagMoveRow) -> None:
    row = await session.get(TagRow, (move.name, move.prompt_type, move.tag), populate_existing=True)
    if move.version_id is None:
        await session.delete(row)
        return
    row = row or TagRow(name=move.name, prompt_type=move.prompt_type, tag=move.tag, version_id="")
    row.version_id = move.version_id
    session.add(row)
