"""Drafts become versions: all of them or none, and none twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlmodel.ext.asyncio.session import AsyncSession

from domain import lineage
from domain.database import Database, default_database
from domain.epochs import lock_prompt
from domain.errors import DomainError, NotFound
from domain.fields import check_version
from domain.progress import Told, nobody
from domain.prompts import Json, PromptVersion
from domain.tables import VersionRow
from domain.tags import all_tagged
from domain.templates.folder import Draft
from domain.versions import VersionManager


class Outcome(StrEnum):
    """What became of a file."""

    CREATED = "created"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Imported:
    """A file, and the version that holds its content.

    Attributes:
        note: What the file says and the import has not done; empty where it says nothing more.
    """

    file: str
    outcome: Outcome
    version: PromptVersion
    note: str = ""

    def to_dict(self) -> Json:
        """Return plain JSON."""
        version = self.version
        return {
            "file": self.file,
            "outcome": self.outcome.value,
            "prompt": f"{version.name}.{version.prompt_type}",
            "version": version.version,
            "version_id": version.version_id,
            "tags": version.tags,
            "note": self.note,
        }


class _Undone(Exception):
    """Takes a trial back."""


class VersionImporter:
    """Makes versions of drafts."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()
        self._versions = VersionManager(self._database)

    async def take_in(
        self,
        drafts: Sequence[Draft],
        *,
        by: str = "",
        dry_run: bool = False,
        told: Told = nobody,
    ) -> list[Imported]:
        """Make a version of each draft whose content no version of its prompt has, or of none.

        Again changes nothing: content that is known is left as it is, its tags and status too,
        whatever the file says of them. Otherwise, importing last week's folder would bring a
        version back that has been rolled back since.

        Args:
            drafts: By name and type, each prompt once.
            by: Who makes them.
            dry_run: Find out what would be done, and do nothing.
            told: How many of the drafts were taken in.

        Raises:
            DomainError: What `VersionManager.create_version` refuses; the message begins with the
                file. Nothing was written.
        """
        found: list[Imported] = []
        try:
            async with self._database.transaction() as session:
                for draft in drafts:
                    found.append(await self._take_in(session, draft, by=by))
                    told(len(found) / len(drafts))
                if dry_run:
                    raise _Undone
        except _Undone:
            pass
        return found

    async def _take_in(self, session: AsyncSession, draft: Draft, *, by: str) -> Imported:
        try:
            await lock_prompt(session, draft.name, draft.prompt_type)
            if known := await _known(session, draft):
                return Imported(draft.file, Outcome.UNCHANGED, known, _left_undone(draft, known))
            made = await self._create(session, draft, by=by)
        except DomainError as error:
            raise type(error)(f"{draft.file}: {error}") from error
        return Imported(draft.file, Outcome.CREATED, made)

    async def _create(self, session: AsyncSession, draft: Draft, *, by: str) -> PromptVersion:
        front = draft.document.front
        return await self._versions.create_version(
            draft.name,
            draft.prompt_type,
            draft.document.template,
            front.version,
            defaults=front.defaults,
            validation=front.validation,
            metadata=front.metadata,
            created_by=by or None,
            parent_version=await _parent(session, draft),
            tags=front.tags,
            status=front.status,
        )


async def _known(session: AsyncSession, draft: Draft) -> PromptVersion | None:
    """Return the version that has this content: the one of the file's number, else the highest."""
    content = PromptVersion(
        "draft", draft.name, draft.prompt_type, "", draft.document.template,
        draft.document.front.defaults, draft.document.front.validation,
        draft.document.front.metadata, datetime.now(UTC),
    )  # fmt: skip
    same = VersionRow.content_hash == check_version(content).content_hash
    query = lineage.highest_first(draft.name, draft.prompt_type).where(same)
    known = await all_tagged(session, (await session.exec(query)).all())
    wanted = draft.document.front.version
    return next((one for one in known if one.version == wanted), known[0] if known else None)


async def _parent(session: AsyncSession, draft: Draft) -> str | None:
    number = draft.document.front.parent
    if number is None:
        return None
    versions = lineage.versions_of(draft.name, draft.prompt_type)
    found = (await session.exec(versions.where(VersionRow.version == number))).first()
    if found is None:
        raise NotFound(f"parent {number!r} is no version of {draft.prompt}")
    return found.id


def _left_undone(draft: Draft, known: PromptVersion) -> str:
    front, notes = draft.document.front, []
    if front.version not in (None, known.version):
        notes.append(f"same content as {known.version}, so there is no {front.version}")
    if tags := [tag for tag in front.tags if tag not in known.tags]:
        notes.append(f"not tagged {', '.join(tags)}")
    return "; ".join(notes)
