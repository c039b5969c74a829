"""`/v1/prompts`: the versions of prompts, and which of them is in production."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, ConfigDict, Field

from domain.errors import NotFound
from domain.fields import check_text
from domain.prompts import PromptVersion, VersionStatus
from domain.versions import TagMove, VersionManager
from gateway.operating.rollouts import Order
from gateway.operators import Body, Flag, Holder, Label, Plan, prompt_of

PLACE = "/v1/prompts"
TEMPLATE_LIMIT = 500_000  # characters


def _text(text: str) -> str:
    check_text(text, field="it")
    return text


Number = Annotated[Label, Path(description="`x.y.z`, or `latest`.", examples=["1.1.0"])]
Template = Annotated[str, Field(max_length=TEMPLATE_LIMIT), AfterValidator(_text)]


class NewVersion(Body):
    """The content of a version, which never changes afterwards."""

    template: Template
    version: Label | None = Field(default=None, description="`x.y.z`; by default the next patch.")
    defaults: Plan = Field(default_factory=dict)
    validation: Plan | None = None
    metadata: Plan = Field(default_factory=dict)
    tags: Annotated[tuple[Label, ...], Field(max_length=100)] = ()
    status: VersionStatus = VersionStatus.ACTIVE


class Version(Body):
    """A version."""

    model_config = ConfigDict(from_attributes=True)

    version_id: str
    name: str
    prompt_type: str
    version: str
    template: str
    defaults: dict[str, Any]
    validation: dict[str, Any] | None
    metadata: dict[str, Any]
    created_at: datetime
    created_by: str | None
    parent_version: str | None
    tags: tuple[str, ...]
    status: VersionStatus
    content_hash: str


class Tagging(Order):
    """Which version is to carry which tag."""

    version: Label = Field(examples=["1.1.0"])
    tag: Label = Field(examples=["production"])


class PromptRoutes:
    """The verbs of `domain.versions.VersionManager`; Temporal is not asked."""

    def __init__(self, versions: VersionManager) -> None:
        self._versions = versions

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(prefix=PLACE, tags=["prompts"])
        created = HTTPStatus.CREATED
        found.get("", summary="List the flags of all prompts")(self.list)
        found.get("/{flag:path}/versions", summary="List versions, highest first")(self.versions)
        found.post("/{flag:path}/versions", status_code=created, summary="Make a version")(
            self.create
        )
        found.get("/{flag:path}/versions/{version}", summary="Read a version")(self.version)
        found.get("/{flag:path}/history", summary="Read the moves of a tag")(self.history)
        found.post("/{flag:path}/tags", summary="Move a tag")(self.tag)
        found.post("/{flag:path}/revert", summary="Return production to the version before")(
            self.revert
        )
        return found

    async def list(self) -> Sequence[str]:
        """Return the flag of every prompt that has a version."""
        return [".".join(prompt) for prompt in await self._versions.list_prompts()]

    async def versions(self, flag: Flag) -> Sequence[Version]:
        """Return them with their templates."""
        return [_shown(found) for found in await self._versions.list_versions(*prompt_of(flag))]

    async def create(self, flag: Flag, given: NewVersion, holder: Holder) -> Version:
        """Make it; nobody is served by it before it is tagged or rolled out."""
        made = await self._versions.create_version(
            *prompt_of(flag),
            given.template,
            given.version,
            given.defaults,
            given.validation,
            given.metadata,
            created_by=holder.name or None,
            tags=given.tags,
            status=given.status,
        )
        return _shown(made)

    async def version(self, flag: Flag, version: Number) -> Version:
        """Return it with its template."""
        return _shown(await self._find(flag, version))

    async def history(
        self, flag: Flag, tag: Annotated[Label, Query()] = "production"
    ) -> Sequence[TagMove]:
        """Return every move of the tag, oldest first: by whom, and why."""
        return await self._versions.tag_history(*prompt_of(flag), tag)

    async def tag(self, flag: Flag, given: Tagging, holder: Holder) -> Version:
        """Move the tag here from whichever version of the prompt carries it."""
        found = await self._find(flag, given.version)
        moved = await self._versions.tag_version(
            found.version_id, given.tag, by=holder.name, reason=given.reason
        )
        return _shown(moved)

    async def revert(self, flag: Flag, holder: Holder, given: Order | None = None) -> Version:
        """Return production to the version before; the present one is deprecated."""
        reason = given.reason if given else ""
        prompt = prompt_of(flag)
        return _shown(await self._versions.revert(*prompt, by=holder.name, reason=reason))

    async def _find(self, flag: str, version: str) -> PromptVersion:
        found = await self._versions.get_version(*prompt_of(flag), version)
        if found is None:
            raise NotFound(f"{flag} has no version {version!r}")
        return found


def _shown(version: PromptVersion) -> Version:
    return Version.model_validate(version)
