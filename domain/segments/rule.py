"""Rules on users' attributes, in CEL, the Common Expression Language.

Rules are evaluated while users wait, so a rule may only do what takes a time linear in its length
and its attributes: no macros over lists, no regular expressions, no arithmetic.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import JsonValue

from domain.errors import InvalidValue

if TYPE_CHECKING:  # half a second to load: it brings a command line of its own
    import cel

RULE_LENGTH = 2_000  # characters
LETTERS = 10_000  # characters in one attribute, in all its texts together
ITEMS = 1_000  # values in one attribute, at every depth together
DEPTH = 16  # of one attribute; a conversion without this bound can overflow the stack
JSON = (str, bool, int, float, dict, list, tuple)
USER_ID = "user_id"
LOGIC = {"!_", "_&&_", "_||_", "_?_:_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "-_"}
REACH = {"@in", "_[_]", "size", "startsWith", "endsWith", "contains"}
CONVERSIONS = {"int", "double", "string", "timestamp"}
ALLOWED = LOGIC | REACH | CONVERSIONS
SAID = (
    "allowed are comparisons, &&, ||, !, ?:, in, has, [ ], size, startsWith, endsWith, contains,"
    " int, double, string, timestamp"
)
# All that an evaluation may raise: undefined names, types, numbers, indexes, what is no JSON.
NO_MATCH = (RuntimeError, TypeError, ValueError, ArithmeticError, LookupError)
WHERE = re.compile(r"<input>:\d+:(\d+): (?:Syntax error: )?(.*)")

Attributes = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule. `variables` are the attributes it reads; `user_id` is always there."""

    text: str
    variables: tuple[str, ...]
    program: "cel.Program"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Compile a rule, such as `plan == "premium" && country in ["DE", "FR"]`.

        Raises:
            InvalidValue: It is no CEL, longer than 2 000 characters, or does what a rule may not.
        """
        if not (isinstance(text, str) and 0 < len(text) <= RULE_LENGTH and text.isprintable()):
            allowed = f"1 to {RULE_LENGTH} printable characters"
            raise InvalidValue(f"rule must be {allowed}, got {text!a:.60}")
        import cel

        try:
            program = cel.compile(text)
        except ValueError as error:
            raise InvalidValue(
                f"rule is not CEL: {_where(str(error))}, got {text!r:.200}"
            ) from error
        if strange := sorted(set(program.functions()) - ALLOWED):
            used = strange[0] if strange[0].isalpha() else "arithmetic or a macro over a list"
            raise InvalidValue(f"rule must not use {used}: {SAID}; got {text!r:.200}")
        return cls(text, tuple(program.variables()), program)

    def matches(self, user_id: str, attributes: Attributes) -> bool:
        """Say whether the rule is true of the user. Never raises.

        An attribute that is no JSON, or one of more than 16 levels, 1 000 values or 10 000
        characters, counts as missing. A rule that cannot be evaluated without it does not match.
        """
        read = {name: attributes[name] for name in self.variables if name in attributes}
        if USER_ID in self.variables:
            read[USER_ID] = user_id
        try:
            sound = {name: value for name, value in read.items() if _sound(value)}
            return self.program.execute(sound) is True
        except NO_MATCH:
            return False


def _where(said: str) -> str:
    """Return the place and the first finding of CEL's report of many lines."""
    if found := WHERE.search(said):
        what = found[2].partition(" expecting ")[0]
        return f"{what} at character {found[1]}"
    return " ".join(said.split())[:120]


def _sound(value: object) -> bool:
    """Say whether an attribute is JSON of a size that is quick and safe to convert."""
    layer: list[object] = [value]
    values = letters = 0
    for _ in range(DEPTH):
        if not all(value is None or isinstance(value, JSON) for value in layer):
            return False
        inside = [_parts(value) for value in layer if isinstance(value, dict | list | tuple)]
        values += len(layer)
        letters += sum(len(value) for value in layer if isinstance(value, str))
        if values + sum(map(len, inside)) > ITEMS or letters > LETTERS:
            return False
        if not inside:
            return True
        layer = [value for part in inside for value in part]
    return False


def _parts(value: Collection[object]) -> Collection[object]:
    """Return what is in a list, or the keys and values of a map that is not too big already."""
    if isinstance(value, dict) and len(value) <= ITEMS:
        return [*value, *value.values()]
    return value
