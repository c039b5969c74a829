"""ABTestManager: experiments, who is in which arm, and who was seen there."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from random import SystemRandom
from secrets import randbits

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain import exposures
from domain.allocations import allocation_of, conclude, find, locked, reallocated, start, to_status
from domain.assignment import SPACE, point
from domain.database import Database, default_database
from domain.errors import Conflict, InvalidValue, NotFound
from domain.exposures import Exposure
from domain.fields import check_label, check_prompt, check_text, json_object, member
from domain.prompts import ExperimentStatus, Json, PromptExperiment, PromptVariant, instant
from domain.routing import claim_epoch, live_rollout, lock_prompt
from domain.split import shares_of, split_of
from domain.tables import ExperimentRow

__all__ = ["ABTestManager", "conclude"]

CHANCE = SystemRandom()


class ABTestManager:
    """Makes, finds, reallocates and ends experiments; assigns users to their arms.

    Every experiment id may also be the name of the one running experiment of that name; a paused
    one counts while none is running. Each method is one transaction. Who was recorded with what is
    `NotFound` once retention has deleted it; `get_exposure_counts` still tells how many.
    """

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def create_experiment(
        self,
        name: str,
        prompt_type: str,
        variants: Sequence[PromptVariant],
        traffic_split: Mapping[str, float] | None = None,
        metadata: Json | None = None,
        *,
        experiment_id: str | None = None,
        salt: int | None = None,
        rollout_id: str | None = None,
    ) -> PromptExperiment:
        """Start an experiment and route the prompt to it; the first variant is control.

        Idempotent by `experiment_id`. A `salt`, in [0, 2**32), fixes who is in which arm.

        Raises:
            VersioningError: There are fewer than two variants.
            InvalidValue: Versions repeat, or the split does not fit them or sum to 1.
            Conflict: A rollout is live on the prompt, or the id is another experiment's.
        """
        now = datetime.now(UTC)
        value = PromptExperiment(
            str(uuid7()) if experiment_id is None else experiment_id, name, prompt_type,
            list(variants), split_of(variants, given=traffic_split), now,
            metadata=json_object(metadata or {}, field="metadata"),
        )  # fmt: skip
        row = _row(value, salt=randbits(32) if salt is None else salt, rollout_id=rollout_id)
        async with self._database.transaction() as session:
            return _value(await start(session, row))

    async def get_experiment(self, experiment_id: str) -> PromptExperiment | None:
        """Return the experiment."""
        async with self._database.reading() as session:
            row = await find(session, experiment_id)
            return _value(row) if row else None

    async def list_experiments(
        self,
        name: str | None = None,
        prompt_type: str | None = None,
        status: str | None = None,
    ) -> list[PromptExperiment]:
        """Return the experiments, oldest first."""
        query = select(ExperimentRow).order_by(col(ExperimentRow.start_date), ExperimentRow.id)
        if name is not None:
            query = query.where(ExperimentRow.name == name)
        if prompt_type is not None:
            query = query.where(ExperimentRow.prompt_type == prompt_type)
        if status is not None:
            query = query.where(ExperimentRow.status == member(ExperimentStatus, status))
        async with self._database.reading() as session:
            return [_value(row) for row in await session.exec(query)]

    async def get_random_variant(self, experiment_id: str) -> str:
        """Draw a version by the experiment's shares, for nobody in particular.

        Raises:
            NotFound: There is no such experiment.
            Conflict: It is not running.
        """
        async with self._database.reading() as session:
            split = (await _running(session, experiment_id)).traffic_split
        return CHANCE.choices(list(split), list(split.values()))[0]

    async def get_variant_for_user(self, experiment_id: str, user_id: str) -> str:
        """Return the user's version, the same while that keeps its share, and record it once.

        Raises:
            NotFound: There is no such experiment.
            Conflict: It is not running. (`Router.assign` never raises; this call does.)
            InvalidValue: The user id is not a text that can be kept.
        """
        check_text(user_id, field="user_id")
        async with self._database.transaction() as session:
            row = await _running(session, experiment_id)
            arm = (await allocation_of(session, row)).arm_of(point(user_id, salt=row.salt))
            version: str = row.variants[arm]["version"]
            await exposures.record(session, row, [Exposure(user_id, version, row.epoch)])
            return version

    async def record_exposures(
        self, experiment_id: str, given: Sequence[tuple[str, str, int]]
    ) -> int:
        """Record at most 10 000 users, versions and epochs as they were served; return the new.

        For a process that assigns from memory, and says so in batches. Idempotent: a user counts
        once an epoch, with the version that was told first. Exposures of an epoch that ended more
        than ten minutes ago are dropped.

        Raises:
            NotFound: There is no such experiment.
            InvalidValue: The exposure of the index that is named has a user id that cannot be kept,
                or names a version or an epoch the experiment never had, or there are too many of
                them; nothing was recorded.
        """
        async with self._database.transaction() as session:
            row = await _kept(session, experiment_id)
            timely = await exposures.timely(session, row, given)
            return await exposures.record(session, row, timely)

    async def get_exposure_counts(
        self, experiment_id: str, *, epoch: int | None = None
    ) -> dict[str, int]:
        """Return how many users were first given each version in an epoch, the current one if None.

        All versions are named, those without users too; one row per version is read. Empty if there
        is no such experiment.
        """
        async with self._database.reading() as session:
            row = await find(session, experiment_id)
            if row is None:
                return {}
            wanted = row.epoch if epoch is None else epoch
            users = await exposures.counts(session, row.id, epoch=wanted)
            return {version: users.get(version, 0) for version in row.traffic_split}

    async def get_user_assignment(self, experiment_id: str, user_id: str) -> str | None:
        """Return the version the user was last recorded with; never assigns."""
        async with self._database.reading() as session:
            row = await find(session, experiment_id)
            seen = await exposures.latest(session, row, user_id=user_id) if row else {}
            return seen.get(user_id)

    async def get_experiment_assignments(self, experiment_id: str) -> dict[str, str]:
        """Return the version each recorded user was last recorded with."""
        async with self._database.reading() as session:
            row = await find(session, experiment_id)
            return await exposures.latest(session, row) if row else {}

    async def get_variant_distribution(self, experiment_id: str) -> dict[str, int]:
        """Return how many users were last recorded with each version."""
        async with self._database.reading() as session:
            row = await find(session, experiment_id)
            if row is None:
                return {}
            users = await exposures.distribution(session, row)
            return {version: users.get(version, 0) for version in row.traffic_split}

    async def update_experiment_status(
        self, experiment_id: str, status: str, end_date: datetime | None = None
    ) -> PromptExperiment:
        """Run, pause, complete or stop it; `end_date` is now unless given.

        Setting the status it has changes nothing.

        Raises:
            NotFound: There is no such experiment.
            InvalidValue: There is no such status.
            Conflict: It has ended and should go on, or belongs to a live rollout.
        """
        wanted = member(ExperimentStatus, status)
        async with self._database.transaction() as session:
            row = await locked(session, experiment_id)
            await _refuse_if_owned(session, row)
            if await to_status(session, row, status=wanted, end_date=instant(end_date)):
                await claim_epoch(session, row.name, row.prompt_type)
            return _value(row)

    async def reallocate(
        self, experiment_id: str, shares: Mapping[str, float], *, held: int | None = None
    ) -> int:
        """Give the versions new shares, moving the fewest users; return the prompt's epoch.

        A version not named gets nothing. Unchanged shares change nothing, the epoch included.

        Raises:
            NotFound: There is no such experiment.
            InvalidValue: A version is unknown, or the shares do not sum to 1.
            Fenced: The prompt is not at the epoch `held` any more.
            Conflict: The experiment has ended.
        """
        async with self._database.transaction() as session:
            row = await locked(session, experiment_id, held=held)
            split = shares_of(list(row.traffic_split), given=shares)
            return await reallocated(session, row, split=split)

    async def delete_experiment(self, experiment_id: str) -> bool:
        """Delete the experiment with its exposures; False if there is none.

        If the prompt was routed to it, everybody gets the production version again.

        Raises:
            Conflict: It belongs to a live rollout.
        """
        async with self._database.transaction() as session:
            if await find(session, experiment_id) is None:
                return False
            row = await locked(session, experiment_id)
            await _refuse_if_owned(session, row)
            if (await lock_prompt(session, row.name, row.prompt_type)).experiment_id == row.id:
                (await claim_epoch(session, row.name, row.prompt_type)).experiment_id = None
            await session.delete(row)
            return True


async def _running(session: AsyncSession, experiment_id: str) -> ExperimentRow:
    row = await find(session, experiment_id)
    if row is None:
        raise NotFound(f"Experiment not found: {experiment_id}")
    if row.status != ExperimentStatus.RUNNING:
        raise Conflict(f"Experiment {experiment_id} is not running (status: {row.status})")
    return row


async def _kept(session: AsyncSession, experiment_id: str) -> ExperimentRow:
    """Return the row, which nobody deletes before the transaction ends."""
    row = await find(session, experiment_id)
    if row is not None:
        row = await session.get(
            ExperimentRow, row.id,
            populate_existing=True, with_for_update={"read": True, "key_share": True},
        )  # fmt: skip
    if row is None:
        raise NotFound(f"Experiment not found: {experiment_id}")
    return row


async def _refuse_if_owned(session: AsyncSession, row: ExperimentRow) -> None:
    rollout = await live_rollout(session, row.name, row.prompt_type)
    if rollout is not None and rollout == row.rollout_id:
        raise Conflict(
            f"experiment {row.id} belongs to live rollout {rollout}: promote or roll it back"
        )


def _row(value: PromptExperiment, *, salt: int, rollout_id: str | None) -> ExperimentRow:
    check_prompt(value.name, value.prompt_type)
    check_label(value.experiment_id, field="experiment_id")
    for variant in value.variants:
        check_label(variant.version, field="version of a variant")
    if not 0 <= salt < SPACE:
        raise InvalidValue(f"salt must be in [0, 2**32), got {salt}")
    return ExperimentRow(
        id=value.experiment_id,
        name=value.name,
        prompt_type=value.prompt_type,
        status=value.status,
        variants=[json_object(variant.to_dict(), field="variants") for variant in value.variants],
        traffic_split=value.traffic_split,
        start_date=value.start_date,
        metrics=value.metrics,
        details=value.metadata,
        salt=salt,
        epoch=0,
        rollout_id=rollout_id,
    )


def _value(row: ExperimentRow) -> PromptExperiment:
    renamed = {"experiment_id": row.id, "metadata": row.details}
    return PromptExperiment.from_dict(row.model_dump() | renamed)
