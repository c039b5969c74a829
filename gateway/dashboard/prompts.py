"""The pages of prompts: all of them, one, its versions, what differs between two, its tags."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import Response

from domain.catalog import Catalog
from domain.database import Database
from domain.errors import InvalidValue, NotFound, RampartError
from domain.paging import LAST
from domain.prompts import PromptVersion
from domain.routing import RoutingManager
from domain.segments.lanes import SegmentManager
from domain.segments.plan import lane_name
from domain.templates import difference
from domain.templates.marking import marked
from domain.templates.template import Template
from domain.versions import VersionManager
from gateway.dashboard import visit
from gateway.dashboard.forms import Leaving, Refused, Tagging, answered, show
from gateway.dashboard.pages import Pages, place
from gateway.operators import Flag, Holder, Label, prompt_of

PLACE = f"{visit.ROOT}/prompts"
MOST_FIELDS = 300  # that differ, and are shown

Text = Annotated[str, Query(max_length=400)]
Number = Annotated[int, Query(ge=1, le=LAST)]


class PromptPages:
    """Shows prompts and their versions, and moves tags; Temporal is not asked."""

    def __init__(self, pages: Pages, database: Database) -> None:
        self._pages = pages
        self._catalog = Catalog(database)
        self._versions = VersionManager(database)
        self._routing = RoutingManager(database)
        self._segments = SegmentManager(database)

    def router(self) -> APIRouter:
        """Return the routes; those of a part of a prompt first, as a flag takes all of a path."""
        found, prompt = APIRouter(include_in_schema=False), f"{PLACE}/{{flag:path}}"
        found.get(PLACE)(self.list)
        found.get(f"{prompt}/versions/{{version}}")(self.version)
        found.get(f"{prompt}/diff")(self.differ)
        found.get(f"{prompt}/history")(self.history)
        found.get(prompt)(self.look)
        found.post(f"{prompt}/tags")(self.tag)
        found.post(f"{prompt}/revert")(self.revert)
        return found

    async def list(self, request: Request, q: Text = "", page: Number = 1) -> Response:
        """Show prompts, those alone whose flag contains what is looked for."""
        found = await self._catalog.prompts(text=q.strip(), number=page)
        return self._pages.show(request, "prompts.html", found=found, q=q)

    async def look(self, request: Request, flag: Flag, page: Number = 1) -> Response:
        """Show a prompt: what it serves, its tags, its versions."""
        return await self._page(request, flag, page)

    async def version(self, request: Request, flag: Flag, version: Label) -> Response:
        """Show one version: its text, what it needs, what it did."""
        found = await self._find(flag, version)
        parent = found.parent_version and await self._versions.get_version_by_id(
            found.parent_version
        )
        production = await self._versions.production(*prompt_of(flag))
        needs, wrong = _needs(found)
        return self._pages.show(
            request,
            "version.html",
            flag=flag,
            version=found,
            text=marked(found.template),
            needs=needs,
            wrong=wrong,
            figures=await self._catalog.figures(found.version_id),
            parent=parent.version if parent else "",
            production=production.version if production else "",
        )

    async def differ(
        self,
        request: Request,
        flag: Flag,
        before: Annotated[str, Query(alias="from", max_length=200)] = "",
        after: Annotated[str, Query(alias="to", max_length=200)] = "",
    ) -> Response:
        """Show what differs between two versions; by default from production to the latest."""
        production = await self._versions.production(*prompt_of(flag))
        old = await self._find(flag, before or (production.version if production else "latest"))
        new = await self._find(flag, after or "latest")
        fields = difference.fields(_rest(old), _rest(new))
        return self._pages.show(
            request,
            "difference.html",
            flag=flag,
            old=old,
            new=new,
            text=await asyncio.to_thread(difference.difference, old.template, new.template),
            fields=fields[:MOST_FIELDS],
            more=max(0, len(fields) - MOST_FIELDS),
        )

    async def history(self, request: Request, flag: Flag, page: Number = 1) -> Response:
        """Show who moved which tag, when and why."""
        moves = await self._catalog.moves(*prompt_of(flag), number=page)
        return self._pages.show(request, "history.html", flag=flag, moves=moves)

    async def tag(
        self, request: Request, flag: Flag, holder: Holder, given: Annotated[Tagging, Form()]
    ) -> Response:
        """Move a tag to a version."""
        try:
            given.refuse_unless_meant()
            found = await self._find(flag, given.version)
            moved = await self._versions.tag_version(
                found.version_id, given.tag, by=holder.name, reason=given.reason
            )
        except RampartError as error:
            return await self._page(request, flag, refused=Refused.by(error, given.reason))
        return answered(f"{PLACE}/{place(flag)}", f"{moved.version} is tagged {given.tag}")

    async def revert(
        self, request: Request, flag: Flag, holder: Holder, given: Annotated[Leaving, Form()]
    ) -> Response:
        """Return production to the version before the one that was seen there."""
        try:
            given.refuse_unless_meant()
            now = await self._versions.revert(
                *prompt_of(flag), by=holder.name, reason=given.reason, leaving=given.leaving
            )
        except RampartError as error:
            return await self._page(request, flag, refused=Refused.by(error, given.reason))
        said = f"{now.version} is in production again, {given.leaving} is deprecated"
        return answered(f"{PLACE}/{place(flag)}", said)

    async def _page(
        self, request: Request, flag: str, number: int = 1, *, refused: Refused | None = None
    ) -> Response:
        name, prompt_type = prompt_of(flag)
        versions = await self._catalog.versions(name, prompt_type, number=number)
        segments = await self._segments.list(name, prompt_type)
        return await show(
            self._pages,
            request,
            "prompt.html",
            refused=refused,
            flag=flag,
            line=await self._catalog.prompt(name, prompt_type),
            versions=versions,
            tags=await self._catalog.tags(name, prompt_type),
            moves=await self._catalog.moves(name, prompt_type),
            served=await self._routing.snapshot(name, prompt_type),
            segments=[(each, f"{lane_name(name, each.name)}.{prompt_type}") for each in segments],
        )

    async def _find(self, flag: str, version: str) -> PromptVersion:
        found = await self._versions.get_version(*prompt_of(flag), version)
        if found is None:
            raise NotFound(f"{flag} has no version {version!r}")
        return found


def _needs(version: PromptVersion) -> tuple[list[tuple[str, Any, Any]], str]:
    """Return variables with their defaults and rules; or why the text is of no language of ours."""
    rules = version.validation or {}
    try:
        mentioned = Template.of(version).variables
    except InvalidValue as error:
        mentioned, wrong = frozenset[str](), str(error)
    else:
        wrong = ""
    names = sorted(mentioned | version.defaults.keys() | rules.keys())
    return [(name, version.defaults.get(name, ""), rules.get(name, "")) for name in names], wrong


def _rest(version: PromptVersion) -> dict[str, Any]:
    """Return all of a version that two of them may be told apart by, but the text."""
    return {
        "defaults": version.defaults,
        "validation": version.validation or {},
        "metadata": version.metadata,
        "status": version.status.value,
        "tags": version.tags,
        "created by": version.created_by or "",
        "created at": version.created_at.isoformat(timespec="seconds"),
    }
