"""The house rules of CONTRIBUTING.md, as tests: who imports whom, and how long things may get.

A checker takes the name of a file and its source and returns what is wrong with it, so that the
checkers are themselves tested, on sources that break the rules.
"""

import ast
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LISTED = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
NOT_SHIPPED = {"tests", "benchmarks", "compose"}

DATABASE = frozenset({"sqlmodel", "sqlalchemy", "aiosqlite", "asyncpg"})
WEB = frozenset({"fastapi", "starlette"})
IO = frozenset({"socket", "subprocess", "httpx", "requests", "urllib", "redis"})
CHANCE = frozenset({"time", "random", "secrets"})


@dataclass(frozen=True)
class Rule:
    """What a package may import of ours, and what it must never import of others."""

    ours: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()


RULES = {
    "settings": Rule(),
    "domain": Rule(never=WEB | {"temporalio"}),
    "activities": Rule(frozenset({"domain"}), never=WEB),
    "workflows": Rule(frozenset({"activities", "domain"}), never=WEB | DATABASE | IO),
    "control": Rule(frozenset({"workflows", "domain"}), never=WEB | {"sqlmodel"}),
    "gateway": Rule(
        frozenset({"domain", "control", "pictures", "reports"}), never=frozenset({"temporalio"})
    ),
    "pictures": Rule(frozenset({"domain"}), never=WEB | DATABASE | IO | {"temporalio"}),
    "reports": Rule(frozenset({"domain", "pictures"}), never=WEB | IO | {"temporalio"}),
    "serving": Rule(frozenset({"domain"}), never=WEB | {"temporalio"}),
    "telemetry": Rule(frozenset({"domain"})),
}
OURS = RULES.keys() | {Path(entry).stem for entry in LISTED}
EXCEPTIONS = {
    "domain/database.py": {"settings"},  # for the default database
    "control/payloads.py": {"settings"},  # for the keys that payloads are sealed with
}

PURE = (
    "amendment.py",
    "assignment.py",
    "bundles/companions.py",
    "bundles/verdicts.py",
    "duration.py",
    "errors.py",
    "evidence/carrying.py",
    "evidence/looks.py",
    "evidence/trails.py",
    "evidence/weighing.py",
    "guardrail.py",
    "hindsight/",
    "instants.py",
    "judge.py",
    "leases.py",
    "monitors/alerts.py",
    "monitors/marks.py",
    "monitors/plan.py",
    "notifications/notice.py",
    "notifications/wording.py",
    "plan.py",
    "policy.py",
    "prompts.py",
    "record.py",
    "segments/plan.py",
    "segments/rule.py",
    "simulation/",
    "snapshot.py",
    "split.py",
    "stats/",
    "templates/difference.py",
    "templates/document.py",
    "templates/filters.py",
    "templates/language.py",
    "templates/marking.py",
    "templates/template.py",
    "templates/variables.py",
    "trials/contest.py",
    "trials/findings.py",
    "trials/plan.py",
    "trials/wording.py",
    "stage.py",
    "value.py",
    "windows/",
)
VAGUE = {"utils", "common", "helpers"}
FILE_LINES, WORKFLOW_LINES, FUNCTION_LINES = 300, 200, 40

Checker = Callable[[str, str], list[str]]


@cache
def nodes(source: str) -> tuple[ast.AST, ...]:
    """Return all there is in a source, read once for all checkers."""
    return tuple(ast.walk(ast.parse(source)))


@cache
def imported(source: str) -> frozenset[str]:
    """Return the dotted names a source imports; `from a import b` is both `a` and `a.b`."""
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def tops(source: str) -> set[str]:
    return {name.partition(".")[0] for name in imported(source)}


def wrong_imports(name: str, source: str) -> list[str]:
    unit = name.partition("/")[0].removesuffix(".py")
    if (rule := RULES.get(unit)) is None:
        return []
    strangers = (tops(source) & OURS) - rule.ours - {unit} - EXCEPTIONS.get(name, set())
    return [f"{name} imports {top}" for top in sorted(strangers | tops(source) & rule.never)]


def impure(name: str, source: str) -> list[str]:
    """Say how a pure part of the domain comes to chance, the clock or, by any path, a database."""
    if not name.startswith(tuple(f"domain/{part}" for part in PURE)):
        return []
    chance = [f"{name} imports {top}" for top in sorted(tops(source) & CHANCE)]
    return chance + [f"{name} > {path}" for path in way_to_database(source, set())]


def workflow_reaches_database(name: str, source: str) -> list[str]:
    """Of the domain, workflows take pure values: modules from which no import leads to SQL."""
    if not name.startswith("workflows/"):
        return []
    return [f"{name} > {path}" for path in way_to_database(source, set())]


