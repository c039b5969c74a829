"""Catalog and TrialArchive on both databases: pages of what there is, however much there is."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from domain.catalog import Catalog
from domain.database import Database
from domain.errors import Conflict, NotFound
from domain.paging import SIZE
from domain.tables import VersionRow
from domain.trials.archive import LOOKS, State, TrialArchive
from domain.trials.findings import TrialStatus
from tests.house import House
from tests.unit.test_trials import Laboratory

MANY = 3_000


async def flood(database: Database, many: int) -> None:
    """Make many versions of one prompt, each with a long text."""
    now = datetime.now(UTC)
    async with database.transaction() as session:
        session.add_all(
            VersionRow(
                id=f"v-{number}", name="flood", prompt_type="system", version=f"1.0.{number}",
                major=1, minor=0, patch=number, template="long " * 200, defaults={}, details={},
                created_at=now, status="active", content_hash="",
            )
            for number in range(many)
        )  # fmt: skip


async def test_thousands_of_versions_are_read_a_page_at_a_time_and_without_their_texts(
    sqlite: Database,
) -> None:
    await flood(sqlite, MANY)
    said: list[str] = []
    engine = (await sqlite._engine()).sync_engine
    event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))

    first = await Catalog(sqlite).versions("flood", "system")
    last = await Catalog(sqlite).versions("flood", "system", number=MANY // SIZE)

    assert [line.version for line in first.items][:2] == ["1.0.2999", "1.0.2998"]
    assert (len(first.items), first.more) == (SIZE, True)
    assert (last.items[-1].version, last.more) == ("1.0.0", False)
    assert not [query for query in said if "prompt_version.template" in query]
    assert len(said) < 20


async def test_a_prompt_tells_what_is_in_production_and_under_way(database: Database) -> None:
    house = Laboratory(database)
    await house.furnish()
    catalog = Catalog(database)

    idle = await catalog.prompt("greeting", "system")
    trial = await house.try_out()
    tried = await catalog.prompt("greeting", "system")
    await house.trials.release(trial.id, TrialStatus.STOPPED)
    await house.open()
    rolled = await catalog.prompt("greeting", "system")

    assert (idle.production, idle.rollout, idle.experiment) == ("1.0.0", "", "")
    assert tried.experiment == trial.id
    assert (rolled.rollout, rolled.experiment) == ("1.0.0 → 1.1.0", "")
    assert idle.changed_at
    assert rolled.changed_at
    assert rolled.changed_at > idle.changed_at


async def test_a_search_takes_what_is_typed_literally(database: Database) -> None:
    house = House(database)
    for name in ("mail_out", "mailxout", "100%", "Chat"):
        await house.versions.create_version(name, "user", "Hi")
    catalog = Catalog(database)

    async def found(text: str) -> list[str]:
        return [line.flag for line in (await catalog.prompts(text=text)).items]

    assert await found("l_o") == ["mail_out.user"]
    assert await found("%.u") == ["100%.user"]
    assert await found("chat") == ["Chat.user"]
    assert await found("\\") == []
    assert len(await found("")) == 4


async def test_figures_are_of_all_that_a_version_did(database: Database) -> None:
    house = House(database)
    await house.furnish()
    version = (await house.get("1.0.0")).version_id
    for seconds in (0.1, 0.2, 0.3, 0.4, 5.0):
        await house.metrics.record_event(version, success=seconds < 1, response_time=seconds)

    figures = await Catalog(database).figures(version)
    (unused,) = [
        line.figures
        for line in (await Catalog(database).versions("greeting", "system")).items
        if line.version == "1.1.0"
    ]

    assert (figures.uses, figures.success_rate) == (5, 0.8)
    assert figures.p50 == pytest.approx(0.3, rel=0.02)
    assert figures.p95 == pytest.approx(5.0, rel=0.02)
    assert (unused.uses, unused.success_rate, unused.p50) == (0, None, None)


async def test_moves_of_tags_tell_from_where_to_where(database: Database) -> None:
    house = House(database)
    await house.furnish()
    second = (await house.get("1.1.0")).version_id
    await house.versions.tag_version(second, "staging", by="ada", reason="try it")
    await house.versions.tag_version(second, "production", by="ada", reason="it is good")
    await house.versions.untag_version(second, "staging", by="bob")

    moves = (await Catalog(database).moves("greeting", "system")).items

    assert [(m.tag, m.previous, m.version, m.taken_off, m.by, m.reason) for m in moves] == [
        ("staging", "1.1.0", "", True, "bob", ""),
        ("production", "1.0.0", "1.1.0", False, "ada", "it is good"),
        ("staging", "", "1.1.0", False, "ada", "try it"),
        ("production", "", "1.0.0", False, "", ""),
    ]


async def test_a_prompt_without_versions_is_not_known(database: Database) -> None:
    with pytest.raises(NotFound, match=r"no prompt nobody\.knows is known"):
        await Catalog(database).versions("nobody", "knows")


async def test_what_was_seen_in_production_is_reverted_once(database: Database) -> None:
    house = Laboratory(database)
    await house.furnish()
    for number in ("1.1.0", "1.2.0"):
        await house.put_in_production(number)

    await house.versions.revert("greeting", "system", leaving="1.2.0")
    with pytest.raises(Conflict, match=r"1\.2\.0 of greeting\.system is in production no more"):
        await house.versions.revert("greeting", "system", leaving="1.2.0")

    production = await house.versions.production("greeting", "system")
    assert production
    assert production.version == "1.1.0"


async def test_trials_are_listed_live_ones_first(database: Database) -> None:
    house = Laboratory(database)
    await house.furnish()
    first = await house.try_out("run-1")
    other = House(database, name="farewell")
    await other.furnish()
    archive = TrialArchive(database)
    await house.trials.release(first.id, TrialStatus.STOPPED)
    live = await house.try_out("run-2")

    everything = [trial.id for trial in (await archive.trials()).items]
    over = [trial.id for trial in (await archive.trials(state=State.OVER)).items]
    named = [trial.id for trial in (await archive.trials(text="FAREWELL")).items]

    assert everything == [live.id, first.id]
    assert over == [first.id]
    assert named == []


async def test_a_split_tells_who_was_expected_and_who_came(database: Database) -> None:
    house = Laboratory(database)
    await house.furnish()
    trial = await house.try_out()
    await house.say_who_was_served(trial, lost="1.2.0")

    split = await TrialArchive(database).split(trial.id)

    expected, seen = ([getattr(arm, what) for arm in split.arms] for what in ("expected", "seen"))
    assert sum(expected) == pytest.approx(sum(seen))
    assert (seen[2], expected[2]) == (0, pytest.approx(sum(seen) / 3, rel=0.01))
    assert "users are not split as they should be" in split.mismatch


async def test_looks_are_few_however_many_there_were(database: Database) -> None:
    house = Laboratory(database)
    await house.furnish()
    trial = await house.try_out()
    for number in (0, 1, 2, 3 * LOOKS):
        await house.trials.look(trial.id, number=number)

    looks = await TrialArchive(database).looks(trial.id)

    numbers = [line.report.number for line in looks if line.report]
    assert numbers[-1] == 3 * LOOKS
    assert set(numbers) <= {0, 3 * LOOKS}
    assert {line.step.value for line in await TrialArchive(database).decisions(trial.id)} == {
        "opened"
    }
