"""MonitorManager: finds what a monitor is to watch, and looks at it."""

from collections import defaultdict
from collections.abc import Sequence, Set
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from domain import cells, events
from domain.cells import Cell
from domain.database import Database, default_database
from domain.errors import NotFound
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.monitors import alerts
from domain.monitors.alerts import Look, Subject
from domain.monitors.marks import Mark, Sighting, Tally
from domain.monitors.plan import P95, MonitorPlan
from domain.prompts import PromptExperiment
from domain.versions import VersionManager

RECENT = 1000  # newest raw events of a version that the first look reads, to know its window


class MonitorManager:
    """The monitor's eyes. It only reads, so every call may be repeated."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()
        self._versions = VersionManager(self._database)
        self._experiments = ABTestManager(self._database)
        self._metrics = MetricsCollector(self._database)

    async def open(self, plan: MonitorPlan) -> tuple[Subject, ...]:
        """Return the versions to watch; ids that are not registered may yet report events.

        Raises:
            NotFound: There is no such experiment, or none of its versions exists.
        """
        async with self._database.reading():
            if plan.experiment is not None:
                return await self._variants(plan.experiment)
            return tuple([await self._subject(version_id) for version_id in plan.versions])

    async def look(
        self,
        plan: MonitorPlan,
        subjects: Sequence[Subject],
        at: datetime,
        *,
        base: Mark | None = None,
        before: Mark | None = None,
        open_: Set[str] = frozenset(),
    ) -> Look:
        """Read what is counted `at` the monitor's instant and judge it.

        Counts are read from cells, one row a metric. The first look alone also reads raw events, at
        most the newest 1 000 of a version, to know what came before its window began.
        """
        async with self._database.reading() as session:
            mark = await _counted(session, plan, subjects, at)
            first = before is None and plan.window is not None
            earlier = await self._earlier(plan, subjects, mark) if first else None
        look = alerts.judge(plan, subjects, mark, base=earlier or base, before=before, open_=open_)
        return look.model_copy(update={"base": earlier})

    async def _variants(self, experiment_id: str) -> tuple[Subject, ...]:
        experiment = await self._experiments.get_experiment(experiment_id)
        if experiment is None:
            raise NotFound(f"experiment {experiment_id!r} does not exist")
        found = [
            version
            for variant in experiment.variants
            if (version := await self._version_of(experiment, variant.version))
        ]
        if not found:
            raise NotFound(f"experiment {experiment_id!r} has no variant whose version exists")
        return tuple(
            Subject(version_id=id_, label=label, experiment_id=experiment.experiment_id)
            for id_, label in found
        )

    async def _version_of(
        self, experiment: PromptExperiment, number: str
    ) -> tuple[str, str] | None:
        name, prompt_type = experiment.name, experiment.prompt_type
        version = await self._versions.get_version(name, prompt_type, number)
        return (version.version_id, f"{name}.{prompt_type} {number}") if version else None

    async def _subject(self, version_id: str) -> Subject:
        found = await self._versions.get_version_by_id(version_id)
        label = f"{found.name}.{found.prompt_type} {found.version}" if found else version_id
        return Subject(version_id=version_id, label=label)

    async def _earlier(
        self, plan: MonitorPlan, subjects: Sequence[Subject], mark: Mark
    ) -> Mark | None:
        """Return what was counted before the window of the first look."""
        if plan.window is None:
            return None
        start, of = mark.at - plan.window, {}
        for subject in subjects:
            recent = await self._recent(plan, subject, start)
            seen = mark.of[subject.version_id]
            left = {name: seen.tallies[name].since(recent.get(name)) for name in seen.tallies}
            of[subject.version_id] = Sighting(tallies=left)
        return Mark(at=start, of=of)

    async def _recent(
        self, plan: MonitorPlan, subject: Subject, start: datetime
    ) -> dict[str, Tally]:
        found = await self._metrics.get_events(subject.version_id, start, limit=RECENT)
        values: defaultdict[str, list[float]] = defaultdict(list)
        for event in found:
            if subject.experiment_id in ("", event.experiment_id):
                for metric, value in events.measurements(event).items():
                    values[metric].append(value)
        return {
            metric: _tally(plan, metric, Cell.of(metric, of, last_at=start))
            for metric, of in values.items()
        }


async def _counted(
    session: AsyncSession, plan: MonitorPlan, subjects: Sequence[Subject], at: datetime
) -> Mark:
    """Return what the cells hold of what is judged, the epochs of an experiment together."""
    found = await cells.load(
        session,
        version_id=[subject.version_id for subject in subjects],
        experiment_id=sorted({subject.experiment_id for subject in subjects}),
        metric=sorted({events.SUCCESS, *(condition.source for condition in plan.judged)}),
    )
    known: defaultdict[str, defaultdict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))
    for key, cell in found.items():
        of_version = known[key.version_id]
        of_version[key.metric] = of_version[key.metric].merge(cell)
    return Mark(
        at=at,
        of={
            subject.version_id: Sighting(
                tallies={
                    metric: _tally(plan, metric, cell)
                    for metric, cell in known[subject.version_id].items()
                },
                active_at=known[subject.version_id][events.SUCCESS].last_at,
            )
            for subject in subjects
        },
    )


def _tally(plan: MonitorPlan, metric: str, cell: Cell) -> Tally:
    """Return what is judged of a cell: successes whole, a histogram only if a quantile needs it."""
    needed = any(c.metric == P95 and c.source == metric for c in plan.judged)
    counts = cell.histogram.to_json() if needed else {}
    total = round(cell.total) if metric == events.SUCCESS else cell.total
    return Tally(n=cell.n, total=total, counts=counts)
