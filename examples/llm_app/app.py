"""Writes email subject lines with the version of a prompt that rampart assigns to each user.

    rampart version import examples/llm_app/prompts
    OPENAI_API_KEY=… python examples/llm_app/app.py tea --user ada

Any server of OpenAI's protocol will do: `OPENAI_BASE_URL` names it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Annotated

import typer
from openai import AsyncOpenAI, OpenAIError

from domain.database import Database, default_database
from domain.errors import InvalidValue, NotFound
from domain.metrics import MetricsCollector
from domain.recorder import ExposureRecorder
from domain.routing import Router
from domain.snapshot import Assignment
from domain.templates.template import Template
from domain.versions import VersionManager

PROMPT = ("email_subject", "user")


@dataclass(kw_only=True)
class Draft:
    """A subject line, and what its reader thinks of it: `rating` is 1 to 5 stars, if any."""

    text: str
    version: str
    tokens: int | None = None
    rating: float | None = None


class Writer:
    """Writes subject lines; each is counted for the version it was written with."""

    def __init__(
        self,
        llm: AsyncOpenAI,
        *,
        router: Router,
        exposures: ExposureRecorder,
        database: Database,
        model: str = "gpt-4o-mini",
    ) -> None:
        self._llm = llm
        self._router = router
        self._exposures = exposures
        self._versions = VersionManager(database)
        self._metrics = MetricsCollector(database)
        self._model = model
        self._templates: dict[str, Template] = {}  # versions never change

    @asynccontextmanager
    async def write(self, user_id: str, **values: str) -> AsyncIterator[Draft]:
        """Yield a draft, and count it once it has been read, with the rating it was given.

        Raises:
            OpenAIError: There was no answer; that is counted as a failure.
            InvalidValue: The template does not fit the values; that too.
            NotFound: No version is in production.
        """
        given = self._router.assign(*PROMPT, user_id)
        self._exposures.note(given, user_id)
        started = perf_counter()
        try:
            draft = await self._ask(given, values)
        except (OpenAIError, InvalidValue):
            await self._count(given, user_id, seconds=perf_counter() - started)
            raise
        seconds = perf_counter() - started
        try:
            yield draft
        finally:
            await self._count(given, user_id, seconds=seconds, draft=draft)

    async def _ask(self, given: Assignment, values: dict[str, str]) -> Draft:
        template = await self._template(given)
        prompt = template.render(values)
        reply = await self._llm.chat.completions.create(
            model=self._model, messages=[{"role": "user", "content": prompt}]
        )
        return Draft(
            text=reply.choices[0].message.content or "",
            version=given.version or "",
            tokens=reply.usage.total_tokens if reply.usage else None,
        )

    async def _template(self, given: Assignment) -> Template:
        version_id = given.version_id or ""
        if version_id not in self._templates:
            version = await self._versions.get_version_by_id(version_id)
            if version is None:
                raise NotFound(f"no version of {'.'.join(PROMPT)} is served: import one first")
            self._templates[version_id] = Template.of(version)
        return self._templates[version_id]

    async def _count(
        self, given: Assignment, user_id: str, *, seconds: float, draft: Draft | None = None
    ) -> None:
        await self._metrics.record_event(
            given.version_id or "",
            success=draft is not None,
            response_time=seconds,
            tokens=draft.tokens if draft else None,
            user_rating=draft.rating if draft else None,
            user_id=user_id,
            experiment_id=given.experiment_id,
        )


@asynccontextmanager
async def writer(llm: AsyncOpenAI, database: Database) -> AsyncIterator[Writer]:
    """Yield a writer whose assignments are kept fresh and whose exposures are recorded."""
    async with Router(database) as router, ExposureRecorder(database) as exposures:
        yield Writer(llm, router=router, exposures=exposures, database=database)


def main(
    topic: str,
    user: Annotated[str, typer.Option(help="Who asks: the same user, the same version.")] = "ada",
    rating: Annotated[float | None, typer.Option(help="1 to 5 stars.", min=1, max=5)] = None,
) -> None:
    """Write one subject line about TOPIC."""

    async def run() -> None:
        async with (
            AsyncOpenAI() as llm,
            writer(llm, default_database()) as ours,
            ours.write(user, topic=topic) as draft,
        ):
            typer.echo(f"{draft.version}: {draft.text}")
            draft.rating = rating

    asyncio.run(run())


if __name__ == "__main__":
    typer.run(main)
