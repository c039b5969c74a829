"""Makes reports from the database; Temporal is not asked."""

from domain.database import Database
from domain.errors import NotFound
from domain.rollouts import RolloutManager
from domain.trials.manager import TrialManager
from reports.experiments import ExperimentReports
from reports.illustrated import Illustrated
from reports.rollouts import RolloutReports


class Reporter:
    """Finds what is meant, and reports it."""

    def __init__(self, storage: Database, *, ui: str = "", namespace: str = "default") -> None:
        """Take where to look; `ui` is Temporal's web UI, for links."""
        self._rollouts = RolloutManager(storage)
        self._trials = TrialManager(storage)
        self.rollouts = RolloutReports(storage, ui=ui, namespace=namespace)
        self.experiments = ExperimentReports(storage, ui=ui, namespace=namespace)

    async def latest(self, name: str, prompt_type: str) -> Illustrated:
        """Report the prompt's latest rollout or experiment.

        Raises:
            NotFound: It never had one.
        """
        rollouts = await self._rollouts.list(name, prompt_type, limit=1)
        trials = await self._trials.list(name, prompt_type, limit=1)
        if rollouts and not (trials and trials[0].opened_at > rollouts[0].opened_at):
            return await self.rollouts.report(rollouts[0])
        if trials:
            return await self.experiments.report(trials[0])
        raise NotFound(
            f"no rollout and no experiment of {name}.{prompt_type} is known:"
            " start one with `rampart start`"
        )

    async def by_id(self, wanted: str) -> Illustrated:
        """Report the rollout or the experiment with that id.

        Raises:
            NotFound: There is neither.
        """
        try:
            rollout = await self._rollouts.get(wanted)
        except NotFound:
            try:
                trial = await self._trials.get(wanted)
            except NotFound:
                raise NotFound(f"no rollout and no experiment has the id {wanted!r}") from None
            return await self.experiments.report(trial)
        return await self.rollouts.report(rollout)
