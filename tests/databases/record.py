"""Records the databases that `test_schema.py` upgrades: what a release wrote, and said of it.

Run once per release that changes tables, by that release's own code, under its own name:

    python -m tests.databases.record 0.4.0

Older files stay for ever: somebody may upgrade from there.
"""

import asyncio
import json
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import select, text
from sqlmodel import SQLModel

from domain import MetricEvent, PromptVariant
from domain.database import Database
from tests.house import House

HERE = Path(__file__).parent
USERS = [f"user-{number}" for number in range(50)]
Answers = dict[str, Any]


async def tell(house: House) -> None:
    """Fill every table: a rollout that is rolled back, one that is live, an experiment, a trial."""
    await house.furnish()
    await house.version("1.2.0")
    await house.versions.tag_version((await house.get("1.2.0")).version_id, "beta", by="ana")
    rolled_back = await house.open(key="run-1")
    await house.rollouts.ramp(rolled_back.id, stage=1, epoch=rolled_back.epoch)
    await _come(house, "1.0.0", good=18, bad=2)
    await _come(house, "1.1.0", good=15, bad=15)
    await house.rollouts.check(rolled_back.id, number=1)
    await house.rollouts.check(rolled_back.id, number=2)
    await house.rollouts.roll_back(rolled_back.id, reason="it is rude", by="ana")
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.1.0", 2), PromptVariant("1.2.0", 3)]
    made = await house.experiments.create_experiment(
        "greeting", "system", arms, experiment_id="exp-1", salt=7
    )
    for user in USERS:
        await house.experiments.get_variant_for_user(made.experiment_id, user)
    await house.experiments.update_experiment_status("exp-1", "completed")
    with suppress(ImportError):  # 0.1 has none
        await _try_out(house)
        await _segment(house)
    with suppress(ImportError):  # nor has 0.2
        await _let_in(house)
    live = await house.open(key="run-2")
    await house.rollouts.ramp(live.id, stage=1, epoch=live.epoch)
    await _come(house, "1.0.0", good=9, bad=1)


async def asked(house: House) -> Answers:
    """Return what the managers say of it all, in words that stay."""
    snapshot = await house.routing.snapshot("greeting", "system")
    assert snapshot
    rollouts = await house.rollouts.list()
    versions = await house.versions.list_versions("greeting", "system")
    ids = [version.version_id for version in versions]
    metrics = await house.metrics.compare_variants(ids)
    inside = await house.metrics.get_experiment_metrics(rollouts[-1].experiment_id, ids)
    moves = await house.versions.tag_history("greeting", "system")
    return {
        "versions": {v.version: [v.status, sorted(v.tags), v.template] for v in versions},
        "moves": len(moves),
        "served": {user: str(snapshot.evaluate(user).version) for user in USERS},
        "assigned": await house.experiments.get_experiment_assignments("exp-1"),
        "metrics": {id_: _figures(found) for id_, found in metrics.items()},
        "inside": {id_: _figures(found) for id_, found in inside.items()},
        "events": [len(await house.metrics.get_events(id_)) for id_ in ids],
        "rollouts": {
            found.id: [found.status.value, found.stage, found.epoch, *await _journal(house, found)]
            for found in rollouts
        },
    }


async def dumped(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return all rows, instants in ISO 8601."""
    found = {}
    async with database.transaction() as session:
        connection = await session.connection()
        for table in SQLModel.metadata.sorted_tables:
            rows = (await connection.execute(select(table))).mappings()
            found[table.name] = [{name: _plain(row[name]) for name in row} for row in rows]
    return found


async def made(database: Database) -> list[str]:
    """Return the statements that SQLite made the tables by."""
    async with database.transaction() as session:
        connection = await session.connection()
        found = await connection.execute(text("SELECT sql FROM sqlite_master WHERE sql > ''"))
        return list(found.scalars())


async def _come(house: House, number: str, *, good: int, bad: int) -> None:
    version, now = await house.get(number), datetime.now(UTC)
    batch = [
        MetricEvent(
            version.version_id, now, one < good, 0.1 + one / 100, one, 1.0 + one % 5,
            {"one": one}, f"{number}-{now.isoformat()}-{one}", f"user-{one}",
        )
        for one in range(good + bad)
    ]  # fmt: skip
    await house.metrics.record_events(batch)


async def _try_out(house: House) -> None:
    manager = import_module("domain.trials.manager").TrialManager(house.database)
    request = import_module("domain.trials.plan").ExperimentRequest
    plan = {"variants": ["1.0.0", "1.2.0"]}
    given = {"name": "greeting", "prompt_type": "system", "plan": plan}
    trial = await manager.open(request.parse(given), key="run-1")
    await _come(house, "1.2.0", good=9, bad=1)
    await manager.look(trial.id, number=1)
    await manager.conclude(trial.id)
    await manager.deploy(trial.id, "1.2.0", epoch=trial.epoch, by="plan")


async def _segment(house: House) -> None:
    manager = import_module("domain.segments.lanes").SegmentManager(house.database)
    await manager.define("greeting", "system", "premium", rule='plan == "premium"', by="ana")


async def _let_in(house: House) -> None:
    tokens = import_module("domain.tokens")
    await tokens.TokenManager(house.database).create("ana", [tokens.Role.OPERATE], by="bo")


async def _journal(house: House, rollout: Any) -> list[Any]:
    lines = await house.rollouts.decisions(rollout.id)
    return [[line.kind.value, line.action, len(line.readings), line.reason] for line in lines]


def _figures(found: Any) -> list[Any]:
    names = ("total_uses", "success_rate", "avg_response_time", "avg_tokens", "avg_rating")
    return [getattr(found, name) for name in names]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


async def main(release: str) -> None:
    """Tell the story in an empty database, and keep its rows and what is said of it."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/rampart.db")
        house = House(database)
        await tell(house)
        kept = {
            "answers": await asked(house),
            "sqlite": await made(database),
            "rows": await dumped(database),
        }
        await database.dispose()
    text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
    (HERE / f"{release}.json").write_text(text.replace("},{", "},\n{") + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
