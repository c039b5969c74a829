"""Serving without OpenFeature: assigned from memory, recorded behind, and nothing lost."""

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from domain import broker
from domain.broadcast.publisher import Publisher
from domain.database import Database
from domain.errors import Unavailable
from domain.routing import Reason
from serving import Serving
from serving.recent import Recent
from tests.house import USERS, House
from tests.serving.stage import EXPERIMENT, SOON, Scripted, split_house, until

ROOT = Path(__file__).parents[2]
LATE = timedelta(hours=1)
PROMPT = ("greeting", "system")

FORGETFUL = """
import sys
from domain import broker
from domain.broadcast.publisher import Publisher
from domain.database import Database
from serving import Serving

serving = Serving(Database(sys.argv[1]))
serving.start()
for number in range(200):
    served = serving.assign("greeting", "system", f"user-{number}")
    serving.report(served, f"user-{number}")
"""


async def test_what_is_assigned_is_as_the_snapshot_says_and_recorded_once(
    database: Database,
) -> None:
    house = await split_house(database)
    snapshot = await house.routing.snapshot(*PROMPT)
    assert snapshot

    with Serving(database) as serving:
        served = [serving.assign(*PROMPT, user) for user in USERS]
        again = [serving.assign(*PROMPT, user) for user in USERS]

    assert served == again == [snapshot.evaluate(user) for user in USERS]
    counts = await house.experiments.get_exposure_counts(EXPERIMENT)
    assert sum(counts.values()) == len(USERS)


async def test_stopping_loses_nothing_and_counts_nothing_twice(database: Database) -> None:
    house = await split_house(database)

    with Serving(database, every=SOON) as serving:
        for user in USERS:
            assert serving.report(serving.assign(*PROMPT, user), user, event_id=f"e-{user}")
        for user in USERS[:100]:
            serving.report(serving.assign(*PROMPT, user), user, event_id=f"e-{user}")

    uses = [
        (await house.metrics.get_metrics((await house.get(number)).version_id)).total_uses
        for number in ("1.0.0", "1.1.0")
    ]
    assert sum(uses) == len(USERS)
    assert (serving.waiting, serving.dropped) == (0, 0)


async def test_a_script_that_forgets_to_stop_loses_nothing_either(database: Database) -> None:
    house = House(database)
    await house.furnish()
    url = database.url.render_as_string(hide_password=False)

    script = [sys.executable, "-c", FORGETFUL, url]
    await asyncio.to_thread(subprocess.run, script, cwd=ROOT, check=True, timeout=60)

    version = await house.get("1.0.0")
    assert (await house.metrics.get_metrics(version.version_id)).total_uses == 200


async def test_many_threads_share_one(sqlite: Database) -> None:
    await split_house(sqlite)
    intake = Scripted()

    with Serving(sqlite, intake=intake, every=SOON) as serving, ThreadPoolExecutor(8) as threads:

        def serve(user: str) -> bool:
            return serving.report(serving.assign(*PROMPT, user), user)

        taken = list(threads.map(serve, USERS))

    assert all(taken)
    assert sorted(event.user_id or "" for event in intake.taken) == sorted(USERS)


