"""What goes along with the news that a rollout has ended: its report, if it is not large."""

import asyncio
from typing import Any

from pydantic import JsonValue

from domain.notifications.notice import Enclosure, Notice
from domain.record import Kind
from reports.facts import Report
from reports.illustrated import Illustrated
from reports.reporter import Reporter
from reports.writing import Form, file_name, write

ENDS = frozenset({Kind.COMPLETED, Kind.ROLLED_BACK})
MOST = 1_000_000  # bytes of a file
MOST_DIGEST = 32_000  # letters of its JSON in short
LONG: dict[str, Any] = {
    **dict.fromkeys(("timeline", "deeds", "plan", "stages", "again"), True),
    "parts": {"__all__": {"looks"}},
}  # what programs can ask for


class Enclosing:
    """Makes enclosures."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    async def enclose(self, notice: Notice) -> Enclosure | None:
        """Return the report of a rollout that has ended; nothing with other news.

        With pictures if that is small enough, else in Markdown, else nothing.

        Raises:
            NotFound, Unavailable: It cannot be read.
        """
        if notice.kind not in ENDS:
            return None
        told = await self._reporter.by_id(notice.rollout_id)
        return await asyncio.to_thread(_enclosure, told)


def _enclosure(told: Illustrated) -> Enclosure | None:
    for form in (Form.HTML, Form.MARKDOWN):
        content = write(told, form).encode()
        if len(content) <= MOST:
            return Enclosure(
                name=file_name(told.report, form),
                kind=form.media_type,
                content=content,
                digest=_digest(told.report),
            )
    return None


def _digest(report: Report) -> dict[str, JsonValue] | None:
    """Return the report without its course: what ended how, and on what evidence."""
    found: dict[str, JsonValue] = report.model_dump(mode="json", exclude=LONG)
    return found if len(str(found)) <= MOST_DIGEST else None
