"""`rampart explain`, `replay` and `what-if`: a rollout's decisions, from its journal alone.

They ask the database only, so they work with Temporal down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from terminal import completion
from terminal.catalog import AsJson, read_plan
from terminal.console import Usage, carry_out, out, prompt_of, say_json
from terminal.steering import LOOK

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from domain.amendment import Amended
    from domain.evidence.looks import Judged
    from domain.plan import RolloutPlan
    from domain.record import Rollout
    from domain.rollouts import RolloutManager

EVERY_LINE = 10**9  # of a journal

hindsight = typer.Typer()

Which = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT",
        help="greeting.system for its latest rollout, or a rollout's id.",
        autocompletion=completion.prompts,
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A rollout and what its checks rested on.

    Attributes:
        checks: Oldest first.
        amended: How its plan was changed, oldest first; plans as `plan`.
        blank: How many checks before them kept no evidence: those of rampart 0.1.
    """

    rollout: "Rollout"
    checks: "Sequence[Judged]"
    amended: "Sequence[Amended]"
    blank: int

    @property
    def plan(self) -> "RolloutPlan":
        """What its checks were judged by: in a bundle, by a part of alpha."""
        return self.rollout.judging(self.rollout.plan)


@hindsight.command(rich_help_panel=LOOK)
def explain(rollout: Which, *, as_json: AsJson = False) -> None:
    """Say what the latest check saw of each metric, how sure that is, and what it would take."""
    from domain.amendment import plan_at
    from domain.hindsight.explanation import explain

    case = _judged(rollout)
    latest = case.checks[-1]
    grounds = explain(plan_at(case.plan, case.amended, latest.number), latest)
    if as_json:
        say_json(_headed(case) | grounds.model_dump(mode="json"))
        return
    from terminal import explained

    out.print(explained.grounds(case.rollout, grounds))


@hindsight.command(rich_help_panel=LOOK)
def replay(rollout: Which, *, as_json: AsJson = False) -> None:
    """Make every verdict again from the journal: exit 0 if none differs in any digit, 1 if not."""
    from domain.evidence.looks import METHOD
    from domain.hindsight.replay import replay
    from terminal.progress import progress

    case = carry_out(_case(rollout))
    with progress(f"judging {len(case.checks):,} checks again") as judged:
        found = replay(case.plan, case.checks, case.amended, told=judged)
    if as_json:
        counted = {"method": METHOD, "checks": len(case.checks), "without_evidence": case.blank}
        told = [difference.model_dump(mode="json") for difference in found]
        say_json(_headed(case) | counted | {"differences": told})
    else:
        from terminal import explained

        number = len(case.checks)
        out.print(explained.replayed(case.rollout, found, checks=number, blank=case.blank))
    if found:
        raise typer.Exit(1)


@hindsight.command("what-if", rich_help_panel=LOOK)
def what_if(
    rollout: Which,
    *,
    plan: Annotated[str, typer.Option(help="Another plan: a preset's name, or a file.")],
    as_json: AsJson = False,
) -> None:
    """Show when another plan would have decided what, on the same evidence."""
    from domain.hindsight.counterfactual import what_if

    other = read_plan(plan)
    case = _judged(rollout)
    found = what_if(case.plan, case.rollout.judging(other), case.checks, case.amended)
    if as_json:
        names = {"plan": case.rollout.plan.name, "other_plan": other.name}
        say_json(_headed(case) | names | found.model_dump(mode="json"))
        return
    from terminal import explained

    out.print(explained.what_if(case.rollout, other, found))


def _judged(rollout: str) -> Case:
    """Return a case that has something to look at.

    Raises:
        Usage: It was not checked yet.
    """
    case = carry_out(_case(rollout))
    if not case.checks:
        raise Usage(f"{_called(case.rollout)} was not checked: there is nothing to explain")
    return case


async def _case(text: str) -> Case:
    """Return the rollout that is meant.

    Raises:
        NotFound: There is none.
        Usage: Its checks kept no evidence.
    """
    from control.grounds import judged_by
    from domain.record import Kind
    from domain.rollouts import RolloutManager
    from terminal.desk import storage

    async with storage() as database:
        manager = RolloutManager(database)
        rollout = await _find(manager, text)
        checks = await manager.checks(rollout.id)
        amended = [judged_by(rollout, each) for each in await manager.amendments(rollout.id)]
        if checks and checks[0].number == 1:
            return Case(rollout=rollout, checks=checks, amended=amended, blank=0)
        lines = await manager.decisions(rollout.id, limit=EVERY_LINE)
    made = [line for line in lines if line.kind is Kind.CHECKED]
    if made and not checks:
        raise Usage(
            f"{_called(rollout)} was judged by rampart 0.1: its checks kept no evidence to replay"
        )
    blank = [line for line in made if line.at < checks[0].look.at]
    return Case(rollout=rollout, checks=checks, amended=amended, blank=len(blank))


async def _find(manager: "RolloutManager", text: str) -> "Rollout":
    from domain.errors import NotFound

    if "." not in text:
        return await manager.get(text)
    for latest in await manager.list(*prompt_of(text), limit=1):
        return latest
    raise NotFound(f"no rollout of {text} is known: start one with `rampart start`")


def _called(rollout: "Rollout") -> str:
    return f"rollout {rollout.id} of {rollout.prompt}"


def _headed(case: Case) -> dict[str, object]:
    shown = case.rollout
    return {
        "rollout": shown.id,
        "prompt": shown.prompt,
        "baseline": shown.baseline,
        "candidate": shown.candidate,
        "status": shown.status.value,
    }
