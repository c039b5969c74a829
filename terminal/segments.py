"""`rampart segment …` and `rampart rings …`: who is who, and who gets a new version first."""

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from terminal.catalog import AsJson, By, Key, Prompt, Reason, operator, read_plan
from terminal.console import Usage, carry_out, prompt_of, say, say_json, text_of

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from pydantic import JsonValue

    from control.segments import RingsControl, RingsDescription
    from domain.database import Database
    from domain.segments.lanes import SegmentManager
    from domain.segments.plan import Segment, SegmentedPlan
    from domain.snapshot import Assignment
    from workflows.rings.report import RingReport

Result = TypeVar("Result")
Name = Annotated[str, typer.Argument(metavar="SEGMENT", help="Letters, digits and -.")]

segments = typer.Typer(help="Define segments of a prompt's users, by rules on their attributes.")
rings = typer.Typer(help="Roll a version out segment by segment.")


@segments.callback(invoke_without_command=True)
@rings.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@segments.command("define")
def define(
    prompt: Prompt,
    segment: Name,
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="CEL, such as 'plan == \"premium\"'.")
    ],
    *,
    order: Annotated[
        int | None, typer.Option(help="Its place, from 1; by default the last.")
    ] = None,
    by: By = "",
) -> None:
    """Define a segment, or change its rule: the first one whose rule is true has the user."""

    async def write(manager: "SegmentManager") -> "Segment":
        name, prompt_type = prompt_of(prompt)
        return await manager.define(name, prompt_type, segment, rule, order=order, by=operator(by))

    found = _with_segments(write)
    say(f"segment {found.name} of {prompt} is no. {found.order}: {found.rule}")


@segments.command("list")
def list_(prompt: Prompt, *, as_json: AsJson = False) -> None:
    """List the segments of a prompt, in the order their rules are tried."""
    found = _with_segments(lambda manager: manager.list(*prompt_of(prompt)))
    if as_json:
        say_json([segment.model_dump(mode="json") for segment in found])
        return
    if not found:
        say(f"{prompt} has no segments: define one with `rampart segment define {prompt} …`")
    for segment in found:
        say(f"{segment.order}  {segment.name:<16} {segment.rule}")


@segments.command("remove")
def remove(prompt: Prompt, segment: Name) -> None:
    """Remove a segment: its users are served by the prompt again. Its lane's history stays."""
    if not _with_segments(lambda manager: manager.remove(*prompt_of(prompt), segment)):
        raise Usage(f"{prompt} has no segment {segment!r}")
    say(f"segment {segment} of {prompt} is removed")


@segments.command("reorder")
def reorder(
    prompt: Prompt,
    names: Annotated[
        list[str], typer.Argument(metavar="SEGMENT…", help="All of them, the first to ask first.")
    ],
) -> None:
    """Put all segments of a prompt into this order."""
    found = _with_segments(lambda manager: manager.reorder(*prompt_of(prompt), names))
    say(f"{prompt}: {', '.join(segment.name for segment in found)}")


@segments.command("check")
def check(
    prompt: Prompt,
    *,
    attributes: Annotated[str, typer.Option(help="A JSON object.")] = "{}",
    user: Annotated[str, typer.Option(help="The user's id.")] = "somebody",
    as_json: AsJson = False,
) -> None:
    """Say which segment a user is in, and which version is served."""
    from domain.segments.plan import lane_name

    given = _attributes(attributes)
    name, prompt_type = prompt_of(prompt)
    segment, served = _with_database(lambda database: _check(database, prompt, user, given))
    if as_json:
        shown = {"version": served.version, "version_id": served.version_id}
        say_json({"user": user, "segment": segment, "reason": served.reason.value, **shown})
        return
    lane = f"lane {lane_name(name, segment)}.{prompt_type}" if segment else prompt
    say(f"user {user} is in {f'segment {segment}' if segment else 'no segment'} ({lane})")
    say(f"  gets {served.version or 'nothing: the prompt serves no version'} ({served.reason})")


@rings.command("start")
def start(  # noqa: PLR0913  # each is an option of the command
    prompt: Prompt,
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="Its number, x.y.z.")],
    *,
    segment: Annotated[
        list[str] | None, typer.Option(help="In order; may be repeated. By default all.")
    ] = None,
    plan: Annotated[str, typer.Option(help="Of each ring: a preset, or a file.")] = "standard",
    file: Annotated[str, typer.Option(help="A segmented plan, YAML or JSON, instead.")] = "",
    pause_between: Annotated[str, typer.Option(help="Such as 4h.")] = "0s",
    on_failure: Annotated[str, typer.Option(help="stop, or roll_back_all.")] = "stop",
    everyone: Annotated[bool, typer.Option(help="Everybody else is the last ring.")] = True,
    reason: Reason = "",
    by: By = "",
    key: Key = "",
) -> None:
    """Roll CANDIDATE out to one segment after the other; the first failure ends it."""
    from domain.segments.plan import SegmentedRequest

    if file and segment:
        raise Usage("give either --file, which names the segments, or --segment")
    parts: dict[str, JsonValue] = {
        "segments": [*(segment or [])],
        "plan": read_plan(plan).model_dump(mode="json"),
        "pause_between": pause_between,
        "on_failure": on_failure,
        "everyone": everyone,
    }
    whole = _plan_of(file).model_dump(mode="json") if file else parts
    name, prompt_type = prompt_of(prompt)
    asked: dict[str, JsonValue] = {"name": name, "prompt_type": prompt_type, "candidate": candidate}
    more: dict[str, JsonValue] = {"plan": whole, "by": operator(by), "reason": reason}
    request = SegmentedRequest.parse(asked | more)
    found = _with_rings(lambda control: control.start(request, key=key))
    say(f"started {prompt} → {candidate}, ring by ring")
    if found.progress is None:
        say("  but     no worker answers: it begins as soon as there is one (`rampart worker`)")
    _show(found)
    say(f"  follow  rampart rings status {prompt}")


