"""VersionManager: the versions of prompts, and which of them is in production.

A version never changes but for its status and its tags. Every write locks its prompt, so that
numbers, tags and epochs follow one another however many writers there are.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain import lineage
from domain.database import Database, default_database
from domain.errors import Conflict, NotFound
from domain.fields import check_label, check_version, member, tag_list
from domain.prompts import Json, PromptVersion, VersionStatus
from domain.routing import LIVE, PRODUCTION_TAG, lock_prompt
from domain.tables import RolloutRow, TagRow, VersionRow
from domain.tags import (
    TagMove,
    all_tagged,
    drop_tag,
    holder,
    move_tag,
    moves_of,
    refuse_while_live,
    tagged,
)

__all__ = ["TagMove", "VersionManager", "move_tag"]

UNNUMBERED = ""


class VersionManager:
    """Makes, finds, tags and retires versions. Each method is one transaction."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def create_version(  # noqa: PLR0913  # the seed's signature
        self,
        name: str,
        prompt_type: str,
        template: str,
        version: str | None = None,
        defaults: Json | None = None,
        validation: Json | None = None,
        metadata: Json | None = None,
        created_by: str | None = None,
        parent_version: str | None = None,
        tags: Sequence[str] | None = None,
        status: VersionStatus = VersionStatus.ACTIVE,
        *,
        version_id: str | None = None,
    ) -> PromptVersion:
        """Make a version; without a number it gets the highest of the prompt, patch + 1.

        Its parent is the one given, else the version in production, else the latest. Idempotent
        by `version_id`: given again with the same content, the existing version is returned.

        Raises:
            InvalidValue: A field is empty, too long, unprintable or not JSON.
            VersioningError: The number is not `major.minor.patch`.
            NotFound: There is no such parent.
            Conflict: The number is taken, the id has other content, or `production` is among the
                tags while a rollout holds it.
        """
        draft = PromptVersion(
            str(uuid7()) if version_id is None else version_id, name, prompt_type, UNNUMBERED,
            template, defaults or {}, validation, metadata or {}, datetime.now(UTC), created_by,
            parent_version, tag_list(tags or []), member(VersionStatus, status),
        )  # fmt: skip
        return await self._create(check_version(draft), tags=draft.tags, number=version)

    async def get_version(
        self,
        name: str,
        prompt_type: str,
        version: str = "latest",
        version_id: str | None = None,
    ) -> PromptVersion | None:
        """Return the version; `latest` is the highest active or in production, else of any."""
        if version_id is not None:
            return await self.get_version_by_id(version_id)
        async with self._database.reading() as session:
            if version == "latest":
                row = await lineage.latest(session, name, prompt_type)
            else:
                query = lineage.versions_of(name, prompt_type).where(VersionRow.version == version)
                row = (await session.exec(query)).first()
            return await tagged(session, row) if row else None

    async def get_version_by_id(self, version_id: str) -> PromptVersion | None:
        """Return the version."""
        async with self._database.reading() as session:
            row = await session.get(VersionRow, version_id)
            return await tagged(session, row) if row else None

    async def list_versions(
        self,
        name: str,
        prompt_type: str,
        tags: Sequence[str] | None = None,
        status: VersionStatus | None = None,
    ) -> list[PromptVersion]:
        """Return the prompt's versions that carry any of the tags, highest number first."""
        query = lineage.highest_first(name, prompt_type)
        if status is not None:
            query = query.where(VersionRow.status == member(VersionStatus, status))
        if tags:
            carrying = select(TagRow.version_id).where(col(TagRow.tag).in_(tags))
            query = query.where(col(VersionRow.id).in_(carrying))
        async with self._database.reading() as session:
            return await all_tagged(session, (await session.exec(query)).all())

    async def get_version_history(self, name: str, prompt_type: str) -> list[PromptVersion]:
        """Return the prompt's versions, oldest first."""
        order = (VersionRow.created_at, VersionRow.major, VersionRow.minor, VersionRow.patch)
        query = lineage.versions_of(name, prompt_type).order_by(*map(col, order))
        async with self._database.reading() as session:
            return await all_tagged(session, (await session.exec(query)).all())

    async def list_prompts(self) -> list[tuple[str, str]]:
        """Return the name and type of every prompt that has a version, sorted."""
        query = select(VersionRow.name, VersionRow.prompt_type).distinct()
        async with self._database.reading() as session:
            return sorted((await session.exec(query)).all())

    async def tag_version(
        self, version_id: str, tag: str, *, by: str = "", reason: str = ""
    ) -> PromptVersion:
        """Move the tag here from whichever version of the prompt carries it. Idempotent.

        Raises:
            NotFound: There is no such version.
            Conflict: A rollout is live on the prompt and the tag is `production`.
        """
        check_label(tag, field="tag")
        async with self._database.transaction() as session:
            row = await _locked(session, version_id)
            await _give(session, row, tag=tag, by=by, reason=reason)
            return await tagged(session, row)

    async def untag_version(
        self, version_id: str, tag: str, *, by: str = "", reason: str = ""
    ) -> PromptVersion:
        """Take the tag off the version, if it carries it.

        Raises:
            NotFound: There is no such version.
            Conflict: A rollout is live on the prompt and the tag is `production`.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, version_id)
            if tag == PRODUCTION_TAG:
                await refuse_while_live(session, row)
            await drop_tag(session, row, tag, by=by, reason=reason)
            return await tagged(session, row)

    async def update_status(self, version_id: str, status: VersionStatus) -> PromptVersion:
        """Set where the version is in its life; its tags stay.

        Raises:
            NotFound: There is no such version.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, version_id)
            row.status = member(VersionStatus, status)
            session.add(row)
            return await tagged(session, row)

    async def delete_version(self, version_id: str) -> bool:
        """Delete the version and its tags; False if there is none.

        Raises:
            Conflict: It is in production, or a live rollout uses it.
        """
        async with self._database.transaction() as session:
            if await session.get(VersionRow, version_id) is None:
                return False
            row = await _locked(session, version_id)
            await _refuse_if_used(session, row)
            for tag in (await tagged(session, row)).tags:
                await drop_tag(session, row, tag, reason="version deleted")
            await session.delete(row)
            return True

    async def production(self, name: str, prompt_type: str) -> PromptVersion | None:
        """Return the version in production."""
        async with self._database.reading() as session:
            version_id = await holder(session, name, prompt_type)
            return await self.get_version_by_id(version_id) if version_id else None

    async def tag_history(
        self, name: str, prompt_type: str, tag: str = PRODUCTION_TAG
    ) -> list[TagMove]:
        """Return every move of the tag, oldest first."""
        async with self._database.reading() as session:
            return await moves_of(session, name, prompt_type, tag=tag)

    async def revert(
        self,
        name: str,
        prompt_type: str,
        *,
        by: str = "",
        reason: str = "",
        leaving: str | None = None,
    ) -> PromptVersion:
        """Return production to the version before the present one, which is deprecated.

        `leaving` is the number of the version that whoever asks saw in production: so that asking
        twice does not go back twice.

        Raises:
            Conflict: Nothing is in production, nothing was before, a rollout is live, or another
                version than `leaving` is in production by now.
        """
        async with self._database.transaction() as session:
            await lock_prompt(session, name, prompt_type)
            present_id = await holder(session, name, prompt_type)
            if present_id is None:
                raise Conflict(f"{name}.{prompt_type} has no production version")
            present = await session.get_one(VersionRow, present_id)
            if leaving not in (None, present.version):
                raise Conflict(
                    f"{leaving} of {name}.{prompt_type} is in production no more, {present.version}"
                    " is: look again before it is reverted"
                )
            previous = await lineage.previous(session, present)
            await _give(session, previous, tag=PRODUCTION_TAG, by=by, reason=reason)
            present.status = VersionStatus.DEPRECATED.value
            previous.status = VersionStatus.PRODUCTION.value
            session.add_all([present, previous])
            return await tagged(session, previous)

    async def _create(
        self, row: VersionRow, *, tags: Sequence[str], number: str | None
    ) -> PromptVersion:
        async with self._database.transaction() as session:
            await lock_prompt(session, row.name, row.prompt_type)
            if existing := await session.get(VersionRow, row.id):
                return await tagged(session, _same(existing, row, number=number))
            await lineage.number(session, row, wanted=number)
            row.parent_version = await lineage.parent(session, row)
            session.add(row)
            await session.flush()
            for tag in tags:
                await _give(session, row, tag=tag, by=row.created_by or "")
            return await tagged(session, row)


