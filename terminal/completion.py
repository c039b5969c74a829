"""What a shell completes after TAB: commands, options, prompts, versions, plans; never an error."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.console import say

if TYPE_CHECKING:  # heavy, and asked for by TAB alone
    from domain.database import Database

PATIENCE_S = 2.0  # whoever presses TAB waits no longer
PRESETS = ("conservative", "standard", "aggressive", "demo")  # a test holds them to `domain.plan`


class Shell(StrEnum):
    """What can be completed in."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print what makes a shell complete commands, prompts and versions.

    bash: source <(rampart completion bash), in ~/.bashrc; zsh likewise, in ~/.zshrc, after
    compinit; fish: rampart completion fish > ~/.config/fish/completions/rampart.fish
    """
    from typer._completion_shared import get_completion_script

    say(
        get_completion_script(
            prog_name="rampart", complete_var="_RAMPART_COMPLETE", shell=shell.value
        )
    )


def prompts(incomplete: str) -> Sequence[str]:
    """Return the prompts that begin so."""
    return [flag for flag in _asked("prompts", "") if flag.startswith(incomplete)]


def versions(context: typer.Context, incomplete: str) -> Sequence[str]:
    """Return the versions of the prompt before, that begin so."""
    prompt = str(context.params.get("prompt") or "")
    return [number for number in _asked("versions", prompt) if number.startswith(incomplete)]


def plans(incomplete: str) -> Sequence[str]:
    """Return the presets that begin so; a shell completes files by itself where none does."""
    return [name for name in PRESETS if name.startswith(incomplete)]


def _asked(what: str, prompt: str) -> Sequence[str]:
    """Ask the database; nothing where it is away, empty, or of another release."""
    import asyncio
    from contextlib import suppress

    from sqlalchemy.exc import SQLAlchemyError

    from domain.errors import RampartError

    with suppress(RampartError, SQLAlchemyError, OSError, TimeoutError):
        return asyncio.run(_known(what, prompt))
    return ()


async def _known(what: str, prompt: str) -> Sequence[str]:
    import asyncio

    from domain.database import Database
    from domain.versions import VersionManager
    from settings import Settings

    database = Database(Settings.from_env().database_url)
    try:
        async with asyncio.timeout(PATIENCE_S):
            if not await _is_made(database):
                return ()
            manager = VersionManager(database)
            if what == "prompts":
                return [".".join(pair) for pair in await manager.list_prompts()]
            name, _, prompt_type = prompt.rpartition(".")
            return [one.version for one in await manager.list_versions(name, prompt_type)]
    finally:
        await database.dispose()


async def _is_made(database: "Database") -> bool:
    """Say whether it has our tables: TAB must not be what makes them."""
    import asyncio
    from pathlib import Path

    from domain import schema

    if database.url.get_backend_name() == "sqlite":
        file = Path(database.url.database or "")
        if not await asyncio.to_thread(file.is_file):
            return False
    return await schema.current(database) == schema.HEAD
