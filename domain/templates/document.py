"""A template file: front matter in YAML between two lines of `---`, then the template.

```
---
version: 2.0.0
defaults: {tone: warm}
---
Write to {{name}} in a {{tone}} tone.
```
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from domain.errors import InvalidValue
from domain.prompts import Json, VersionStatus
from domain.templates.language import program
from domain.templates.variables import defaults_of, rules_of
from domain.value import Label, Value, complaint

FENCE = re.compile(r"^-{3,}[ \t]*$", re.MULTILINE)


class FrontMatter(Value):
    """What a file says of its version; everything may be left out.

    Attributes:
        version: Its number, x.y.z; by default the highest of the prompt, patch + 1.
        defaults: Values of the variables that are not given.
        validation: Rules, by the name of the variable: `domain.templates.variables.Rule`.
        tags: What a new version is tagged; who carries them loses them.
        metadata: What else is to be kept.
        status: Of a new version.
        parent: The number of the version it was made from.
    """

    version: str | None = None
    defaults: Json = Field(default_factory=dict)
    validation: Json | None = None
    tags: tuple[Label, ...] = ()
    metadata: Json = Field(default_factory=dict)
    status: VersionStatus = VersionStatus.ACTIVE
    parent: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        defaults_of(self.defaults, rules_of(self.validation))
        return self


@dataclass(frozen=True)
class Document:
    """What a file holds, judged."""

    front: FrontMatter
    template: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file's text; blank lines around front matter and template do not count.

        Raises:
            InvalidValue: One line, which begins with the number of the line that is wrong.
        """
        text = text.replace("\r\n", "\n")
        begin, end = _front(text)
        front = _front_matter(text[begin:end], first_line=_line(text, begin)) if end else None
        rest = FENCE.sub("", text[end:], count=1) if end else text
        template = rest.strip()
        if not template:
            raise InvalidValue(f"line {_line(text, len(text.rstrip()))}: there is no template")
        front = front or FrontMatter()
        program(template, first_line=_line(text, len(text) - len(rest.lstrip())))
        return cls(front, template)


class _Loader(yaml.SafeLoader):
    """YAML without what may surprise: aliases that explode, keys that are lost, dates."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                problem = f"key {key.value!r} is given twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _as_written(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_written)


def _front(text: str) -> tuple[int, int]:
    """Return where the front matter begins and ends; both 0 if there is none."""
    start = len(text) - len(text.lstrip())
    opened = FENCE.match(text, start)
    if opened is None:
        return 0, 0
    closed = FENCE.search(text, opened.end())
    if closed is None:
        raise InvalidValue(f"line {_line(text, start)}: the front matter is not closed by ---")
    return opened.end(), closed.start()


def _front_matter(text: str, *, first_line: int) -> FrontMatter:
    try:
        given = yaml.load(text, _Loader)  # noqa: S506  # it is a safe loader
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        raise InvalidValue(f"line {line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidValue(
            f"line {first_line}: not YAML: {' '.join(str(error).split())}"
        ) from error
    try:
        return FrontMatter.model_validate({} if given is None else given)
    except ValidationError as error:
        line = first_line + _place(text, error)
        raise InvalidValue(f"line {line}: {complaint(error)}") from error


def _place(text: str, error: ValidationError) -> int:
    """Return how many lines stand before the field that is wrong, as far as can be told."""
    at = error.errors(include_url=False)[0]
    named = re.match(r"Value error, (?:unknown field '(.*?)'|(\w+):)", at["msg"])
    key = str(at["loc"][0]) if at["loc"] else (named[1] or named[2]) if named else ""
    found = re.search(rf"^['\"]?{re.escape(key)}\b", text, re.MULTILINE) if key else None
    return text.count("\n", 0, found.start()) if found else 0


def _line(text: str, place: int) -> int:
    return 1 + text.count("\n", 0, place)
