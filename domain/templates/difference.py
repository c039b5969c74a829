"""What differs between two versions: their texts line by line and word by word, and the rest. Pure.

The work is bounded: lines or words that would take too long to pair are told as wholly replaced.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import groupby, zip_longest
from typing import Any

CONTEXT = 3  # lines that are the same and are shown before and after what is not
FOLD = 3  # lines that are worth hiding
PAIRS = 200_000  # of lines, or of words, that are alike: what pairing them has to look through
LONG = 8_000  # lines of both texts together, above which they are not paired
MOST = 2_000  # lines that differ and are shown
ALIKE = 0.4  # of two lines, 0 to 1: below it word by word would be confetti
WORD = re.compile(r"\w+|\s+|[^\w\s]")


class Sign(StrEnum):
    """What became of a line, a word or a field."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"  # of fields alone
    FOLDED = "folded"  # lines that are the same and are not shown


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line; `changed` within a line that has another one for its partner."""

    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the difference; `before` and `after` are its numbers, from 1, in the two texts.

    Of folded lines, `count` says how many.
    """

    sign: Sign
    before: int | None = None
    after: int | None = None
    pieces: tuple[Piece, ...] = ()
    count: int = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs; `added` and `removed` count all lines, `more` those that are not shown."""

    lines: tuple[Line, ...]
    added: int = 0
    removed: int = 0
    more: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """A value of the one or the other, as JSON; None where it has none."""

    path: str
    sign: Sign
    before: str | None
    after: str | None


def difference(before: str, after: str) -> Difference:
    """Return the difference of two texts: at most 2 000 lines, far from any change none."""
    old, new = _lines(before), _lines(after)
    found: list[Line] = []
    added = removed = shown = 0
    for tag, a, a_end, b, b_end in _blocks(old, new):
        if tag == "equal":
            found += [
                Line(Sign.SAME, a + n + 1, b + n + 1, _whole(old[a + n])) for n in range(a_end - a)
            ]
            continue
        added, removed = added + b_end - b, removed + a_end - a
        left = MOST - shown
        differing = _replaced(
            old[a : min(a_end, a + left)], new[b : min(b_end, b + left)], at=(a, b)
        )
        found += differing[:left]
        shown += len(differing[:left])
    return Difference(tuple(_folded(found)), added, removed, more=added + removed - shown)


def fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Field]:
    """Return the values that differ, `defaults.tone` by `defaults.tone`, sorted."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [
        Field(path, _sign(old.get(path), new.get(path)), old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _lines(text: str) -> list[str]:
    """Return the lines; one more after a line break at the end, and other breaks to be seen."""
    return text.replace("\r", "␍").split("\n") if text else []


def _blocks(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """Return what is the same and what is not, between what both begin and both end with."""
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    a_end, b_end = len(old) - tail, len(new) - tail
    mine, theirs = old[head:a_end], new[head:b_end]
    within = [("replace", 0, len(mine), 0, len(theirs))]
    if len(mine) + len(theirs) <= LONG and _pairs(mine, theirs) <= PAIRS:
        within = list(SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes())
    middle = [(tag, head + a, head + a2, head + b, head + b2) for tag, a, a2, b, b2 in within]
    ends = ("equal", a_end, len(old), b_end, len(new))
    return [("equal", 0, head, 0, head), *middle, ends]


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    both = zip(old, new, strict=False)
    return next((n for n, (a, b) in enumerate(both) if a != b), min(len(old), len(new)))


def _pairs(old: Sequence[str], new: Sequence[str]) -> int:
    counted = Counter(new)
    return sum(counted[each] for each in old)


def _replaced(old: Sequence[str], new: Sequence[str], *, at: tuple[int, int]) -> list[Line]:
    """Return the lines that went, then those that came, each with what changed in it."""
    went, came = [], []
    for number, (mine, theirs) in enumerate(zip_longest(old, new)):
        left, right = _words(mine or "", theirs or "")
        if mine is not None:
            went.append(Line(Sign.REMOVED, at[0] + number + 1, None, left))
        if theirs is not None:
            came.append(Line(Sign.ADDED, None, at[1] + number + 1, right))
    return went + came


def _words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    mine, theirs = WORD.findall(old), WORD.findall(new)
    if not (mine and theirs) or _pairs(mine, theirs) > PAIRS // 100:
        return _whole(old), _whole(new)
    matcher = SequenceMatcher(None, mine, theirs, autojunk=False)
    if matcher.ratio() < ALIKE:
        return _whole(old), _whole(new)
    left, right = [], []
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        left.append(Piece("".join(mine[a:a_end]), changed=tag != "equal"))
        right.append(Piece("".join(theirs[b:b_end]), changed=tag != "equal"))
    return tuple(p for p in left if p.text), tuple(p for p in right if p.text)


def _whole(text: str) -> tuple[Piece, ...]:
    return (Piece(text),)


def _folded(found: Sequence[Line]) -> Iterator[Line]:
    changed = [n for n, line in enumerate(found) if line.sign is not Sign.SAME]
    near = {n + step for n in changed for step in range(-CONTEXT, CONTEXT + 1)}
    for shown, run in groupby(enumerate(found), lambda each: each[0] in near):
        alike = [line for _, line in run]
        if shown or len(alike) < FOLD:
            yield from alike
        else:
            yield Line(Sign.FOLDED, count=len(alike))


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value with its path; lists, and what is empty, as one."""
    if isinstance(value, Mapping) and (value or not path):
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _sign(before: str | None, after: str | None) -> Sign:
    if before is None:
        return Sign.ADDED
    return Sign.REMOVED if after is None else Sign.CHANGED
