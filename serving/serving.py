"""Serving: which version a user gets, from memory, and what became of it, in the background."""

import atexit
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from domain import events
from domain.broadcast.source import updates_of
from domain.database import Database, Prompt, default_database
from domain.errors import InvalidValue, Unavailable
from domain.intake.direct import DirectIntake
from domain.intake.intake import Intake
from domain.metrics import MetricsCollector
from domain.prompts import MetricEvent, PromptVersion
from domain.recorder import ExposureRecorder
from domain.routing import POLL
from domain.segments.rule import Attributes
from domain.snapshot import Assignment
from domain.wire import Event, new_event_id
from serving.background import Background
from serving.outbox import CAPACITY, EVERY, Outbox
from serving.router import TemplateRouter

PATIENCE = timedelta(seconds=10)


class Serving:
    """Serves the versions of every prompt from the memory of this process.

    Routing, templates, exposures and events are kept up in a thread with an event loop of its own,
    so that it is used alike from synchronous and asynchronous applications, by any thread. What is
    asked while a user waits (`assign`, `version`, `report`) is answered from memory and never
    raises. One process needs one; start it after a fork, not before.
    """

    def __init__(
        self,
        storage: Database | None = None,
        *,
        redis_url: str = "",
        intake: Intake | None = None,
        poll: timedelta = POLL,
        every: timedelta = EVERY,
        capacity: int = CAPACITY,
    ) -> None:
        """Take where to ask and whom to tell.

        Args:
            storage: The database, by default that of `RAMPART_DATABASE_URL`.
            redis_url: Where changes are told at once, `redis://host:6379/0`; without it PostgreSQL
                tells them, and SQLite is polled.
            intake: Takes the events, by default the database; or a gateway (`RemoteIntake`).
            poll: How often the routing is asked for, > 0.
            every: How long an event or an exposure waits until it is sent, > 0.
            capacity: How many of each may wait, > 0; for more there is no room (`dropped`).
        """
        self._database = storage or default_database()
        self._redis_url = redis_url
        self._given = intake
        self._poll = poll
        self._every = every
        self._capacity = capacity
        self._changed: Callable[[Prompt], None] = _ignore
        self._stale: Callable[[bool], None] = _ignore
        self._background: Background | None = None
        self._failure = "the database could not be asked"
        self._fill()

    def watch(self, *, changed: Callable[[Prompt], None], stale: Callable[[bool], None]) -> None:
        """Tell of prompts that serve something else, and when the database goes and comes back.

        Both are called in the background thread; what they do delays it.
        """
        self._changed, self._stale = changed, stale

    def start(self, *, patience: timedelta = PATIENCE) -> None:
        """Load what is served, and keep it fresh until `stop`. Idempotent.

        Raises:
            Unavailable: The database could not be asked. It goes on trying, and so do reports.
        """
        if self._background and self._background.alive:
            return
        self._fill()
        self._background = Background(self._open, name="rampart-serving")
        atexit.register(self.stop)
        self._background.start(patience=patience)
        if not self.ready:
            raise Unavailable(f"{self._failure}; still trying")

    def stop(self, *, patience: timedelta = PATIENCE) -> bool:
        """Send what waits, and end; return whether nothing of it was lost. Idempotent."""
        atexit.unregister(self.stop)
        if self._background is None:
            return True
        before = self.dropped
        ended = self._background.stop(patience=patience)
        return ended and self.dropped == before

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def assign(
        self,
        name: str,
        prompt_type: str,
        user_id: str,
        *,
        default: str | None = None,
        attributes: Attributes | None = None,
    ) -> Assignment:
        """Return what the user is served, and have it recorded. Never raises, never waits."""
        router, recorder = self._router, self._recorder
        served = router.assign(name, prompt_type, user_id, default=default, attributes=attributes)
        recorder.note(served, user_id)
        return served

    def peek(
        self, name: str, prompt_type: str, user_id: str, *, attributes: Attributes | None = None
    ) -> Assignment:
        """Return what the user would be served, and record nothing. Never raises, never waits."""
        return self._router.assign(name, prompt_type, user_id, attributes=attributes)

    def version(self, assignment: Assignment) -> PromptVersion | None:
        """Return the version that was assigned; None if it was never registered."""
        return self._router.version(assignment.version_id)

    def report(
        self,
        assignment: Assignment,
        user_id: str | None = None,
        *,
        success: bool = True,
        response_time: float | None = None,
        tokens: int | None = None,
        user_rating: float | None = None,
        numbers: Mapping[str, float] | None = None,
        metadata: Mapping[str, Any] | None = None,
        event_id: str | None = None,
    ) -> bool:
        """Have one use counted soon for the version that was assigned. Never raises, never waits.

        As `MetricsCollector.record_event`. What cannot be counted (a value out of its range, a
        version that was never registered, no room) is dropped, logged, and False is returned.
        """
        try:
            event = MetricEvent(
                assignment.version_id or "", datetime.now(UTC), success, response_time, tokens,
                user_rating, dict(metadata or {}), event_id or new_event_id(), user_id,
                assignment.experiment_id, dict(numbers or {}),
            )  # fmt: skip
            events.check(event, now=event.timestamp)
        except (InvalidValue, TypeError) as error:
            self.drop(str(error))
            return False
        return self._outbox.put(_to_send(event))

    def drop(self, reason: str) -> None:
        """Note an event that cannot be counted; the log says so."""
        self._outbox.drop(1, reason=reason)

    @property
    def ready(self) -> bool:
        """Whether it is known what is served."""
        return self._router.loaded

    @property
    def waiting(self) -> int:
        """How many events are not sent yet."""
        return self._outbox.waiting

    @property
    def dropped(self) -> int:
        """How many events and exposures will never be counted."""
        return self._outbox.dropped + self._recorder.dropped

    def _fill(self) -> None:
        """Make what belongs to one event loop, anew for each that is started."""
        intake = self._given or DirectIntake(MetricsCollector(self._database))
        self._outbox = Outbox(intake, capacity=self._capacity, every=self._every)
        self._recorder = ExposureRecorder(
            self._database, capacity=self._capacity, every=self._every
        )
        self._router = TemplateRouter(
            self._database,
            poll=self._poll,
            updates=updates_of(self._database, redis_url=self._redis_url),
            stale=lambda stale: self._stale(stale),
        )
        self._router.listen(lambda new: self._changed((new.name, new.prompt_type)))

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        try:
            await self._probe()
            async with self._recorder, self._outbox, self._router:
                yield
        finally:
            await self._database.dispose()

    async def _probe(self) -> None:
        try:
            await self._database.probe()
        except Unavailable as error:
            self._failure = str(error)


def _to_send(event: MetricEvent) -> Event:
    return Event(
        version_id=event.version_id,
        event_id=event.event_id or new_event_id(),
        user_id=event.user_id,
        experiment_id=event.experiment_id,
        success=event.success,
        response_time=event.response_time,
        tokens=event.tokens,
        user_rating=event.user_rating,
        numbers=event.numbers,
        metadata=event.metadata,
        occurred_at=event.timestamp,
    )


def _ignore(_: object) -> None:
    pass
