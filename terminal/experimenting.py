"""`rampart experiment start`, `status`, `conclude` …: experiments led to a conclusion."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from terminal.catalog import AsJson, By, Key, Prompt, Reason, operator
from terminal.console import Usage, carry_out, out, prompt_of, say, say_json, text_of

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from control.experiments import ExperimentControl
    from domain.trials.plan import ExperimentPlan

Result = TypeVar("Result")
Chosen = Annotated[str, typer.Option("--version", help="The version to deploy, x.y.z.")]

START = "rampart experiment start {} 1.0.0 1.1.0"

experiments = typer.Typer(help="Compare versions until one is shown to be better, or none is.")


@experiments.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@experiments.command("start")
def start(
    prompt: Prompt,
    variants: Annotated[
        list[str] | None,
        typer.Argument(help="Versions, control first; each may have a weight: 1.1.0=0.2."),
    ] = None,
    *,
    plan: Annotated[str, typer.Option(help="A YAML or JSON file; - is stdin.")] = "",
    end: Annotated[str, typer.Option(help="ask, deploy, rollout or keep.")] = "",
    reason: Reason = "",
    by: By = "",
    key: Key = "",
) -> None:
    """Split the users of PROMPT among versions, and watch until it is known which is best."""
    from domain.trials.plan import ExperimentRequest

    name, prompt_type = prompt_of(prompt)
    if not (variants or plan):
        raise Usage(f"name the versions, control first: `{START.format(prompt)}`; or give --plan")
    request = ExperimentRequest.parse(
        {
            "name": name,
            "prompt_type": prompt_type,
            "plan": _plan(variants or [], file=plan, end=end).model_dump(mode="json"),
            "by": operator(by),
            "reason": reason,
        }
    )
    opened = _ask(lambda control: control.start(request, key=key))
    shown = opened.progress
    split = ", ".join(f"{v} {s:.0%}" for v, s in request.plan.shares.items())
    say(f"started {prompt}: {split}; at its end: {request.plan.end}")
    say(f"  id      {shown.experiment_id if shown else opened.workflow_id}")
    if shown is None:
        say("  but     no worker answers: it begins as soon as there is one (`rampart worker`)")
    say(f"  follow  rampart experiment status {prompt}")


@experiments.command("status")
def status(prompt: Prompt, *, as_json: AsJson = False) -> None:
    """Show every arm as it stands, as often as you like, or what the experiment came to."""
    name, prompt_type = prompt_of(prompt)
    found = _ask(lambda control: control.describe(name, prompt_type))
    from terminal import experiment_sheet

    if as_json:
        say_json(experiment_sheet.to_json(found))
        return
    out.print(experiment_sheet.status(found, prompt))


@experiments.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List experiments, live and ended, the latest first."""
    found = _ask(lambda control: control.list())
    from terminal import experiment_sheet

    if as_json:
        say_json([experiment_sheet.to_json(one) for one in found])
    elif found:
        out.print(experiment_sheet.listing(found))
    else:
        say("no experiments yet: start one with `rampart experiment start PROMPT 1.0.0 1.1.0`")


@experiments.command("journal")
def journal(prompt: Prompt, *, as_json: AsJson = False) -> None:
    """Show everything that was done and seen in the latest experiment on a prompt."""
    from control.experiments import NoExperiment
    from domain.trials.findings import TrialLine
    from domain.trials.manager import TrialManager
    from terminal.desk import storage

    name, prompt_type = prompt_of(prompt)

    async def read() -> list[TrialLine]:
        async with storage() as database:
            manager = TrialManager(database)
            for latest in await manager.list(name, prompt_type, limit=1):
                return list(await manager.lines(latest.id))
        raise NoExperiment(
            f"no experiment on {prompt} is known: start one with `rampart experiment start`"
        )

    found = carry_out(read())
    if as_json:
        say_json([line.model_dump(mode="json") for line in found])
        return
    from terminal import experiment_sheet

    out.print(experiment_sheet.journal(found))


