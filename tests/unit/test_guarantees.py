"""Every row of docs/guarantees.md has tests that carry its mark, and every marked test is there.

A test is named after its row by `@pytest.mark.guarantee(row)`. The finder takes sources, so that it
is itself tested.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "guarantees.md").read_text()
TESTS = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
}
ROWS = range(1, 15)
ROW = re.compile(r"^## (\d+)\. ", re.MULTILINE)
NAMED = re.compile(r"^\* `(tests/[^`]+)`$", re.MULTILINE)
OFF = {"skip", "skipif", "xfail"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def listed(document: str) -> dict[int, set[str]]:
    """Return the tests that each row names."""
    _, *parts = ROW.split(document)
    return {
        int(number): set(NAMED.findall(text))
        for number, text in zip(parts[::2], parts[1::2], strict=True)
    }


def marked(sources: Mapping[str, str]) -> dict[int, set[str]]:
    """Return the tests that carry the mark of each row."""
    found: dict[int, set[str]] = {}
    for name, function in functions(sources):
        for mark in marks(function):
            if isinstance(mark, ast.Call) and named(mark) == "guarantee":
                for row in mark.args:
                    found.setdefault(int(ast.literal_eval(row)), set()).add(name)
    return found


def switched_off(sources: Mapping[str, str]) -> set[str]:
    """Return the tests that a mark keeps from running, or from failing."""
    return {
        name
        for name, function in functions(sources)
        if any(named(mark) in OFF for mark in marks(function))
    }


def functions(sources: Mapping[str, str]) -> Iterator[tuple[str, Function]]:
    for path, source in sources.items():
        if "guarantee" in source:
            for function in functions_of(source):
                yield f"{path}::{function.name}", function


@cache
def functions_of(source: str) -> list[Function]:
    body = ast.parse(source).body
    return [node for node in body if isinstance(node, Function) and node.name.startswith("test_")]


@cache
def marks(function: Function) -> list[ast.expr]:
    """Return the decorators that are of `pytest.mark`."""
    decorators = function.decorator_list
    return [one for one in decorators if ast.unparse(one).startswith("pytest.mark.")]


def named(mark: ast.expr) -> str:
    return ast.unparse(mark).removeprefix("pytest.mark.").partition("(")[0]


def lines(rows: Mapping[int, set[str]]) -> str:
    """Return what is to be written, ready for the document."""
    return "\n".join(f"row {row}: * `{name}`" for row in sorted(rows) for name in sorted(rows[row]))


def without(some: Mapping[int, set[str]], others: Mapping[int, set[str]]) -> dict[int, set[str]]:
    left = {row: names - others.get(row, set()) for row, names in some.items()}
    return {row: names for row, names in left.items() if names}


def test_the_document_has_the_fourteen_rows() -> None:
    assert sorted(listed(DOCUMENT)) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_guarantee_has_a_test_of_its_name(row: int) -> None:
    names = listed(DOCUMENT).get(row, set())

    assert names, f"docs/guarantees.md names no test for row {row}: mark one, and name it there"
    assert names <= marked(TESTS).get(row, set()), "named, but not there or not marked so"
    assert not names & switched_off(TESTS)


def test_every_marked_test_is_named_in_the_document() -> None:
    missing = without(marked(TESTS), listed(DOCUMENT))

    assert not missing, f"add to docs/guarantees.md:\n{lines(missing)}"


def test_every_test_that_the_threat_model_names_is_there() -> None:
    model = (ROOT / "docs" / "threat-model.md").read_text()
    named_there = set(re.findall(r"`(tests/[^`]+::test_[^`]+)`", model))

    there = {
        f"{path}::{name}"
        for path, source in TESTS.items()
        for name in re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE)
    }
    assert len(named_there) > 30
    assert named_there <= there, named_there - there


SOURCE = """
import pytest

@pytest.mark.guarantee(3, 4)
@pytest.mark.parametrize("x", [1])
async def test_a(x): ...

@pytest.mark.guarantee(4)
@pytest.mark.skip(reason="later")
def test_b(): ...

def test_c(): ...
"""


def test_marks_and_names_are_found() -> None:
    sources = {"tests/test_x.py": SOURCE}
    text = "intro\n## 3. a row\n\n* `tests/test_x.py::test_a`\n* not a name\n## 4. b\nnone\n"

    assert marked(sources) == {
        3: {"tests/test_x.py::test_a"},
        4: {"tests/test_x.py::test_a", "tests/test_x.py::test_b"},
    }
    assert switched_off(sources) == {"tests/test_x.py::test_b"}
    assert listed(text) == {3: {"tests/test_x.py::test_a"}, 4: set()}
    assert without(marked(sources), listed(text)) == {4: marked(sources)[4]}
