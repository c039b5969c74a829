"""What users were served and what became of it, through OpenFeature."""

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.track import TrackingEventDetails, TrackingValue

from domain.database import Database
from domain.errors import Unavailable
from tests.house import USERS, House
from tests.serving.clients import ask, client_of
from tests.serving.stage import EXPERIMENT, FLAG, Scripted, split_house, until

ADA = EvaluationContext("ada")


async def test_what_is_tracked_counts_for_the_version_the_user_was_served(
    database: Database,
) -> None:
    house = await split_house(database)
    client = client_of(database)

    for user in USERS[:40]:
        ask(client, user)
        measured: dict[str, TrackingValue] = {"tokens": 7, "cost": 0.5, "model": "small"}
        client.track(FLAG, EvaluationContext(user), TrackingEventDetails(attributes=measured))
    api.shutdown()

    snapshot = await house.routing.snapshot("greeting", "system")
    assert snapshot
    given = [snapshot.evaluate(user).version for user in USERS[:40]]
    for number in ("1.0.0", "1.1.0"):
        version = await house.get(number)
        counted = await house.metrics.get_metrics(version.version_id)
        assert counted.total_uses == counted.success_count == given.count(number)
        event = (await house.metrics.get_events(version.version_id, limit=1))[0]
        assert (event.tokens, event.numbers, event.metadata) == (
            7,
            {"cost": 0.5},
            {"model": "small"},
        )
        assert (event.experiment_id, event.user_id in USERS) == (EXPERIMENT, True)


async def test_every_user_who_is_served_is_recorded_once(database: Database) -> None:
    house = await split_house(database)
    client = client_of(database)

    for user in USERS[:40] * 3:
        ask(client, user)
    api.shutdown()

    counts = await house.experiments.get_exposure_counts(EXPERIMENT)
    assert sum(counts.values()) == 40


async def test_a_failure_after_the_rollback_counts_for_what_the_user_had(
    sqlite: Database,
) -> None:
    house = await split_house(sqlite)
    intake = Scripted()
    client = client_of(sqlite, intake)
    treated = next(user for user in USERS if ask(client, user).variant == "1.1.0")

    await house.experiments.update_experiment_status(EXPERIMENT, "stopped")
    await until(lambda: ask(client, "somebody").reason == "DEFAULT")
    client.track(
        "failure", EvaluationContext(treated), TrackingEventDetails(attributes={"flag": FLAG})
    )
    await until(lambda: bool(intake.taken))

    candidate = await house.get("1.1.0")
    assert [(e.version_id, e.success) for e in intake.taken] == [(candidate.version_id, False)]


async def test_a_version_that_the_caller_kept_needs_no_user(sqlite: Database) -> None:
    await split_house(sqlite)
    intake = Scripted()
    client = client_of(sqlite, intake)
    kept = ask(client, "ada").flag_metadata["version_id"]

    details = TrackingEventDetails(0, {"flag": FLAG, "version_id": kept, "event_id": "e-7"})
    client.track("outcome", tracking_event_details=details)
    await until(lambda: bool(intake.taken))

    event = intake.taken[0]
    assert (event.version_id, event.event_id, event.user_id) == (kept, "e-7", None)
    assert event.success is False


@pytest.mark.parametrize(
    ("name", "user", "attributes", "told"),
    [
        ("outcome", "ada", {}, "'outcome' is no flag that serves a registered version"),
        (FLAG, None, {}, "it needs a targeting key, or the attribute 'version_id'"),
        (FLAG, "ada", {"success": "yes"}, "success must be True or False, 1 or 0, got 'yes'"),
        (FLAG, "ada", {"user_rating": 9}, "User rating must be between 1.0 and 5.0, got 9"),
        (FLAG, "ada", {"bad name": 9}, "the name of a number must be"),
    ],
)
async def test_what_cannot_be_counted_is_dropped_told_and_never_raised(
    sqlite: Database, caplog: pytest.LogCaptureFixture,
    name: str, user: str | None, attributes: dict[str, TrackingValue], told: str,
) -> None:  # fmt: skip
    await House(sqlite).furnish()
    intake = Scripted()
    client = client_of(sqlite, intake)

    details = TrackingEventDetails(attributes=attributes)
    client.track(name, EvaluationContext(user), details)
    await until(lambda: told in caplog.text)

    assert intake.taken == []


async def test_an_intake_that_is_away_does_not_reach_the_application(sqlite: Database) -> None:
    await House(sqlite).furnish()
    intake = Scripted(Unavailable("away"), Unavailable("away"))
    client = client_of(sqlite, intake)

    client.track(FLAG, ADA)
    await until(lambda: bool(intake.taken))

    assert len({tuple(ids) for ids in intake.asked}) == 1