@experiments.command("pause")
def pause(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Stop its clock; everybody keeps their version, the guardrails stay on."""
    _order("pause", prompt, reason=reason, by=by, key=key)


@experiments.command("resume")
def resume(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Let a paused experiment run on."""
    _order("resume", prompt, reason=reason, by=by, key=key)


@experiments.command("stop")
def stop(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Give everybody control now and for good, without asking the tests."""
    from control.experiments import NoExperiment

    try:
        _order("stop", prompt, reason=reason, by=by, key=key)
    except NoExperiment:
        if not carry_out(_stop_orphan(*prompt_of(prompt), reason=reason, by=operator(by))):
            raise
        say(f"{prompt}: stopped in the database: its workflow was gone")


@experiments.command("conclude")
def conclude(
    prompt: Prompt, *, version: Chosen = "", reason: Reason = "", by: By = "", key: Key = ""
) -> None:
    """Ask the tests now; of one that waits for a decision, keep control or deploy --version."""
    _order("conclude", prompt, version=version, reason=reason, by=by, key=key)


@experiments.command("deploy")
def deploy(
    prompt: Prompt, *, version: Chosen = "", reason: Reason = "", by: By = "", key: Key = ""
) -> None:
    """Deploy a version, by default the one that won; it ends the experiment."""
    _order("deploy", prompt, version=version, reason=reason, by=by, key=key)


async def _stop_orphan(name: str, prompt_type: str, *, reason: str, by: str) -> bool:
    """Stop a live experiment that no workflow looks after; say whether there was one."""
    from domain.trials.findings import TrialStatus
    from domain.trials.manager import TrialManager
    from terminal.desk import storage

    async with storage() as database:
        manager = TrialManager(database)
        for latest in await manager.list(name, prompt_type, limit=1):
            if latest.status is TrialStatus.LIVE:
                why = reason or "its workflow was gone"
                await manager.release(latest.id, TrialStatus.STOPPED, by=by, reason=why)
                return True
    return False


def _plan(variants: list[str], *, file: str, end: str) -> "ExperimentPlan":
    """Return the plan: the file's, with what was typed put in."""
    import yaml

    from domain.errors import InvalidPlan
    from domain.trials.plan import ExperimentPlan
    from domain.value import is_map

    try:
        given = yaml.safe_load(text_of(file)) if file else {}
    except yaml.YAMLError as error:
        raise InvalidPlan(f"{file}: plan is not YAML: {' '.join(str(error).split())}") from error
    if not is_map(given):
        raise InvalidPlan(f"{file}: plan must be a mapping with `variants`, got {given!r:.60}")
    if variants and "variants" in given:
        raise Usage(f"give the variants as arguments or in {file}, not both")
    typed: dict[str, object] = {"variants": [_variant(one) for one in variants]} if variants else {}
    whole = given | typed | ({"end": end} if end else {})
    try:
        return ExperimentPlan.parse(yaml.safe_dump(whole, sort_keys=False))
    except InvalidPlan as error:
        raise InvalidPlan(f"{file}: {error}" if file else str(error)) from error


def _variant(typed: str) -> dict[str, object]:
    """Read `1.1.0` or `1.1.0=0.2`."""
    version, _, weight = typed.partition("=")
    if not weight:
        return {"version": version}
    try:
        return {"version": version, "weight": float(weight)}
    except ValueError as error:
        raise Usage(f"VARIANTS must be like 1.1.0 or 1.1.0=0.2, got {typed!r}") from error


def _order(verb: str, prompt: str, *, reason: str, by: str, key: str, version: str = "") -> None:
    from workflows.experiments.commands import Verb

    name, prompt_type = prompt_of(prompt)
    who = operator(by)
    answer = _ask(
        lambda control: control.order(
            Verb(verb), name, prompt_type, version=version, reason=reason, by=who, key=key
        )
    )
    say(f"{prompt}: {answer.said}")


def _ask(work: "Callable[[ExperimentControl], Awaitable[Result]]") -> Result:
    """Ask Temporal alone; the database is the worker's business."""
    from control.connection import connect
    from control.experiments import ExperimentControl
    from settings import Settings

    async def do() -> Result:
        queue = Settings.from_env().task_queue
        return await work(ExperimentControl(await connect(), task_queue=queue))

    return carry_out(do())
