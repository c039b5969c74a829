"""What can go wrong, how it is told, and with which code a command ends."""

import inspect

import cli
from docs.site.reference.markdown import MADE, code, plain, table
from domain import errors
from domain.errors import RampartError
from domain.manual import prose, summary
from gateway.document import OF_OPERATORS, REFUSALS
from gateway.problems import problem_of

HEAD = """\
# Errors

An error is one line that names the thing, the state or value it is in, and what is allowed. The
command line prints it to stderr and never a traceback; the gateway answers it as
`application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)); a workflow's
update is refused with it.

## Exit codes

"""
DIAGNOSED = {130: "Interrupted, by Ctrl-C.", 143: "Told to end, by SIGTERM or SIGHUP."}


def page() -> str:
    """Return the page."""
    exits = table(("code", "meaning"), ((code(n), said) for n, said in exit_codes().items()))
    tree = f"## Of the domain\n\n```text\n{_tree()}\n```\n\n"
    rows = ((code(kind.__name__), plain(summary(kind)), _status(kind)) for kind in kinds())
    told = table(("error", "what it means", "over HTTP"), rows)
    statuses = sorted((REFUSALS | OF_OPERATORS).items())
    over = "## Over HTTP\n\n" + table(("status", "meaning"), ((code(n), s) for n, s in statuses))
    return MADE + HEAD + exits + tree + told + over


def exit_codes() -> dict[int, str]:
    """Return the codes that the command line's own docstring names."""
    _, _, said = prose(cli).partition("Exit codes: ")
    named = (part.strip().partition(" ") for part in " ".join(said.split()).split(";"))
    found = {int(number): f"{text[:1].upper()}{text[1:].rstrip('.')}." for number, _, text in named}
    return found | DIAGNOSED


def kinds() -> list[type[RampartError]]:
    """Return every error of the domain, in the order of their definitions."""
    found = (each for _, each in inspect.getmembers(errors, inspect.isclass))
    ours = [each for each in found if issubclass(each, RampartError)]
    return sorted(ours, key=lambda kind: inspect.getsourcelines(kind)[1])


def _tree() -> str:
    return prose(errors).partition("\n\n")[2]


def _status(kind: type[RampartError]) -> str:
    return code(problem_of(kind("")).status.value)
