"""`rampart notify …`: who is told, whether that works, and what could not be told."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.catalog import AsJson
from terminal.console import Usage, carry_out, say, say_json

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from domain.notifications.outbox import Standing
    from domain.notifications.post import Post
    from domain.notifications.targets import Directory, Target

NOBODY = (
    "nobody is notified: set RAMPART_NOTIFY to a URL such as slack://…,"
    " or RAMPART_NOTIFY_FILE to a file of targets"
)
Which = Annotated[str | None, typer.Argument(metavar="[TARGET]", help="By default each of them.")]

notifying = typer.Typer(help="See who is told of rollouts, and whether that works.")


@notifying.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@notifying.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the targets of the settings: what each asks for, and as much of its URL as is public."""
    post, directory = _post()
    rows = [_row(target) for target in directory.targets]
    problems = list(post.wording.problems())
    if as_json:
        say_json({"targets": rows, "problems": problems})
    elif rows:
        for row in rows:
            say(f"{row['name']:<12} {row['where']:<28} {row['kinds']}, of {row['prompts']}")
    else:
        say(NOBODY)
    if problems:
        raise Usage(f"our own words are used for {'; '.join(problems)}")


@notifying.command("test")
def try_out(target: Which = None) -> None:
    """Send a test to TARGET, or to each, from here; templates are tried out too."""
    post, _ = _post()
    names = [target] if target else list(post.targets)
    if not names:
        raise Usage(NOBODY)
    if unknown := set(names) - set(post.targets):
        known = ", ".join(post.targets) or "none"
        raise Usage(f"no target {unknown.pop()!r}: configured are {known}")
    failures = carry_out(_tried(post, names))
    for name in names:
        if name not in failures:
            say(f"{name} took it")
    if wrong := [*failures.values(), *post.wording.problems()]:
        raise Usage("; ".join(wrong))


async def _tried(post: "Post", names: list[str]) -> dict[str, str]:
    """Send to each; return why some did not get it."""
    from domain.errors import Undelivered
    from domain.notifications.wording import sample

    async def tried(name: str) -> str:
        try:
            await post.send(sample(at=datetime.now(UTC)), name)
        except Undelivered as error:
            return str(error)
        return ""

    whys = await asyncio.gather(*(tried(name) for name in names))
    return {name: why for name, why in zip(names, whys, strict=True) if why}


@notifying.command("status")
def status(*, as_json: AsJson = False) -> None:
    """Show how many notifications wait, were sent and failed, and why the latest failed."""
    found = carry_out(_standing())
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    say(", ".join(f"{count} {status}" for status, count in found.counts.items()))
    if found.oldest:
        say(f"the oldest that waits is of {found.oldest:%Y-%m-%d %H:%M:%S} UTC")
    for failure in found.failures:
        why = "; ".join(failure.reasons.values())
        say(f"failed: {failure.at:%Y-%m-%d %H:%M} {failure.prompt} {failure.kind}: {why}")


async def _standing() -> "Standing":
    from domain.notifications.outbox import Outbox
    from terminal.desk import storage

    async with storage() as database:
        return await Outbox(database).standing()


def _post() -> "tuple[Post, Directory]":
    from domain.notifications.post import Post
    from domain.notifications.targets import Directory
    from settings import Settings

    settings = Settings.from_env()
    directory = Directory.read(settings.notify, settings.notify_file)
    return Post(directory, ui=settings.ui_url), directory


def _row(target: "Target") -> dict[str, str]:
    from domain.notifications.senders import masked

    where = masked(target.address())
    return {
        "name": target.name,
        "where": f"{where} signed" if target.webhook else where,
        "kinds": "everything" if target.kinds is None else " ".join(target.kinds),
        "prompts": " ".join(target.prompts),
    }
