"""The order of a prompt's versions: their numbers, parents, the latest, the one before."""

import re
from collections.abc import Iterable, Mapping

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from domain.errors import Conflict, NotFound, VersioningError
from domain.prompts import VersionStatus
from domain.tables import VersionRow
from domain.tags import TagMove, holder, moves_of

NUMBER = re.compile(r"(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})")
HIGHEST_PART = 2**31 - 1
SERVABLE = (VersionStatus.ACTIVE, VersionStatus.PRODUCTION)


def versions_of(name: str, prompt_type: str) -> SelectOfScalar[VersionRow]:
    """Select the prompt's versions."""
    of_prompt = (VersionRow.name == name, VersionRow.prompt_type == prompt_type)
    return select(VersionRow).where(*of_prompt)


def highest_first(name: str, prompt_type: str) -> SelectOfScalar[VersionRow]:
    """Select the prompt's versions, the highest number first."""
    order = (col(VersionRow.major), col(VersionRow.minor), col(VersionRow.patch))
    return versions_of(name, prompt_type).order_by(*(part.desc() for part in order))


async def latest(session: AsyncSession, name: str, prompt_type: str) -> VersionRow | None:
    """Return the highest version that is active or in production, else the highest of any."""
    query = highest_first(name, prompt_type).limit(1)
    servable = await session.exec(query.where(col(VersionRow.status).in_(SERVABLE)))
    return servable.first() or (await session.exec(query)).first()


async def number(session: AsyncSession, row: VersionRow, *, wanted: str | None) -> None:
    """Give the row its number: the one wanted, else the prompt's highest, patch + 1.

    Raises:
        VersioningError: What is wanted is not a number.
        Conflict: It is taken.
    """
    row.version = await _next(session, row) if wanted is None else wanted
    row.major, row.minor, row.patch = _parsed(row.version)
    taken = versions_of(row.name, row.prompt_type).where(VersionRow.version == row.version)
    if (await session.exec(taken)).first():
        prompt = f"{row.name}.{row.prompt_type}"
        raise Conflict(f"Version {row.version} already exists for {prompt}")


async def parent(session: AsyncSession, row: VersionRow) -> str | None:
    """Return the parent asked for, else the version in production, else the latest.

    Raises:
        NotFound: There is no such parent.
    """
    if row.parent_version is None:
        before = await latest(session, row.name, row.prompt_type)
        return await holder(session, row.name, row.prompt_type) or (before.id if before else None)
    if await session.get(VersionRow, row.parent_version) is None:
        raise NotFound(f"Version not found: {row.parent_version}")
    return row.parent_version


async def previous(session: AsyncSession, present: VersionRow) -> VersionRow:
    """Return the version that was in production before the present one.

    Raises:
        Conflict: There was none, or it has been deleted.
    """
    moves = await moves_of(session, present.name, present.prompt_type)
    rows = await session.exec(versions_of(present.name, present.prompt_type))
    versions = {row.id: row for row in rows}
    *_, before, _ = (None, None, *_trail(moves, versions))
    if before is None:
        prompt = f"{present.name}.{present.prompt_type}"
        raise Conflict(f"{prompt} has no previous production version to return to")
    return versions[before]


def _trail(moves: Iterable[TagMove], versions: Mapping[str, VersionRow]) -> list[str]:
    """Return the ids production went through, without those it was taken back from.

    Going back to the one before and deprecating the one left is a rollback: a second rollback has
    to go further back, not return to the version that was found bad.
    """
    trail: list[str] = []
    for now in (move.version_id for move in moves if move.version_id in versions):
        if now is None or trail[-1:] == [now]:
            continue
        back = trail[-2:-1] == [now]
        if back and versions[trail[-1]].status == VersionStatus.DEPRECATED:
            trail.pop()
        else:
            trail.append(now)
    return trail


async def _next(session: AsyncSession, row: VersionRow) -> str:
    highest = (await session.exec(highest_first(row.name, row.prompt_type).limit(1))).first()
    return f"{highest.major}.{highest.minor}.{highest.patch + 1}" if highest else "1.0.0"


def _parsed(version: object) -> tuple[int, ...]:
    found = NUMBER.fullmatch(version) if isinstance(version, str) else None
    parts = tuple(map(int, found.groups())) if found else ()
    if not parts or max(parts) > HIGHEST_PART:
        raise VersioningError(
            f"Invalid version format: {version}. Expected major.minor.patch, no leading zeros,"
            f" no part above {HIGHEST_PART}"
        )
    return parts