async def _locked(session: AsyncSession, version_id: str) -> VersionRow:
    """Return the row, as it is once no other writer of its prompt is at work."""
    row = await session.get(VersionRow, version_id)
    if row is not None:
        await lock_prompt(session, row.name, row.prompt_type)
        row = await session.get(VersionRow, version_id, populate_existing=True)
    if row is None:
        raise NotFound(f"Version not found: {version_id}")
    return row


async def _give(
    session: AsyncSession, row: VersionRow, *, tag: str, by: str, reason: str = ""
) -> None:
    if tag == PRODUCTION_TAG and await holder(session, row.name, row.prompt_type) != row.id:
        await refuse_while_live(session, row)
    await move_tag(session, row, tag, by=by, reason=reason)


def _same(existing: VersionRow, wanted: VersionRow, *, number: str | None) -> VersionRow:
    """Refuse an id that was given before, unless it is the same version again."""
    same_number = number in (None, existing.version)
    if existing.content_hash != wanted.content_hash or not same_number:
        raise Conflict(f"version id {wanted.id!r} is taken, with other content or another number")
    return existing


async def _refuse_if_used(session: AsyncSession, row: VersionRow) -> None:
    prompt = f"{row.name}.{row.prompt_type}"
    if await holder(session, row.name, row.prompt_type) == row.id:
        raise Conflict(f"version {row.version} of {prompt} is in production, cannot be deleted")
    uses = or_(RolloutRow.baseline_id == row.id, RolloutRow.candidate_id == row.id)
    query = select(RolloutRow.id).where(col(RolloutRow.status).in_(LIVE), uses)
    if rollout := (await session.exec(query)).first():
        raise Conflict(
            f"version {row.version} of {prompt} is in use by live rollout {rollout},"
            " cannot be deleted"
        )
