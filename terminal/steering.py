"""`rampart start`, `pause`, `rollback`, `status`, `watch`, `why` …: one rollout, from outside."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from terminal import completion
from terminal.amending import OPERATE, send
from terminal.catalog import AsJson, By, Key, Prompt, Reason, operator, read_plan
from terminal.console import Usage, answers_keys, carry_out, out, prompt_of, say, say_json, warn

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from pydantic import JsonValue

    from control.picture import Picture
    from domain.plan import RolloutRequest

LOOK = "Look"
AT = "When to open it, with an offset: 2026-12-01T09:00+01:00. Until then it can be withdrawn."
IN = "Or how long from now: 2h."
DEADLINE = "By when it has to be promoted: 7d, or an instant; in place of the plan's."

PLAN = "A preset's name, or a YAML or JSON file."
Candidate = Annotated[
    str,
    typer.Argument(
        metavar="CANDIDATE", help="Its number, x.y.z.", autocompletion=completion.versions
    ),
]

rollouts = typer.Typer()


@rollouts.command(rich_help_panel=OPERATE)
def start(  # noqa: PLR0913  # one parameter per option
    prompt: Prompt,
    candidate: Candidate,
    *,
    plan: Annotated[str, typer.Option(help=PLAN, autocompletion=completion.plans)] = "standard",
    along: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PROMPT=CANDIDATE", help="Goes along; may be repeated."),
    ] = None,
    reason: Reason = "",
    by: By = "",
    at: Annotated[str | None, typer.Option(help=AT, show_default=False)] = None,
    after: Annotated[str | None, typer.Option("--in", help=IN, show_default=False)] = None,
    deadline: Annotated[str | None, typer.Option(help=DEADLINE, show_default=False)] = None,
    key: Key = "",
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
) -> None:
    """Start to replace the version in production by CANDIDATE, now or later."""
    from domain.plan import RolloutRequest
    from terminal import timing

    name, prompt_type = prompt_of(prompt)
    request: dict[str, JsonValue] = {
        "name": name,
        "prompt_type": prompt_type,
        "candidate": candidate,
        "plan": timing.ending(read_plan(plan), deadline).model_dump(mode="json"),
        "by": operator(by),
        "reason": reason,
        "companions": [_companion(each) for each in along or []],
        "start_at": timing.start(at, after),
    }
    _start(RolloutRequest.parse(request), key=key)
    if watch:
        _follow(prompt, as_json=False)


@rollouts.command(rich_help_panel=OPERATE)
def pause(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Hold the ramp; the guardrails stay on."""
    send("pause", prompt, reason=reason, by=by, key=key)


