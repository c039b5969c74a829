"""Where a version comes from."""

from domain.prompts import PromptVersion
from reports.facts import VersionFacts

MOST, LONGEST = 20, 500  # entries of a version's metadata, and letters of one


def facts_of(found: PromptVersion | None, *, role: str, number: str, id: str = "") -> VersionFacts:
    """Return what is known of a version; its number alone once it was deleted."""
    if found is None:
        return VersionFacts(role=role, number=number, id=id, status="deleted")
    kept = list(found.metadata.items())[:MOST]
    return VersionFacts(
        role=role,
        number=found.version,
        id=found.version_id,
        status=found.status.value,
        created_at=found.created_at,
        created_by=found.created_by or "",
        content_hash=found.content_hash,
        metadata={str(key)[:LONGEST]: str(value)[:LONGEST] for key, value in kept},
    )
