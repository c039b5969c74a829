"""`rampart version …` and `rampart plan …`: what may be rolled out, and how."""

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from terminal import completion
from terminal.console import Usage, carry_out, out, prompt_of, say, say_json, text_of
from terminal.importing import import_folder

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from domain.plan import RolloutPlan
    from domain.prompts import PromptVersion
    from domain.versions import VersionManager

Result = TypeVar("Result")
Prompt = Annotated[
    str,
    typer.Argument(
        metavar="PROMPT",
        help="<name>.<prompt_type>, such as greeting.system.",
        autocompletion=completion.prompts,
    ),
]
Number = Annotated[
    str,
    typer.Argument(
        metavar="VERSION", help="Its number, x.y.z.", autocompletion=completion.versions
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str, typer.Option(help="Who asks; by default you.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the journal.")]
Key = Annotated[
    str, typer.Option(help="Idempotency key: sent again, it counts once.", show_default=False)
]

NO_VERSIONS = (
    """no versions of {0} yet: make one with `rampart version create {0} --template "…"`"""
)

versions = typer.Typer(help="Make, look at, tag and revert versions of prompts.")
plans = typer.Typer(help="Check and show rollout plans.")


@versions.callback(invoke_without_command=True)
@plans.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@versions.command("create")
def create(
    prompt: Prompt,
    *,
    template: Annotated[str | None, typer.Option(help="The text itself.")] = None,
    file: Annotated[str | None, typer.Option(help="A file that holds it; - is stdin.")] = None,
    number: Annotated[str | None, typer.Option(help="x.y.z; by default the next patch.")] = None,
    status: Annotated[str, typer.Option(help="draft, active, production …")] = "active",
    tag: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    by: By = "",
) -> None:
    """Make a new version of a prompt; its content never changes afterwards."""
    from domain.fields import member
    from domain.prompts import VersionStatus

    async def make(manager: "VersionManager") -> "PromptVersion":
        return await manager.create_version(
            *prompt_of(prompt),
            _template(template, file),
            number,
            created_by=operator(by) or None,
            tags=tag or [],
            status=member(VersionStatus, status),
        )

    made = _with_versions(make)
    tagged = f", tagged {', '.join(made.tags)}" if made.tags else ""
    say(f"created {prompt} {made.version} ({made.status}{tagged})")


@versions.command("list")
def list_(
    prompt: Annotated[
        str | None,
        typer.Argument(help="By default every prompt.", autocompletion=completion.prompts),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the versions of a prompt, highest number first."""

    async def read(manager: "VersionManager") -> "list[tuple[str, list[PromptVersion]]]":
        prompts = [prompt_of(prompt)] if prompt else await manager.list_prompts()
        return [(".".join(one), await manager.list_versions(*one)) for one in prompts]

    found = [(flag, known) for flag, known in _with_versions(read) if known]
    if as_json:
        say_json([version.to_dict() for _, known in found for version in known])
        return
    if not found:
        say(NO_VERSIONS.format(prompt or "greeting.system"))
    from terminal import sheet

    for flag, known in found:
        out.print(sheet.versions(flag, known))


@versions.command("show")
def show(
    prompt: Prompt,
    version: Annotated[
        str, typer.Argument(help="x.y.z, or latest.", autocompletion=completion.versions)
    ] = "latest",
    *,
    as_json: AsJson = False,
) -> None:
    """Show one version, its template included."""
    found = _with_versions(lambda manager: _find(manager, prompt, version))
    if as_json:
        say_json(found.to_dict())
        return
    from terminal import sheet

    out.print(sheet.version(found))


@versions.command("tag")
def tag(
    prompt: Prompt,
    version: Number,
    tag: Annotated[str, typer.Argument(help="Such as production.")],
    *,
    reason: Reason = "",
    by: By = "",
) -> None:
    """Give a version a tag; whichever version carried it loses it."""

    async def move(manager: "VersionManager") -> "PromptVersion":
        found = await _find(manager, prompt, version)
        return await manager.tag_version(found.version_id, tag, by=operator(by), reason=reason)

    moved = _with_versions(move)
    say(f"{prompt} {moved.version} is tagged {', '.join(moved.tags)}")


@versions.command("revert")
def revert(prompt: Prompt, *, reason: Reason = "", by: By = "") -> None:
    """Return production to the version before; the present one is deprecated."""

    async def go_back(manager: "VersionManager") -> "PromptVersion":
        return await manager.revert(*prompt_of(prompt), by=operator(by), reason=reason)

    now = _with_versions(go_back)
    say(f"{prompt} {now.version} is in production again")


versions.command("import")(import_folder)


@plans.command("lint")
def lint(
    file: Annotated[str, typer.Argument(help="YAML or JSON; - is stdin.")],
    *,
    users_per_hour: Annotated[
        float | None,
        typer.Option(help="Who is to come: says where that is too few.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a plan without starting anything."""
    from domain.simulation.feasibility import shortfalls
    from domain.windows.advice import out_of_time

    found = _parsed(file)
    advice = found.advice() + out_of_time(found, datetime.now(UTC))
    if users_per_hour is not None:
        advice += shortfalls(found, users_per_hour)
    if as_json:
        say_json({"valid": True, "advice": advice, "plan": found.model_dump(mode="json")})
        return
    say(f"{file}: a valid plan of {len(found.stages)} stages")
    for line in advice:
        say(f"  but: {line}")


@plans.command("show")
def show_plan(
    plan: Annotated[
        str, typer.Argument(help="conservative, standard, aggressive, demo or a file.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what a plan does, stage by stage."""
    found = read_plan(plan)
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    from terminal import sheet

    out.print(sheet.plan(found))


@plans.command("schema")
def schema(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="rollout, request, segmented, experiment or monitor."),
    ] = "rollout",
) -> None:
    """Print the JSON Schema of a plan, by which editors complete and check it."""
    from domain.shape import KINDS, shape

    if kind not in KINDS:
        raise Usage(f"KIND must be one of {', '.join(KINDS)}, got {kind!r}")
    out.print(json.dumps(shape(kind), ensure_ascii=False, indent=2), soft_wrap=True)


def read_plan(plan: str) -> "RolloutPlan":
    """Return a preset, else what the file holds.

    Raises:
        InvalidPlan: It is no preset, and no file or a wrong one.
    """
    from domain.plan import PRESETS, preset

    if plan in PRESETS or not (plan == "-" or Path(plan).exists() or Path(plan).suffix):
        return preset(plan)
    return _parsed(plan)


def _parsed(file: str) -> "RolloutPlan":
    from domain.errors import InvalidPlan
    from domain.plan import RolloutPlan

    try:
        return RolloutPlan.parse(text_of(file))
    except InvalidPlan as error:
        raise InvalidPlan(f"{file}: {error}") from error


async def _find(manager: "VersionManager", prompt: str, version: str) -> "PromptVersion":
    from domain.errors import NotFound

    found = await manager.get_version(*prompt_of(prompt), version)
    if found is None:
        known = [one.version for one in await manager.list_versions(*prompt_of(prompt))]
        if not known:
            raise NotFound(NO_VERSIONS.format(prompt))
        raise NotFound(f"{prompt} has no version {version!r}: known are {', '.join(known[:10])}")
    return found


def _with_versions(work: "Callable[[VersionManager], Coroutine[Any, Any, Result]]") -> Result:
    from domain.versions import VersionManager
    from terminal.desk import storage

    async def do() -> Result:
        async with storage() as database:
            return await work(VersionManager(database))

    return carry_out(do())


def _template(template: str | None, file: str | None) -> str:
    if (template is None) == (file is None):
        raise Usage('give the template either with --template "…" or with --file FILE (- is stdin)')
    return template if template is not None else text_of(file or "-")


def operator(by: str) -> str:
    """Return who asks: the one named, else the one of the settings."""
    from settings import Settings

    return by or Settings.from_env().operator
