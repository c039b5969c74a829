"""What a template may say: variables, `if`, `for`, tests and filters of Jinja2; no calls.

Whoever writes a template is not trusted. Jinja2's sandbox bars attributes; beyond that, nodes,
filters and tests that are not listed here are refused before anything runs, values are plain JSON
and are looked into by their keys alone, and loops and filters draw on a budget. So a template can
neither reach an object nor run or grow without end, and the same values give the same text.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import (
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    meta,
    nodes,
    pass_context,
)
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from domain.errors import InvalidValue
from domain.templates.filters import FILTERS, OUTPUT_LIMIT, Filter, shown

TEMPLATE_LIMIT = 200_000  # characters
PARTS_LIMIT = 5_000  # nodes of its syntax tree
STEPS = 200_000  # parts that are evaluated, those in loops again and again
CHARACTERS_PER_STEP = 50_000  # of all values: where they are large, a step counts for more
CACHED = 512  # programs
ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List,
    nodes.Tuple, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Keyword,
    nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg,
    nodes.CondExpr, nodes.If, nodes.For,
)  # fmt: skip
TESTS = (
    "boolean", "defined", "divisibleby", "eq", "even", "false", "in", "mapping", "ne", "none",
    "number", "odd", "sequence", "string", "true", "undefined",
)  # fmt: skip
LOOP = ("index", "index0", "revindex", "revindex0", "first", "last", "length")
# No template can say these names: they hold blanks.
BUDGET, COUNTED = " budget", " counted"
WRONG = (
    TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError,
    RecursionError,
)  # fmt: skip


class _Missing(StrictUndefined):
    """A variable without a value; `defined` and `default` alone may meet it."""

    @property
    def _undefined_message(self) -> str:
        return f"{self._undefined_name!r} has no value: give one, or a default"


@dataclass(slots=True)
class _Budget:
    left: int
    price: int

    def take(self, steps: int) -> None:
        self.left -= steps * self.price
        if self.left < 0:
            raise InvalidValue("it takes too long: use fewer loops, or smaller values")


class _Language(ImmutableSandboxedEnvironment):
    """Looks into mappings by key and into sequences by place, and into nothing else."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return obj[argument]
        if isinstance(obj, Mapping) and argument in obj:
            return obj[argument]
        if (
            isinstance(obj, Sequence)
            and isinstance(argument, int)
            and -len(obj) <= argument < len(obj)
        ):
            return obj[argument]
        if isinstance(obj, LoopContext) and argument in LOOP:
            return getattr(obj, argument)
        return self.undefined(name=argument)


@dataclass(frozen=True)
class Program:
    """A template ready to run. `variables` are those it mentions without giving them a value."""

    template: Any
    variables: frozenset[str]
    parts: int

    def run(self, values: Mapping[str, Any], *, size: int) -> str:
        """Return the text.

        Args:
            values: Plain JSON.
            size: Of all values together, in characters.

        Raises:
            InvalidValue: A variable has no value, a value does not fit what is done to it, or the
                text or the time would be too long.
        """
        budget = _Budget(STEPS, price=1 + size // CHARACTERS_PER_STEP)
        try:
            budget.take(self.parts)
            return _bounded(self.template.generate({**values, BUDGET: budget}))
        except InvalidValue:
            raise
        except WRONG as error:
            raise InvalidValue(str(error)) from error


@lru_cache(CACHED)
def program(text: str, *, first_line: int = 1) -> Program:
    """Return the template ready to run.

    Args:
        text: At most 200 000 characters, and 5 000 parts.
        first_line: Its number, for messages.

    Raises:
        InvalidValue: It is not of the language; the message begins with the line.
    """
    if len(text) > TEMPLATE_LIMIT:
        raise InvalidValue(f"must have at most {TEMPLATE_LIMIT} characters, got {len(text)}")
    try:
        return _compiled(text, first_line=first_line)
    except InvalidValue:
        raise
    except TemplateSyntaxError as error:
        line = first_line + error.lineno - 1
        raise InvalidValue(f"line {line}: {(error.message or '').rstrip('.')}") from error
    except (RecursionError, SyntaxError) as error:
        raise InvalidValue(f"line {first_line}: it is nested too deeply") from error
    except (TemplateError, ValueError) as error:  # of constants: digits too many, a key too much
        raise InvalidValue(f"line {first_line}: {error}") from error


def _compiled(text: str, *, first_line: int) -> Program:
    tree = LANGUAGE.parse(text)
    parts = [*tree.find_all(nodes.Node)]
    if len(parts) > PARTS_LIMIT:
        raise InvalidValue(f"must have at most {PARTS_LIMIT} parts, got {len(parts)}")
    for part in parts:
        _check(part, line=first_line + (part.lineno or 1) - 1)
    variables = frozenset(meta.find_undeclared_variables(tree))
    for loop in [part for part in parts if isinstance(part, nodes.For)]:
        _count(loop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of Python, about `1[0]`: told when it runs
        return Program(LANGUAGE.from_string(tree), variables, len(parts))


def _bounded(pieces: Iterator[str]) -> str:
    rendered, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > OUTPUT_LIMIT:
            raise InvalidValue(f"it renders more than {OUTPUT_LIMIT} characters")
        rendered.append(piece)
    return "".join(rendered)


def _check(node: nodes.Node, *, line: int) -> None:
    wrong = ""
    if not isinstance(node, ALLOWED):
        wrong = f"{type(node).__name__} is not allowed: use variables, if, for, tests and filters"
    elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
        wrong = f"no filter {node.name!r}: there are {', '.join(FILTERS)}"
    elif isinstance(node, nodes.Test) and node.name not in TESTS:
        wrong = f"no test {node.name!r}: there are {', '.join(TESTS)}"
    if wrong:
        raise InvalidValue(f"line {line}: {wrong}")


def _count(loop: nodes.For) -> None:
    """Have the loop draw from the budget what all of its rounds will take, before the first."""
    parts = sum(1 for part in loop.body for _ in [part, *part.find_all(nodes.Node)])
    loop.iter = nodes.Filter(loop.iter, COUNTED, [nodes.Const(1 + parts)], [], None, None)
    loop.set_environment(LANGUAGE)


@pass_context
def _counted(context: Context, value: Sequence[Any], parts: int) -> Sequence[Any]:
    if not isinstance(value, list | tuple | str | dict):
        raise InvalidValue(f"for needs a list, got {shown(value):.60}")
    context.parent[BUDGET].take(len(value) * parts)
    return value


def _charged(function: Filter) -> Filter:
    """Have a filter draw from the budget by the size of what it is given."""

    @pass_context
    def charged(context: Context, value: Any, *args: Any, **options: Any) -> Any:
        size = len(value) if isinstance(value, str | list | tuple | dict) else 1
        context.parent[BUDGET].take(1 + size // 1000)
        return function(value, *args, **options)

    return charged


def _language() -> _Language:
    made = _Language(
        undefined=_Missing, finalize=shown, keep_trailing_newline=True, optimized=False
    )
    made.globals.clear()
    made.filters = {name: _charged(function) for name, function in FILTERS.items()}
    made.filters[COUNTED] = _counted
    made.tests = {name: made.tests[name] for name in TESTS}
    return made


LANGUAGE = _language()