@rings.command("status")
def status(prompt: Prompt, *, as_json: AsJson = False) -> None:
    """Show where each ring of the latest segmented rollout of a prompt stands."""
    found = _with_rings(lambda control: control.describe(*prompt_of(prompt)))
    if as_json:
        told = found.outcome or found.progress
        shown = told.model_dump(mode="json") if told else {"memo": found.memo}
        say_json({"status": found.status, "failure": found.failure, **shown})
        return
    _show(found)


@rings.command("pause")
def pause(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Hold the running ring's ramp and start no further ring; the guardrails stay on."""
    _order("pause", prompt, reason=reason, by=by, key=key)


@rings.command("resume")
def resume(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Let it go on."""
    _order("resume", prompt, reason=reason, by=by, key=key)


@rings.command("promote")
def promote(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Send the running ring to its next stage; between rings, start the next one now."""
    _order("promote", prompt, reason=reason, by=by, key=key)


@rings.command("approve")
def approve(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Open the gate of the running ring's stage that waits for an approval."""
    _order("approve", prompt, reason=reason, by=by, key=key)


@rings.command("rollback")
def rollback(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Roll the running ring back and start no other; promoted rings as the plan says."""
    _order("rollback", prompt, reason=reason, by=by, key=key)


def _order(verb: str, prompt: str, *, reason: str, by: str, key: str) -> None:
    from workflows.commands import Verb

    name, prompt_type = prompt_of(prompt)
    answer = _with_rings(
        lambda control: control.order(
            Verb(verb), name, prompt_type, reason=reason, by=operator(by), key=key
        )
    )
    say(f"{prompt}: {answer.said}")


def _show(found: "RingsDescription") -> None:
    told = found.outcome or found.progress
    if told is None:
        say(f"  {found.workflow_id} is {found.status} {found.failure or found.memo or ''}".rstrip())
        return
    for number, ring in enumerate(told.rings, 1):
        say(f"  {number:<2} {_line(ring)}")
    if found.outcome:
        say(f"  {found.outcome.outcome}: {found.outcome.reason}")
    elif found.progress:
        say(f"  {found.progress.phase}: waiting for {found.progress.waiting_for}")
    for line in found.stuck:
        say(f"  but     {line}")


def _line(ring: "RingReport") -> str:
    reason = f"  {ring.reason}" if ring.reason else ""
    return f"{ring.title:<16} {ring.phase:<14} {ring.prompt}{reason}"


def _plan_of(file: str) -> "SegmentedPlan":
    from domain.errors import InvalidPlan
    from domain.segments.plan import SegmentedPlan

    try:
        return SegmentedPlan.parse(text_of(file))
    except InvalidPlan as error:
        raise InvalidPlan(f"{file}: {error}") from error


def _attributes(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise Usage(f"--attributes must be a JSON object, got {text!r:.80}: {error}") from error
    if not isinstance(given, dict):
        raise Usage(f"--attributes must be a JSON object, got {text!r:.80}")
    return given


async def _check(
    database: "Database", prompt: str, user: str, attributes: dict[str, Any]
) -> "tuple[str | None, Assignment]":
    from domain.segments.audience import SegmentRouter

    async with SegmentRouter(database) as router:
        segment = router.segment_of(*prompt_of(prompt), user, attributes=attributes)
        return segment, router.assign(*prompt_of(prompt), user, attributes=attributes)


def _with_segments(work: "Callable[[SegmentManager], Coroutine[Any, Any, Result]]") -> Result:
    from domain.segments.lanes import SegmentManager

    return _with_database(lambda database: work(SegmentManager(database)))


def _with_database(work: "Callable[[Database], Coroutine[Any, Any, Result]]") -> Result:
    from terminal.desk import storage

    async def do() -> Result:
        async with storage() as database:
            return await work(database)

    return carry_out(do())


def _with_rings(work: "Callable[[RingsControl], Coroutine[Any, Any, Result]]") -> Result:
    from control.connection import connect
    from control.segments import RingsControl
    from settings import Settings

    async def do() -> Result:
        return await work(RingsControl(await connect(), task_queue=Settings.from_env().task_queue))

    return carry_out(do())
