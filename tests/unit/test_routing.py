"""Routing: epochs that fence, snapshots, and a router that always has an answer."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from domain.assignment import Allocation, point
from domain.database import Database
from domain.errors import Fenced
from domain.experiments import ABTestManager
from domain.prompts import ExperimentStatus, PromptVariant, VersionStatus
from domain.routing import Reason, Router, RoutingManager, RoutingSnapshot, Served, claim_epoch
from domain.versions import VersionManager

PROMPT = ("greeting", "system")
OLD, NEW = Served(version_id="v-1", version="1.0.0"), Served(version_id="v-2", version="1.0.1")
HALVES = Allocation.of([0.5, 0.5])
USERS = [f"user-{n}" for n in range(100)]


def snapshot(**changes: Any) -> RoutingSnapshot:
    split: dict[str, Any] = {
        "name": "greeting",
        "prompt_type": "system",
        "epoch": 7,
        "experiment_id": "e-1",
        "status": "running",
        "allocated": 5,
        "salt": 1,
        "starts": HALVES.starts,
        "arms": HALVES.arms,
        "variants": (OLD, NEW),
        "default": OLD,
    }
    return RoutingSnapshot.model_validate(split | changes)


async def story(database: Database) -> tuple[str, str]:
    """Two versions, the first in production, in an experiment; return both ids."""
    versions, experiments = VersionManager(database), ABTestManager(database)
    first = await versions.create_version(*PROMPT, "Hello", tags=["production"], version_id="v-1")
    second = await versions.create_version(*PROMPT, "Hi", version_id="v-2")
    variants = [PromptVariant(first.version, 0.5), PromptVariant(second.version, 0.5)]
    await experiments.create_experiment(*PROMPT, variants, experiment_id="e-1", salt=1)
    return first.version_id, second.version_id


class Watched(Router):
    """A router that says when it has refreshed."""

    def __init__(self, storage: Database, *, poll: timedelta) -> None:
        super().__init__(storage, poll=poll)
        self.refreshed = asyncio.Event()

    async def refresh(self) -> None:
        await super().refresh()
        self.refreshed.set()


async def claim(database: Database, held: int | None = None) -> int:
    async with database.transaction() as session:
        return (await claim_epoch(session, *PROMPT, held=held)).epoch


async def test_concurrent_claims_get_an_epoch_each(database: Database) -> None:
    claimed = await asyncio.gather(*(claim(database) for _ in range(20)))

    assert sorted(claimed) == list(range(1, 21))
    assert await RoutingManager(database).epochs() == {PROMPT: 20}


async def test_a_claim_with_an_old_epoch_is_fenced_and_changes_nothing(
    database: Database,
) -> None:
    for held in (0, 1, None):
        await claim(database, held)

    with pytest.raises(
        Fenced,
        match=r"^greeting\.system is at epoch 3, this writer holds 2:"
        r" somebody else has changed it since$",
    ):
        await claim(database, 2)
    assert await RoutingManager(database).epochs() == {PROMPT: 3}


async def test_an_undecided_prompt_has_no_snapshot(database: Database) -> None:
    assert await RoutingManager(database).snapshot(*PROMPT) is None
    await VersionManager(database).create_version(*PROMPT, "Hello")
    assert await RoutingManager(database).snapshot(*PROMPT) is None
    assert await RoutingManager(database).epochs() == {}


async def test_a_snapshot_says_all_that_serving_needs_and_survives_json(
    database: Database,
) -> None:
    await story(database)

    found = await RoutingManager(database).snapshot(*PROMPT)

    assert found == snapshot(epoch=2, allocated=2)
    assert RoutingSnapshot.model_validate_json(found.model_dump_json()) == found
    assert len(found.model_dump_json()) < 600


async def test_serving_and_the_manager_agree_about_every_user(sqlite: Database) -> None:
    await story(sqlite)
    experiments = ABTestManager(sqlite)
    await experiments.reallocate("e-1", {"1.0.0": 0.2, "1.0.1": 0.8})
    found = await RoutingManager(sqlite).snapshot(*PROMPT)
    assert found is not None

    for user in USERS[:30]:
        served = found.evaluate(user)
        assert served.version == await experiments.get_variant_for_user("e-1", user)
        assert (served.reason, served.epoch, served.experiment_id) == (Reason.SPLIT, 3, "e-1")


@pytest.mark.guarantee(12)
async def test_a_paused_experiment_splits_as_before(database: Database) -> None:
    await story(database)
    await ABTestManager(database).update_experiment_status("e-1", "paused")

    found = await RoutingManager(database).snapshot(*PROMPT)

    assert found == snapshot(epoch=3, allocated=2, status="paused")
    assert [found.evaluate(u) for u in USERS] == [snapshot(allocated=2).evaluate(u) for u in USERS]


@pytest.mark.parametrize("status", ["completed", "stopped"])
async def test_after_an_experiment_everybody_gets_production(sqlite: Database, status: str) -> None:
    _, second = await story(sqlite)
    await ABTestManager(sqlite).update_experiment_status("e-1", status)
    await VersionManager(sqlite).tag_version(second, "production")

    found = await RoutingManager(sqlite).snapshot(*PROMPT)

    assert found is not None
    served = found.evaluate("ada")
    assert (served.version_id, served.reason, served.epoch) == (second, Reason.DEFAULT, 4)
    assert served.experiment_id is None


@pytest.mark.parametrize(
    ("status", "metadata", "version"),
    [
        ("completed", {"winner": "1.0.1"}, "1.0.1"),
        ("completed", {"winner": "nobody"}, "1.0.0"),
        ("completed", {}, "1.0.0"),
        ("stopped", {"winner": "1.0.1"}, "1.0.0"),
    ],
)
async def test_without_production_a_completed_experiment_leaves_its_winner_else_control(
    sqlite: Database, status: str, metadata: dict[str, str], version: str
) -> None:
    variants = [PromptVariant("1.0.0", 0.5), PromptVariant("1.0.1", 0.5)]
    await ABTestManager(sqlite).create_experiment(*PROMPT, variants, metadata=metadata)
    await ABTestManager(sqlite).update_experiment_status("greeting", status)

    found = await RoutingManager(sqlite).snapshot(*PROMPT)

    assert found is not None
    assert found.default == Served(version_id=None, version=version)


async def test_a_deprecated_holder_of_the_production_tag_is_still_served(
    sqlite: Database,
) -> None:
    first, _ = await story(sqlite)
    await VersionManager(sqlite).update_status(first, VersionStatus.DEPRECATED)
    await ABTestManager(sqlite).delete_experiment("e-1")

    found = await RoutingManager(sqlite).snapshot(*PROMPT)

    assert found is not None
    assert found.default == OLD


@pytest.mark.parametrize(
    "changes",
    [
        {"starts": (), "arms": ()},
        {"starts": (1,), "arms": (0,)},
        {"starts": (0, 5), "arms": (0,)},
        {"starts": (0,), "arms": (2,)},
        {"starts": (0,), "arms": (-1,)},
        {"salt": -1},
        {"salt": 2**32},
    ],
)
def test_a_snapshot_that_could_not_be_served_is_refused_on_arrival(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError):
        snapshot(**changes)


def test_a_newer_writer_may_say_more_than_we_know() -> None:
    assert RoutingSnapshot.model_validate(snapshot().model_dump() | {"colour": 1}) == snapshot()


def test_a_router_only_takes_newer_snapshots(sqlite: Database) -> None:
    router = Router(sqlite)

    assert router.apply(snapshot(epoch=7)) is True
    assert router.apply(snapshot(epoch=7, status="stopped")) is False
    assert router.apply(snapshot(epoch=6, status="stopped")) is False
    assert router.assign(*PROMPT, "ada").reason is Reason.SPLIT
    assert router.apply(snapshot(epoch=8, status="stopped")) is True
    assert router.assign(*PROMPT, "ada").reason is Reason.DEFAULT


def test_a_router_assigns_as_the_snapshot_evaluates(sqlite: Database) -> None:
    router = Router(sqlite)
    router.apply(snapshot())

    for user in (*USERS, "ünï", "🎛️", "\ud800", ""):
        arm = HALVES.arm_of(point(user, salt=1))
        assert router.assign(*PROMPT, user) == snapshot().evaluate(user)
        assert router.assign(*PROMPT, user).version == (OLD, NEW)[arm].version


def test_what_is_not_known_is_the_callers_default(sqlite: Database) -> None:
    router = Router(sqlite)
    router.apply(snapshot(status=None, default=None))

    for prompt in (PROMPT, ("nobody", "system")):
        assert router.assign(*prompt, "ada").version is None
        served = router.assign(*prompt, "ada", default="1.2.3")
        assert (served.version, served.version_id, served.reason) == (
            "1.2.3",
            None,
            Reason.UNKNOWN,
        )


@pytest.mark.parametrize("user", [None, 7, b"ada", b"\xff", ["ada"], object()])
def test_a_user_id_that_is_no_text_gets_the_default_version(sqlite: Database, user: Any) -> None:
    router = Router(sqlite)
    router.apply(snapshot())
    router.apply(snapshot(name="farewell", default=None))

    served = router.assign(*PROMPT, user)
    without = router.assign("farewell", "system", user, default="1.2.3")

    assert (served.version, served.reason) == ("1.0.0", Reason.ERROR)
    assert (without.version, without.reason) == ("1.2.3", Reason.ERROR)


@pytest.mark.parametrize("name", [None, 7, ["greeting"], {}])
def test_a_name_that_is_no_text_is_unknown(sqlite: Database, name: Any) -> None:
    router = Router(sqlite)
    router.apply(snapshot())

    assert router.assign(name, name, "ada", default="x").reason is Reason.UNKNOWN


async def test_a_refresh_loads_what_has_changed(database: Database) -> None:
    router = Router(database)
    await story(database)
    await router.refresh()
    assert router.assign(*PROMPT, "ada").reason is Reason.SPLIT

    await ABTestManager(database).update_experiment_status("e-1", "stopped")
    assert router.assign(*PROMPT, "ada").reason is Reason.SPLIT
    await router.refresh()

    assert router.assign(*PROMPT, "ada").reason is Reason.DEFAULT


@pytest.mark.guarantee(14)
async def test_without_the_database_the_last_answer_stays_and_is_called_stale(
    tmp_path: Path,
) -> None:
    file, away = tmp_path / "rampart.db", tmp_path / "away.db"
    database = Database(f"sqlite:///{file}")
    await story(database)
    router = Router(database)
    await router.refresh()
    before = router.assign(*PROMPT, "ada")
    await database.dispose()

    file.rename(away)
    file.mkdir()
    await router.refresh()
    during = router.assign(*PROMPT, "ada")
    file.rmdir()
    away.rename(file)
    await router.refresh()
    after = router.assign(*PROMPT, "ada")

    await database.dispose()
    assert (during.version, during.reason) == (before.version, Reason.STALE)
    assert after == before


async def test_an_entered_router_keeps_itself_fresh_and_ends_cleanly(sqlite: Database) -> None:
    await story(sqlite)
    tasks = asyncio.all_tasks()

    async with Watched(sqlite, poll=timedelta(milliseconds=5)) as router:
        assert router.assign(*PROMPT, "ada").reason is Reason.SPLIT
        await ABTestManager(sqlite).update_experiment_status("e-1", ExperimentStatus.STOPPED)
        for _ in range(2):  # the first may have begun before the change
            router.refreshed.clear()
            await router.refreshed.wait()
        assert router.assign(*PROMPT, "ada").reason is Reason.DEFAULT

    assert asyncio.all_tasks() == tasks


async def test_a_router_can_be_left_at_any_moment(sqlite: Database) -> None:
    for pause in range(20):
        async with asyncio.timeout(10), Router(sqlite, poll=timedelta(0)):
            await asyncio.sleep(pause / 5000)


class Mistaken(Router):
    """Has a mistake in it, which is no outage."""

    async def refresh(self) -> None:
        raise ZeroDivisionError


async def test_a_router_that_dies_at_its_start_says_of_what(sqlite: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(Mistaken(sqlite).__aenter__(), timeout=30)
