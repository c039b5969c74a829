"""`rampart amend` and `extend`, which change the plan of a live rollout; and how verbs are sent."""

from typing import TYPE_CHECKING, Annotated

import typer

from terminal.catalog import By, Key, Prompt, Reason, operator, read_plan
from terminal.console import Usage, carry_out, prompt_of, say

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from collections.abc import Mapping

    from pydantic import JsonValue

OPERATE = "Roll out"

amendments = typer.Typer()


@amendments.command(rich_help_panel=OPERATE)
def extend(
    prompt: Prompt,
    longer: Annotated[str, typer.Argument(metavar="LONGER", help="By how much, such as 2h.")],
    *,
    reason: Reason = "",
    by: By = "",
    key: Key = "",
) -> None:
    """Bake the running stage, or watch the promoted version, for LONGER."""
    from domain.duration import spell
    from terminal.timing import duration

    asked: dict[str, JsonValue] = {"longer": spell(duration(longer, option="LONGER"))}
    send("extend", prompt, reason=reason, by=by, key=key, asked=asked)


@amendments.command(rich_help_panel=OPERATE)
def amend(
    prompt: Prompt,
    *,
    plan: Annotated[
        str | None, typer.Option(help="Another plan: a preset's name, or a file.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="PLACE=VALUE, such as stages.2.bake=6h; may be repeated."),
    ] = None,
    reason: Reason = "",
    by: By = "",
    key: Key = "",
) -> None:
    """Change the plan of the live rollout; evidence, salt and users stay."""
    if plan is None and not changes:
        raise Usage("give --plan, or --set PLACE=VALUE, such as --set final_bake=2h")
    asked: dict[str, JsonValue] = {"set": dict(map(_change, changes or []))}
    if plan is not None:
        asked["plan"] = read_plan(plan).model_dump(mode="json")
    send("amend", prompt, reason=reason, by=by, key=key, asked=asked)


def _change(text: str) -> "tuple[str, JsonValue]":
    """Read PLACE=VALUE. A list or map is written as in a plan; all else is a number or a text."""
    import json

    import yaml

    place, equals, value = text.partition("=")
    if not (place and equals):
        raise Usage(f"--set takes PLACE=VALUE, such as final_bake=2h, got {text!r}")
    try:
        if value[:1] in ("[", "{"):
            return place, json.loads(json.dumps(yaml.safe_load(value), default=str))
        return place, json.loads(value)
    except yaml.YAMLError as error:
        raise Usage(f"--set {place}: {value!r} is not YAML") from error
    except ValueError:
        return place, value


def send(
    verb: str,
    prompt: str,
    *,
    reason: str,
    by: str,
    key: str,
    asked: "Mapping[str, JsonValue] | None" = None,
) -> None:
    """Send a verb to the live rollout, and say what it answers."""
    from terminal.desk import order
    from workflows.commands import Verb

    name, prompt_type = prompt_of(prompt)
    sent = {"reason": reason, "by": operator(by), "key": key}
    answer = carry_out(order(Verb(verb), name, prompt_type, **sent, asked=asked or {}))
    say(f"{prompt}: {answer.said}")
    for change in answer.changes:
        say(f"  {change}")