async def test_a_report_of_what_was_never_registered_is_dropped(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with Serving(sqlite, intake=Scripted()) as serving:
        served = serving.assign("nobody", "system", "ada", default="the default")
        taken = serving.report(served, "ada")

    assert (served.version, served.reason, taken) == ("the default", Reason.UNKNOWN, False)
    assert "1 events dropped: version_id must be" in caplog.text


@pytest.mark.parametrize("wrong", [{"numbers": 7}, {"metadata": [1]}, {"success": "yes"}])
async def test_whatever_is_reported_nothing_is_raised(
    sqlite: Database, wrong: dict[str, object]
) -> None:
    await House(sqlite).furnish()

    with Serving(sqlite, intake=Scripted()) as serving:
        taken = serving.report(serving.assign(*PROMPT, "ada"), "ada", **wrong)  # type: ignore[arg-type]

    assert (taken, serving.dropped) == (False, 1)


async def test_one_that_was_stopped_answers_from_memory_and_can_be_started_again(
    sqlite: Database,
) -> None:
    house = await split_house(sqlite)
    serving = Serving(sqlite, intake=Scripted())
    before = serving.assign(*PROMPT, "ada")

    serving.start()
    serving.start()
    first = serving.assign(*PROMPT, "ada")
    stopped = serving.stop()
    kept = serving.assign(*PROMPT, "ada")
    await house.experiments.reallocate(EXPERIMENT, {"1.1.0": 1.0})
    serving.start()
    second = serving.assign(*PROMPT, "ada")
    serving.stop()

    assert before.reason is Reason.UNKNOWN
    assert (stopped, kept) == (True, first)
    assert second.version == "1.1.0"


async def test_stopping_what_was_never_started_is_nothing(sqlite: Database) -> None:
    assert Serving(sqlite).stop() is True


async def test_stopping_says_when_something_could_not_be_sent(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.outbox.GRACE_S", 0.05)
    await House(sqlite).furnish()
    intake = Scripted(*[Unavailable("away")] * 10_000)

    serving = Serving(sqlite, intake=intake, every=LATE)
    serving.start()
    serving.report(serving.assign(*PROMPT, "ada"), "ada")
    sent = serving.stop()

    assert (sent, serving.dropped) == (False, 1)
    assert serving.stop() is True


async def test_tables_of_another_release_are_told_at_the_start(own_file: Database) -> None:
    await House(own_file).furnish()
    async with own_file.transaction() as session:
        await session.exec(text("UPDATE alembic_version SET version_num = '9999'"))  # type: ignore[call-overload]
    serving = Serving(Database(own_file.name))

    with pytest.raises(Unavailable, match=r"9999.*; still trying$"):
        serving.start()

    assert serving.stop() is True


async def test_a_new_version_is_served_only_with_its_template(database: Database) -> None:
    house = House(database)
    await house.furnish()

    with Serving(database, poll=SOON) as serving:
        await house.version("2.0.0")
        await house.put_in_production("2.0.0")
        without = list[str | None]()

        def is_new() -> bool:
            served = serving.assign(*PROMPT, "ada")
            without.extend([served.version] if serving.version(served) is None else [])
            return served.version == "2.0.0"

        await until(is_new)

    assert without == []


async def test_a_change_is_served_soon_and_at_once_where_the_database_tells(
    database: Database,
) -> None:
    house = await split_house(database)
    is_silent = database.url.get_backend_name() == "sqlite"

    with Serving(database, poll=SOON if is_silent else LATE) as serving:
        await house.experiments.reallocate(EXPERIMENT, {"1.1.0": 1.0})
        await until(
            lambda: {serving.peek(*PROMPT, user).version for user in USERS[:50]} == {"1.1.0"}
        )


async def test_redis_tells_of_a_change_at_once_and_of_versions_that_are_new(
    sqlite: Database, redis_url: str
) -> None:
    house = House(sqlite)
    await house.furnish()

    async with broker.connect(redis_url) as client, Publisher(client, sqlite):
        with Serving(sqlite, redis_url=redis_url, poll=LATE) as serving:
            await house.put_in_production("1.1.0")
            await until(lambda: serving.peek(*PROMPT, "ada").version == "1.1.0")
            await house.version("2.0.0")
            await house.put_in_production("2.0.0")
            await until(lambda: serving.peek(*PROMPT, "ada").version == "2.0.0")
            version = serving.version(serving.peek(*PROMPT, "ada"))

    assert version is not None
    assert version.template == "Hello 2.0.0"


def test_recent_forgets_the_older_half_and_no_more() -> None:
    recent, prompt = Recent(capacity=2), PROMPT
    served = Serving(Database("sqlite:///nowhere.db")).assign(*prompt, "ada", default="1.0.0")

    for number in range(5):
        recent.put(prompt, str(number), served)

    assert [recent.get(prompt, str(number)) is served for number in range(5)] == [
        False, False, True, True, True,
    ]  # fmt: skip