@rollouts.command(rich_help_panel=OPERATE)
def resume(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Let a paused rollout go on."""
    send("resume", prompt, reason=reason, by=by, key=key)


@rollouts.command(rich_help_panel=OPERATE)
def promote(
    prompt: Prompt,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="To the last stage, into production.")
    ] = False,
    reason: Reason = "",
    by: By = "",
    key: Key = "",
) -> None:
    """Go on to the next stage after one more check, without the rest of the bake."""
    asked: dict[str, JsonValue] = {"full": True} if full else {}
    send("promote", prompt, reason=reason, by=by, key=key, asked=asked)


@rollouts.command(rich_help_panel=OPERATE)
def skip(
    prompt: Prompt,
    *,
    to: Annotated[
        int | None,
        typer.Option(help="The stage, from 1; by default past the next one.", min=1, max=50),
    ] = None,
    reason: Reason = "",
    by: By = "",
    key: Key = "",
) -> None:
    """Go past the next stage after one more check."""
    asked: dict[str, JsonValue] = {} if to is None else {"to": to}
    send("skip", prompt, reason=reason, by=by, key=key, asked=asked)


@rollouts.command(rich_help_panel=OPERATE)
def approve(prompt: Prompt, *, reason: Reason = "", by: By = "", key: Key = "") -> None:
    """Open the gate of a stage that waits for an approval."""
    send("approve", prompt, reason=reason, by=by, key=key)


@rollouts.command(rich_help_panel=OPERATE)
def rollback(
    prompt: Prompt,
    *,
    reason: Reason = "",
    by: By = "",
    key: Key = "",
    direct: Annotated[
        bool, typer.Option("--direct", help="In the database, with Temporal up or down.")
    ] = False,
) -> None:
    """Return every user to the version before, now and for good."""
    if not direct:
        send("rollback", prompt, reason=reason, by=by, key=key)
        return
    from terminal.desk import roll_back_directly

    said = roll_back_directly(*prompt_of(prompt), reason=reason, by=operator(by))
    say(f"{prompt}: {carry_out(said)}")


@rollouts.command(rich_help_panel=LOOK)
def status(prompt: Prompt, *, as_json: AsJson = False) -> None:
    """Show where the latest rollout of a prompt stands."""
    picture = _look(prompt)
    if as_json:
        say_json(picture.to_json())
        return
    from terminal import screen

    out.print(screen.draw(picture))


@rollouts.command(rich_help_panel=LOOK)
def watch(prompt: Prompt, *, as_json: AsJson = False) -> None:
    """Follow a rollout to its end, with keys to steer it: exit 0 if it was promoted, 1 if not.

    q or Ctrl-C leaves it alone. Without a terminal: one line per change, or with --json an object.
    """
    _follow(prompt, as_json=as_json)


@rollouts.command(rich_help_panel=LOOK)
def why(prompt: Prompt, *, as_json: AsJson = False) -> None:
    """Say what a rollout waits for, until when, on what grounds, and what is in its way."""
    picture = _look(prompt)
    if as_json:
        say_json(picture.to_json())
        return
    from terminal import screen

    out.print(screen.why(picture))


@rollouts.command(rich_help_panel=LOOK)
def journal(prompt: Prompt, *, as_json: AsJson = False) -> None:
    """Show every decision of the latest rollout of a prompt, and its reason."""
    from terminal.desk import decisions

    found = carry_out(decisions(*prompt_of(prompt)))
    if as_json:
        say_json([decision.model_dump(mode="json") for decision in found])
        return
    from terminal import screen

    out.print(screen.journal(found))


@rollouts.command("list", rich_help_panel=LOOK)
def list_(
    *,
    live: Annotated[bool, typer.Option("--live", help="Only what has not ended.")] = False,
    state: Annotated[
        list[str] | None,
        typer.Option(help="Only in this state, such as paused; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    as_json: AsJson = False,
) -> None:
    """List rollouts: the live ones first, then those that have ended, the latest first."""
    from terminal import listing
    from terminal.desk import every_rollout

    wanted = listing.states(state or [])
    found = carry_out(every_rollout(live=live, limit=limit))
    if wanted:
        found = [one for one in found if listing.state_of(one) in wanted]
    if as_json:
        say_json([listing.listed(one) for one in found])
    elif found:
        out.print(listing.listing(found, now=datetime.now(UTC), width=out.width))
    elif live or wanted:
        say("no such rollout: `rampart list` shows all of them")
    else:
        say("no rollouts yet: start one with `rampart start PROMPT CANDIDATE`")


def _companion(text: str) -> "JsonValue":
    prompt, equals, candidate = text.rpartition("=")
    if not (equals and candidate):
        raise Usage(f"--with must be PROMPT=CANDIDATE, such as farewell.system=2.0.0, got {text!r}")
    name, prompt_type = prompt_of(prompt)
    return {"name": name, "prompt_type": prompt_type, "candidate": candidate}


def _start(request: "RolloutRequest", *, key: str) -> None:
    from terminal.desk import start

    opened = carry_out(start(request, key=key))
    shown = opened.progress
    prompt = f"{request.name}.{request.prompt_type}"
    done = "scheduled" if shown.phase == "scheduled" else "started"
    say(f"{done} {prompt}: {shown.baseline or '?'} → {request.candidate}, plan {request.plan.name}")
    for each in shown.companions:
        say(f"  with    {each}")
    say(f"  id      {shown.rollout_id or opened.description.workflow_id}")
    if done == "scheduled":
        say(f"  waits   for {shown.waiting_for}")
    if not opened.answers:
        say("  but     no worker answers: it begins as soon as there is one (`rampart worker`)")
    if opened.link:
        say(f"  UI      {opened.link}")
    say(f"  follow  rampart watch {prompt}")


def _look(prompt: str) -> "Picture":
    from terminal.desk import look

    return carry_out(look(*prompt_of(prompt)))


def _follow(prompt: str, *, as_json: bool) -> None:
    from terminal import screen
    from terminal.desk import follow, keep_watch
    from terminal.watch import JsonLines, Lines

    name, prompt_type = prompt_of(prompt)
    try:
        if as_json:
            last = carry_out(follow(name, prompt_type, show=JsonLines()))
        elif answers_keys():
            last = carry_out(keep_watch(name, prompt_type))
            out.print(screen.draw(last))
        else:
            last = carry_out(follow(name, prompt_type, show=Lines(out)))
    except KeyboardInterrupt:
        warn(f"no longer watching; the rollout of {prompt} goes on without you")
        raise
    if not as_json:
        say(f"{last.progress.prompt or prompt} {screen.ending(last)}")
    if not last.promoted:
        raise typer.Exit(1)
