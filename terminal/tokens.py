"""`rampart token …`: who may ask the gateway, and for what."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from terminal.catalog import AsJson, By, operator
from terminal.console import Usage, carry_out, err, out, say, say_json

if TYPE_CHECKING:  # heavy, so commands import it when they run: `rampart --help` is quick
    from datetime import timedelta

    from domain.tokens import TokenManager

Result = TypeVar("Result")

tokens = typer.Typer(help="Make, list and revoke tokens for the gateway.")


@tokens.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@tokens.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Of its holder, as journals will show it.")],
    *,
    role: Annotated[list[str], typer.Option(help="evaluate, ingest, operate, admin; repeatable.")],
    lifetime: Annotated[
        str, typer.Option(help="Such as 90d; by default until revoked.", show_default=False)
    ] = "",
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Make a token, and print it: this once, for only its hash is kept."""
    until = _duration(lifetime) if lifetime else None
    made = _with_tokens(lambda manager: manager.create(name, role, lifetime=until, by=operator(by)))
    if as_json:
        say_json(made.token.model_dump(mode="json") | {"text": made.text})
        return
    roles = ", ".join(made.token.roles)
    err.print(f"token {made.token.id} of {name}, for {roles}; it is shown this once:")
    say(made.text)


@tokens.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List tokens, the newest first; what they open is not kept."""
    found = _with_tokens(lambda manager: manager.list())
    if as_json:
        say_json([token.model_dump(mode="json") for token in found])
        return
    if not found:
        say("no tokens yet: make one with `rampart token create NAME --role evaluate`")
        return
    from terminal.token_sheet import listing

    out.print(listing(found))


@tokens.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(help="Its id, as `rampart token list` shows it.")],
    *,
    by: By = "",
) -> None:
    """End a token for good: within five seconds, no gateway lets it pass."""
    ended = _with_tokens(lambda manager: manager.revoke(token, by=operator(by)))
    say(f"token {ended.id} of {ended.name} is revoked")


def _duration(text: str) -> "timedelta":
    from datetime import timedelta

    from pydantic import TypeAdapter, ValidationError

    from domain.duration import Duration
    from domain.value import complaint

    try:
        return TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError as error:
        raise Usage(f"--lifetime {complaint(error)}") from error


def _with_tokens(work: "Callable[[TokenManager], Coroutine[Any, Any, Result]]") -> Result:
    from domain.tokens import TokenManager
    from terminal.desk import storage

    async def do() -> Result:
        async with storage() as database:
            return await work(TokenManager(database))

    return carry_out(do())
