"""Every command with what it takes, from the application itself."""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperArgument, TyperOption
from typer.main import get_command

import cli
from docs.site.reference.markdown import MADE, code, plain, table

HEAD = """\
# Commands

What `rampart` does, and with which options; `rampart COMMAND --help` says the same. Each of them
reads the [settings](settings.md) and ends with one of the [exit codes](errors.md#exit-codes).

"""
ELSE = "Run"  # the group of what names none


def page() -> str:
    """Return the page."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, command in sorted(get_command(cli.app).commands.items()):  # type: ignore[attr-defined]
        groups.setdefault(command.rich_help_panel or ELSE, []).append((name, command))
    index = table(("", "commands"), ((group, _links(found)) for group, found in groups.items()))
    body = "".join(
        _section(name, command) for _, found in groups.items() for name, command in found
    )
    return MADE + HEAD + index + body


def commands() -> Iterator[tuple[str, Any]]:
    """Return every command that can be run: `version create`, and what it is."""
    for name, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        yield from _below(name, command)


def options(command: Any) -> list[TyperArgument | TyperOption]:
    """Return what a command takes; `--help` goes without saying."""
    return [each for each in command.params if each.name != "help" and not each.hidden]


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not (below := getattr(command, "commands", None)):
        yield name, command
        return
    for part, each in below.items():
        yield from _below(f"{name} {part}", each)


def _links(found: list[tuple[str, Any]]) -> str:
    return ", ".join(f"[`{name}`](#rampart-{name})" for name, _ in found)


def _section(name: str, command: Any) -> str:
    head = f"## `rampart {name}` {{ #rampart-{name} }}\n\n"
    if not (below := getattr(command, "commands", None)):
        return head + _told(f"rampart {name}", command)
    parts = (
        f"### `rampart {name} {part}` {{ #rampart-{name}-{part} }}\n\n"
        + _told(f"rampart {name} {part}", each)
        for part, each in below.items()
    )
    return f"{head}{plain(command.help or '')}\n\n{''.join(parts)}"


def _told(path: str, command: Any) -> str:
    taken = options(command)
    places = [each for each in taken if isinstance(each, TyperArgument)]
    named = [each for each in taken if isinstance(each, TyperOption)]
    words = [path, *(_place(each) for each in places), *(["[OPTIONS]"] if named else [])]
    said = plain(command.help or "").strip()
    return (
        f"{said}\n\n```text\n{' '.join(words)}\n```\n\n"
        + table(("argument", "default", "meaning"), map(_argument, places))
        + table(("option", "default", "meaning"), map(_option, named))
    )


def _place(argument: TyperArgument) -> str:
    name = (argument.metavar or str(argument.name)).upper()
    name += " …" if argument.nargs == -1 or argument.multiple else ""
    return name if argument.required else f"[{name}]"


def _argument(argument: TyperArgument) -> tuple[str, str, str]:
    return code(_place(argument).strip("[]")), _default(argument), plain(argument.help or "")


def _option(option: TyperOption) -> tuple[str, str, str]:
    names = ", ".join(code(name) for name in [*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" {code(option.metavar or _value(option))}"
    said = plain(option.help or "")
    return names + value, _default(option), said + (" **Required.**" if option.required else "")


def _value(option: TyperOption) -> str:
    of = option.type_descriptor.annotation
    names = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "Path": "PATH"}
    return next((shown for name, shown in names.items() if name in str(of)), "TEXT")


def _default(taken: TyperArgument | TyperOption) -> str:
    given = taken.default
    if given in (None, "", False, [], ()) or not taken.show_default or callable(given):
        return ""
    return code(given)
