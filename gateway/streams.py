"""`GET /v1/changes`: server-sent events, one per prompt that serves something else from now on.

They are those of OFREP too (its ADR 8): told `refetchEvaluation`, a provider asks for all flags
again. A stream's id names the epochs of all prompts together, the same at every gateway: who comes
back with another is told of every prompt.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from http import HTTPStatus
from time import monotonic, time
from typing import Any
from urllib.parse import urlencode

from sse_starlette import ServerSentEvent

from domain.errors import Unavailable
from domain.routing import Router
from domain.snapshot import RoutingSnapshot
from domain.tokens import Token
from gateway.guard import Guard
from gateway.limits import Limits
from gateway.problems import RETRY, Problem, retry_after

PATH = "/v1/changes"
INACTIVE_S = 120  # after which a sleeping page's provider is to hang up
CAUGHT_UP_S = 0.1  # how long one look at the database is good for

Prompt = tuple[str, str]


class Subscription:
    """What one client has not been told yet; of each prompt, the latest."""

    def __init__(self) -> None:
        self._untold: dict[Prompt, RoutingSnapshot] = {}
        self._woken = asyncio.Event()

    def tell(self, snapshot: RoutingSnapshot) -> None:
        """Have it told."""
        self._untold[snapshot.name, snapshot.prompt_type] = snapshot
        self._woken.set()

    async def next(self) -> Sequence[RoutingSnapshot]:
        """Wait for changes and return them."""
        await self._woken.wait()
        self._woken.clear()
        told, self._untold = self._untold, {}
        return list(told.values())


class Streams:
    """Tells clients of changes, each as fast as it reads: what comes meanwhile is told at once."""

    def __init__(self, router: Router, guard: Guard, *, limits: Limits) -> None:
        self._router = router
        self._guard = guard
        self._limit = limits.streams
        self._heartbeat_s = limits.heartbeat.total_seconds()
        self._subscriptions: set[Subscription] = set()
        self._version = ""
        self._changed_at = int(time())
        self._looked_at = -float("inf")
        self._looking = asyncio.Lock()
        router.listen(self._heard)

    @property
    def open(self) -> int:
        """How many clients follow."""
        return len(self._subscriptions)

    @property
    def version(self) -> str:
        """The epochs of all prompts in one short text."""
        if not self._version:
            held = self._router.snapshots
            epochs = sorted((prompt, snapshot.epoch) for prompt, snapshot in held.items())
            self._version = blake2b(json.dumps(epochs).encode(), digest_size=8).hexdigest()
        return self._version

    async def offer(self, token: Token) -> dict[str, Any]:
        """Return what a bulk evaluation says of the stream that belongs to it."""
        ticket = await self._guard.ticket(token)
        query = urlencode({"since": self.version} | ({"ticket": ticket} if ticket else {}))
        endpoint = {"requestUri": f"{PATH}?{query}"}
        stream = {"type": "sse", "endpoint": endpoint, "inactivityDelaySec": INACTIVE_S}
        return {"eventStreams": [stream], "metadata": {"version": self.version}}

    async def catch_up(self, version: str) -> None:
        """See to it that what another gateway has told of is known here."""
        async with self._looking:
            if version != self.version and monotonic() - self._looked_at >= CAUGHT_UP_S:
                await self._router.refresh()
                self._looked_at = monotonic()

    def follow(self, token: Token, *, since: str | None) -> AsyncIterator[ServerSentEvent]:
        """Return the events for one client.

        Args:
            token: Of who follows; the stream ends with it.
            since: The version the client has; None if it has none, and wants changes from now on.

        Raises:
            Problem: 503 if too many follow already.
        """
        if self.open >= self._limit:
            detail = f"{self._limit} clients follow changes already"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=retry_after(RETRY))
        return self._follow(token, since=since)

    async def _follow(self, token: Token, *, since: str | None) -> AsyncIterator[ServerSentEvent]:
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            if since is not None and since != self.version:
                for snapshot in self._router.snapshots.values():
                    subscription.tell(snapshot)
            else:
                yield ServerSentEvent(data='{"type":"connected"}', id=self.version)
            while await self._still(token):
                for event in await self._next(subscription):
                    yield event
        finally:
            self._subscriptions.discard(subscription)

    async def _still(self, token: Token) -> bool:
        try:
            return await self._guard.is_live(token)
        except Unavailable:
            return True

    async def _next(self, subscription: Subscription) -> Sequence[ServerSentEvent]:
        """Return the next events; only the last has an id, for then everything was told."""
        with suppress(TimeoutError):
            told = await asyncio.wait_for(subscription.next(), self._heartbeat_s)
            *before, last = map(self._data, told)
            events = [ServerSentEvent(data=data, event="message") for data in before]
            return [*events, ServerSentEvent(data=last, event="message", id=self.version)]
        return [ServerSentEvent(comment="alive")]

    def _data(self, snapshot: RoutingSnapshot) -> str:
        told = {
            "type": "refetchEvaluation",
            "etag": self.version,
            "lastModified": self._changed_at,
            "flag": f"{snapshot.name}.{snapshot.prompt_type}",
            "epoch": snapshot.epoch,
        }
        return json.dumps(told)

    def _heard(self, snapshot: RoutingSnapshot) -> None:
        self._version = ""
        self._changed_at = int(time())
        for subscription in self._subscriptions:
            subscription.tell(snapshot)
