"""The image of every process of ours: its Dockerfile agrees with the code, and with compose."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().splitlines()
LET_IN = (ROOT / ".dockerignore").read_text().splitlines()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHIPPED: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
OURS = [service for service in SERVICES.values() if service["image"] == "rampart:local"]


def instructions(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in DOCKERFILE if line.startswith(f"{word} ")]


def test_the_image_holds_all_that_is_shipped() -> None:
    copied = [source for line in instructions("COPY") for source in line.split()[:-1]]

    for entry in [name for name in SHIPPED if (ROOT / name).exists()]:
        assert any(fnmatch(entry, source.rstrip("/")) for source in copied), entry
        assert any(fnmatch(f"!{entry}", pattern) for pattern in LET_IN), entry


def test_the_image_holds_each_package_of_the_house() -> None:
    packages = {found.parent.name for found in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    modules = {found.name for found in ROOT.glob("*.py")}

    assert packages | modules <= set(SHIPPED)


def test_a_health_check_of_ours_is_in_the_image() -> None:
    copied = {Path(source).name for line in instructions("COPY") for source in line.split()[:-1]}

    for service in [service for service in OURS if "healthcheck" in service]:
        script = Path(service["healthcheck"]["test"][-1])
        assert script.name in copied
        assert f"!compose/{script.name}" in LET_IN
        assert (ROOT / "compose" / script.name).exists()


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert {service["user"] for service in OURS} == {"10001:10001"}


def test_the_image_says_what_it_is() -> None:
    labels = dict(
        re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', "".join(DOCKERFILE))
    )

    assert labels["description"] == PROJECT["project"]["description"]
    assert labels["licenses"] == PROJECT["project"]["license"]
    assert labels["base.name"].removeprefix("docker.io/library/") == instructions("FROM")[-1]


def test_both_stages_are_of_one_pinned_python() -> None:
    images = {line.partition(" ")[0] for line in instructions("FROM")}

    assert len(images) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-\S+", images.pop())
