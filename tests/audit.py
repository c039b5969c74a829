"""`make audit`: what uv.lock pins, held against the advisories that can be reached.

Exit 0: nothing known, or nobody could be asked, which is said; with `--strict` the latter is 1.
Exit 1: something known that `[[tool.audit.ignore]]` in pyproject.toml does not excuse until a date.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SERVICES = ("pypi", "osv")  # asked in turn, until one knows the packages
EXPORT = "export --frozen --all-extras --all-groups --no-emit-project --quiet --output-file"
AUDIT = "--disable-pip --require-hashes --format json --progress-spinner off --timeout 10"


@dataclass(frozen=True)
class Ignore:
    """An advisory that is known and borne, until a day."""

    id: str
    reason: str
    until: date


@dataclass(frozen=True)
class Report:
    """What a service said: findings by package, and how many packages it knew."""

    audited: int
    findings: tuple[tuple[str, frozenset[str]], ...]  # `name version`, an advisory's ids


def read(told: dict[str, Any]) -> Report:
    """Read what pip-audit printed."""
    known = [each for each in told["dependencies"] if "skip_reason" not in each]
    findings = tuple(
        (f"{each['name']} {each['version']}", frozenset({found["id"], *found["aliases"]}))
        for each in known
        for found in each["vulns"]
    )
    return Report(len(known), findings)


def complaints(report: Report, ignores: Sequence[Ignore], *, today: date) -> list[str]:
    """Return what is wrong, one line each: what is not borne, and what is borne no longer."""
    borne = {each.id for each in ignores if today <= each.until}
    late = [
        f"ignored until {each.until}, which is over: {each.id} ({each.reason})"
        for each in ignores
        if each.id not in borne
    ]
    open_ = [
        f"{package}: {', '.join(sorted(ids))}"
        for package, ids in report.findings
        if not ids & borne
    ]
    return [*late, *open_]


def ask(service: str, requirements: Path, *more: str) -> Report | None:
    """Ask one service; None if it does not answer."""
    options = ("-r", str(requirements), "--vulnerability-service", service, *AUDIT.split(), *more)
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options], capture_output=True, text=True, check=False
    )
    return read(json.loads(done.stdout)) if done.stdout.startswith("{") else None


def ignored(pyproject: str) -> list[Ignore]:
    """Return the advisories that pyproject.toml excuses."""
    found = tomllib.loads(pyproject)["tool"].get("audit", {}).get("ignore", [])
    return [Ignore(**each) for each in found]


def main(arguments: Sequence[str]) -> int:
    """Audit the lock."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--strict", action="store_true", help="fail if nobody can be asked")
    strict = parser.parse_args(arguments).strict
    uv = shutil.which("uv") or str(ROOT / ".boot" / "bin" / "uv")
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        subprocess.run([uv, *EXPORT.split(), requirements], check=True, cwd=ROOT)
        reports = (ask(service, requirements) for service in SERVICES)
        report = next((each for each in reports if each and each.audited), Report(0, ()))
    today = datetime.now(UTC).date()
    wrong = complaints(report, ignored((ROOT / "pyproject.toml").read_text()), today=today)
    for line in wrong:
        sys.stdout.write(f"{line}\n")
    if report.audited:
        sys.stdout.write(f"audit: {report.audited} packages, {len(wrong)} complaints\n")
    else:
        sys.stdout.write(
            "audit: NOTHING WAS AUDITED: neither PyPI's advisories nor OSV's can be reached\n"
        )
    return 1 if wrong or (strict and not report.audited) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
