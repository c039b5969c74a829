"""A template with its defaults and its rules: values in, text out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from domain.errors import InvalidValue
from domain.prompts import Json, PromptVersion
from domain.templates.filters import OUTPUT_LIMIT
from domain.templates.language import Program, program
from domain.templates.variables import Rule, check, defaults_of, plain, rules_of, size

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Template:
    """What a version says once its variables have values."""

    program: Program
    defaults: Json = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)

    @classmethod
    def of(cls, version: PromptVersion) -> Self:
        """Return the template of a version. Keep it: the same version is for ever the same.

        Raises:
            InvalidValue: The template, a default or the validation is wrong; the message says
                where.
        """
        rules = rules_of(version.validation)
        return cls(program(version.template), defaults_of(version.defaults, rules), rules)

    @property
    def variables(self) -> frozenset[str]:
        """The names of all variables it mentions."""
        return self.program.variables

    def render(self, values: Mapping[str, Any] = NOTHING) -> str:
        """Return the text, of at most 1 000 000 characters. The same values, the same text.

        Values are plain JSON; those the template does not mention are let pass, because the
        versions of one prompt may want different ones.

        Raises:
            InvalidValue: A variable has no value or a wrong one: variable, value and what is
                allowed are named. Or text, values or time would be too much.
        """
        known = self.defaults | plain(values)
        check(self.rules, known)
        total = size(known)
        if total > OUTPUT_LIMIT:
            raise InvalidValue(f"values must have at most {OUTPUT_LIMIT} characters, got {total}")
        return self.program.run(known, size=total)


def render(version: PromptVersion, values: Mapping[str, Any] = NOTHING) -> str:
    """Return what the version says with these values.

    Raises:
        InvalidValue: As for `Template.of` and `Template.render`; the version is named.
    """
    try:
        return Template.of(version).render(values)
    except InvalidValue as error:
        prompt = f"{version.name}.{version.prompt_type} {version.version}"
        raise InvalidValue(f"{prompt}: {error}") from error