def way_to_database(source: str, seen: set[str]) -> list[str]:
    """Return one chain of domain modules by which a source comes to a database, if there is any."""
    if direct := tops(source) & DATABASE:
        return sorted(direct)[:1]
    for module in sorted(imported(source) - seen):
        seen.add(module)
        place = ROOT / module.replace(".", "/")
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.startswith("domain.") and path.exists():
            for rest in way_to_database(path.read_text(), seen):
                return [f"{module} > {rest}"]
    return []


def reads_environment(name: str, source: str) -> list[str]:
    readers = {"environ", "environb", "getenv", "getenvb"}
    if name == "settings.py":
        return []
    return [
        f"{name}:{node.lineno} reads the environment"
        for node in nodes(source)
        if (isinstance(node, ast.Attribute) and node.attr in readers)
        or (isinstance(node, ast.ImportFrom) and {a.name for a in node.names} & readers)
    ]


def too_long(name: str, source: str) -> list[str]:
    limit = WORKFLOW_LINES if name.startswith("workflows/") else FILE_LINES
    lines = len(source.splitlines())
    files = [f"{name} has {lines} lines, at most {limit}"] if lines > limit else []
    return files + [
        f"{name}:{node.lineno} {node.name} has {length} lines, at most {FUNCTION_LINES}"
        for node in nodes(source)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


def vaguely_named(name: str, _source: str) -> list[str]:
    words = set(name.removesuffix(".py").split("/"))
    return [f"{name}: a module is named after one noun"] if words & VAGUE else []


CHECKERS: list[Checker] = [
    wrong_imports,
    impure,
    workflow_reaches_database,
    reads_environment,
    too_long,
    vaguely_named,
]


@cache
def product() -> dict[str, str]:
    """Return every file of the product: its name from the root, and its source."""
    packages = [p.parent for p in ROOT.glob("*/__init__.py") if p.parent.name not in NOT_SHIPPED]
    paths = [*ROOT.glob("*.py"), *(path for top in packages for path in top.rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(paths)}


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda checker: checker.__name__)
def test_the_product_keeps_the_rule(checker: Checker) -> None:
    files = product()

    wrong = [line for name, source in files.items() for line in checker(name, source)]

    assert {"settings.py", "domain/errors.py", "workflows/__init__.py"} <= files.keys()
    assert not wrong, "\n".join(wrong)


def test_what_pyproject_ships_is_what_there_is() -> None:
    there = {name.partition("/")[0] for name in product()}

    assert set(LISTED) == there


@pytest.mark.parametrize(
    ("checker", "name", "source"),
    [
        (wrong_imports, "domain/versions.py", "import temporalio.client"),
        (wrong_imports, "domain/versions.py", "from settings import Settings"),
        (wrong_imports, "domain/versions.py", "def late():\n    from activities import rollout"),
        (wrong_imports, "activities/rollout.py", "from workflows.rollout import RolloutWorkflow"),
        (wrong_imports, "workflows/rollout.py", "import sqlalchemy as sa"),
        (wrong_imports, "control.py", "import worker"),
        (wrong_imports, "gateway/events.py", "from temporalio.client import Client"),
        (wrong_imports, "settings.py", "import domain"),
        (impure, "domain/judge.py", "import time"),
        (impure, "domain/stats/srm.py", "from random import random"),
        (impure, "domain/plan.py", "from domain.tables import VersionRow"),
        (impure, "domain/plan.py", "from domain import database"),
        (workflow_reaches_database, "workflows/rollout.py", "from domain.database import Database"),
        (reads_environment, "dev.py", "import os\nport = os.environ['PORT']"),
        (reads_environment, "cli.py", "from os import getenv"),
        (too_long, "domain/versions.py", "x = 1\n" * 301),
        (too_long, "workflows/rollout.py", "x = 1\n" * 201),
        (too_long, "cli.py", "class A:\n    async def f(self):\n" + "        x = 1\n" * 40),
        (vaguely_named, "domain/utils.py", ""),
        (vaguely_named, "activities/helpers/retry.py", ""),
    ],
)
def test_a_broken_rule_is_found(checker: Checker, name: str, source: str) -> None:
    assert len(checker(name, source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("domain/database.py", "from settings import Settings\nimport sqlalchemy"),
        ("workflows/rollout.py", "from activities.rollout import ramp\nfrom domain import errors"),
        (
            "domain/judge.py",
            "from datetime import timedelta\nfrom domain.errors import InvalidPlan",
        ),
        ("dev.py", "import os\nos.getpid()\nimport worker, cli, temporalio"),
        ("cli.py", "def f():\n" + "    x = 1\n" * 39),
    ],
)
def test_what_is_allowed_passes(name: str, source: str) -> None:
    assert [wrong for checker in CHECKERS for wrong in checker(name, source)] == []
