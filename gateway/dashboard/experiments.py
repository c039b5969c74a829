"""The pages of experiments: all of them, and one."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import yaml
from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import Response

from control.connection import Unreachable
from control.experiments import ExperimentDescription, NoExperiment, Verb
from domain.database import Database
from domain.errors import NotFound, RampartError
from domain.paging import LAST
from domain.trials.archive import State, TrialArchive
from domain.trials.findings import Trial
from gateway.dashboard import visit
from gateway.dashboard.exhibit import Exhibit, is_of
from gateway.dashboard.forms import Chosen, Refused, answered, show
from gateway.dashboard.pages import Pages, place
from gateway.dashboard.silence import Silence
from gateway.operators import Flag, Holder, Operators, prompt_of

PLACE = f"{visit.ROOT}/experiments"

Text = Annotated[str, Query(max_length=400)]
Id = Annotated[str, Query(alias="id", max_length=100)]
Number = Annotated[int, Query(ge=1, le=LAST)]


class ExperimentPages:
    """Shows and steers experiments; shows them while Temporal is away, too."""

    def __init__(self, pages: Pages, operators: Operators, database: Database) -> None:
        self._pages = pages
        self._operators = operators
        self._archive = TrialArchive(database)
        self._silence = Silence()

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(include_in_schema=False)
        found.get(PLACE)(self.list)
        found.get(f"{PLACE}/{{flag:path}}")(self.look)
        found.post(f"{PLACE}/{{flag:path}}/{{verb}}")(self.order)
        return found

    async def list(
        self, request: Request, q: Text = "", state: State | None = None, page: Number = 1
    ) -> Response:
        """Show experiments, live ones first; Temporal is not asked."""
        found = await self._archive.trials(state=state, text=q.strip(), number=page)
        return self._pages.show(
            request, "experiments.html", found=found, q=q, state=state, states=list(State)
        )

    async def look(self, request: Request, flag: Flag, trial_id: Id = "") -> Response:
        """Show the latest experiment of a prompt, or another one by its id."""
        return await self._page(request, flag, trial_id)

    async def order(
        self,
        request: Request,
        flag: Flag,
        verb: Verb,
        holder: Holder,
        given: Annotated[Chosen, Form()],
    ) -> Response:
        """Send a verb by the name of who is logged in, and show what came of it."""
        try:
            given.refuse_unless_meant()
            control = await self._operators.experiments()
            answer = await control.order(
                verb,
                *prompt_of(flag),
                version=given.version,
                reason=given.reason,
                by=holder.name,
                key=given.key,
            )
        except RampartError as error:
            return await self._page(request, flag, refused=Refused.by(error, given.reason))
        return answered(f"{PLACE}/{place(flag)}", answer.said)

    async def _page(
        self, request: Request, flag: str, trial_id: str = "", *, refused: Refused | None = None
    ) -> Response:
        name, prompt_type = prompt_of(flag)
        others = await self._archive.of_prompt(name, prompt_type)
        trial = await self._chosen(flag, trial_id, others)
        latest = trial.id == others[0].id  # the only one that Temporal may still know
        told, silent = await self._ask(name, prompt_type) if latest else (None, "")
        exhibit = Exhibit(
            trial=trial,
            looks=await self._archive.looks(trial.id),
            split=await self._archive.split(trial.id),
            decisions=await self._archive.decisions(trial.id),
            others=others,
            told=told if told and is_of(told, trial) else None,
            silent=silent,
        )
        plates = await asyncio.to_thread(exhibit.plates)
        written = yaml.safe_dump(trial.plan.model_dump(mode="json"), sort_keys=False)
        return await show(
            self._pages,
            request,
            "experiment.html",
            refused=refused,
            shown=exhibit,
            plates=plates,
            written=written,
        )

    async def _chosen(self, flag: str, id_: str, others: Sequence[Trial]) -> Trial:
        if id_:
            found = await self._archive.get(id_)
            if found.prompt == flag:
                return found
            raise NotFound(f"experiment {id_!r} is of {found.prompt}, not of {flag}")
        if others:
            return others[0]
        told, silent = await self._ask(*prompt_of(flag))
        if silent or told is None:
            raise NotFound(f"no experiment on {flag} is known: start one with `rampart experiment`")
        why = told.failure or "; ".join(told.stuck) or "it waits for a worker to open it"
        raise NotFound(f"the experiment on {flag} is {told.status} and was not opened: {why}")

    async def _ask(self, name: str, prompt_type: str) -> tuple[ExperimentDescription | None, str]:
        """Return what Temporal says, or why it says nothing."""
        try:
            async with self._silence.noted():
                return await (await self._operators.experiments()).describe(name, prompt_type), ""
        except NoExperiment:
            return None, ""
        except Unreachable as error:
            return None, str(error)
