"""The way to Temporal, gone when it is first needed."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

from temporalio.client import Client, Interceptor

from control.connection import Unreachable, connect
from control.experiments import ExperimentControl
from control.monitors import MonitorControl
from control.picture import Viewer
from control.rollouts import Control
from control.segments import RingsControl
from domain.database import Database
from domain.rollouts import RolloutManager

REST = timedelta(seconds=2)  # before Temporal is looked for again


class Temporal:
    """The verbs of control; connects when they are first needed."""

    def __init__(
        self,
        database: Database,
        *,
        queue: str,
        ui: str = "",
        interceptors: Sequence[Interceptor] = (),
    ) -> None:
        """Take what the verbs need besides; see `Viewer` and `connect`."""
        self._task_queue = queue
        self._ui = ui
        self._database = database
        self._leader = RolloutManager(database).leader
        self._interceptors = interceptors
        self._client: Client | None = None
        self._viewer: Viewer | None = None
        self._failure: Unreachable | None = None
        self._failed_at = 0.0
        self._connecting = asyncio.Lock()

    async def rollouts(self) -> Control:
        """Return the verbs for rollouts."""
        client = await self._connected()
        return Control(client, task_queue=self._task_queue, leader=self._leader)

    async def experiments(self) -> ExperimentControl:
        """Return the verbs for experiments."""
        return ExperimentControl(await self._connected(), task_queue=self._task_queue)

    async def monitors(self) -> MonitorControl:
        """Return the verbs for monitors."""
        return MonitorControl(await self._connected(), task_queue=self._task_queue)

    async def rings(self) -> RingsControl:
        """Return the verbs for segmented rollouts."""
        return RingsControl(await self._connected(), task_queue=self._task_queue)

    async def viewer(self) -> Viewer:
        """Return what takes pictures of rollouts."""
        client = await self._connected()
        if self._viewer is None:  # one for all requests: it remembers what checks rested on
            self._viewer = Viewer(client, self._database, queue=self._task_queue, ui=self._ui)
        return self._viewer

    async def _connected(self) -> Client:
        async with self._connecting:
            if self._client is None:
                rested = monotonic() - self._failed_at >= REST.total_seconds()
                if self._failure is not None and not rested:
                    raise self._failure
                try:
                    self._client = await connect(interceptors=self._interceptors)
                except Unreachable as error:
                    self._failure, self._failed_at = error, monotonic()
                    raise
            return self._client
