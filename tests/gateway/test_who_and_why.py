"""Every verb of every operator's route is journalled with who gave it and why."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from control.experiments import Verb as ExperimentVerb
from control.rollouts import Verb
from domain.tokens import Role
from domain.trials.manager import TrialManager
from tests.gateway.entrance import Entrance

STAGES = [{"percent": 10, "bake": "30d"}, {"percent": 50, "bake": "30d"}, {"percent": 100}]
WATCH = [{"kind": "threshold"}]
PLAN = {"stages": STAGES, "check_min": 0.5, "check_max": 1, "guardrails": WATCH}
GATED = PLAN | {"stages": [{"percent": 10, "bake": 0, "approval": True}, *STAGES[1:]]}

# What each verb needs before it, and the plan under which it can be followed.
ROLLOUT: Mapping[Verb, tuple[Sequence[Verb], dict[str, Any]]] = {
    Verb.PAUSE: ((), PLAN),
    Verb.RESUME: ((Verb.PAUSE,), PLAN),
    Verb.PROMOTE: ((), PLAN),
    Verb.SKIP: ((), PLAN | {"stages": [*STAGES[:2], {"percent": 60}, STAGES[2]]}),
    Verb.EXTEND: ((), PLAN),
    Verb.AMEND: ((), PLAN),
    Verb.APPROVE: ((), GATED),
    Verb.ROLLBACK: ((), PLAN),
}
SAYS: Mapping[Verb, dict[str, Any]] = {  # what a verb has to be told besides
    Verb.EXTEND: {"longer": "2h"},
    Verb.AMEND: {"set": {"final_bake": "2h"}},
}
EXPERIMENT: Mapping[ExperimentVerb, Sequence[ExperimentVerb]] = {
    ExperimentVerb.PAUSE: (),
    ExperimentVerb.RESUME: (ExperimentVerb.PAUSE,),
    ExperimentVerb.STOP: (),
    ExperimentVerb.CONCLUDE: (),
    ExperimentVerb.DEPLOY: (),
}


async def order(way_in: Entrance, path: str, body: Any = None) -> Any:
    answer = await way_in.ask("POST", f"/v1/{path}", role=Role.OPERATE, json=body or {})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def look(way_in: Entrance, path: str) -> Any:
    return (await way_in.ask("GET", f"/v1/{path}", role=Role.OPERATE)).json()


def journalled(lines: Sequence[tuple[str, str]], verb: str) -> list[bool]:
    """Say whether there is a line of the opening, and one of the verb, each with who and why."""
    wanted = ("opened so", f"{verb} so")
    return [any(by == "operate" and why in said for by, said in lines) for why in wanted]


def test_every_verb_is_in_these_tables() -> None:
    assert set(ROLLOUT) == set(Verb)
    assert set(EXPERIMENT) == set(ExperimentVerb)


@pytest.mark.guarantee(13)
@pytest.mark.parametrize("verb", ROLLOUT)
async def test_a_rollouts_journal_says_who_and_why(operated: Entrance, verb: Verb) -> None:
    before, plan = ROLLOUT[verb]
    asked = {"flag": "greeting.system", "candidate": "1.1.0", "plan": plan, "reason": "opened so"}
    await order(operated, "rollouts", asked)

    async def phase() -> str:
        if verb is Verb.APPROVE:
            for number in ("1.0.0", "1.1.0"):
                await operated.house.events(number, good=120, bad=0)
        return str((await look(operated, "rollouts/greeting.system"))["progress"]["phase"])

    wanted = "waiting_for_approval" if verb is Verb.APPROVE else "baking"
    await operated.until(phase, wanted)
    for each in (*before, verb):
        body = {"reason": f"{each} so"} | SAYS.get(each, {})
        await order(operated, f"rollouts/greeting.system/{each}", body)

    async def said() -> bool:
        lines = await look(operated, "rollouts/greeting.system/decisions")
        return all(journalled([(line["by"], line["reason"]) for line in lines], verb))

    await operated.until(said, True)


@pytest.mark.parametrize("verb", EXPERIMENT)
async def test_an_experiments_journal_says_who_and_why(
    operated: Entrance, verb: ExperimentVerb
) -> None:
    plan = {"variants": ["1.0.0", "1.1.0"], "goal": "success"}
    asked = {"flag": "greeting.system", "plan": plan, "reason": "opened so"}
    await order(operated, "experiments", asked)
    for each in (*EXPERIMENT[verb], verb):
        named = {"version": "1.1.0"} if each is ExperimentVerb.DEPLOY else {}
        body = {"reason": f"{each} so"} | named
        await order(operated, f"experiments/greeting.system/{each}", body)

    async def said() -> bool:
        trials = TrialManager(operated.house.database)
        (latest,) = await trials.list("greeting", "system", limit=1)
        lines = await trials.lines(latest.id)
        return all(journalled([(line.by, line.reason) for line in lines], verb))

    await operated.until(said, True)


async def test_a_version_a_tag_and_a_revert_say_who_and_why(way_in: Entrance) -> None:
    place = "prompts/greeting.system"
    made = await order(way_in, f"{place}/versions", {"template": "Hi"})
    tagging = {"version": made["version"], "tag": "production", "reason": "tag so"}
    await order(way_in, f"{place}/tags", tagging)
    await order(way_in, f"{place}/revert", {"reason": "revert so"})

    moves = await look(way_in, f"{place}/history")

    assert made["created_by"] == "operate"
    assert [(move["by"], move["reason"]) for move in moves[-2:]] == [
        ("operate", "tag so"),
        ("operate", "revert so"),
    ]


async def test_a_token_says_who_made_it_and_who_ended_it(way_in: Entrance) -> None:
    asked = {"name": "checkout", "roles": ["ingest"]}
    made = (await way_in.ask("POST", "/v1/tokens", json=asked)).json()["token"]

    ended = (await way_in.ask("POST", f"/v1/tokens/{made['id']}/revoke")).json()

    assert (made["created_by"], ended["revoked_by"]) == ("admin", "admin")


async def test_a_body_cannot_say_that_somebody_else_asked(way_in: Entrance) -> None:
    for path, body in (
        ("rollouts/greeting.system/pause", {"by": "the boss"}),
        ("experiments/greeting.system/stop", {"by": "the boss"}),
        ("monitors/nightly/stop", {"by": "the boss"}),
        ("prompts/greeting.system/revert", {"by": "the boss"}),
        ("prompts/greeting.system/versions", {"template": "Hi", "created_by": "the boss"}),
    ):
        answer = await way_in.ask("POST", f"/v1/{path}", role=Role.OPERATE, json=body)

        assert answer.status_code == 422, path
