"""The production shape: docker-compose.yml, its Dockerfile and .env.example agree with the code."""

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.envconfig import ClientConfig

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text().splitlines()
ONE_SHOTS = {"temporal-schema", "temporal-namespace", "gateway"}  # they end; nothing to watch

per_service = pytest.mark.parametrize("name", SERVICES)


def instructions(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in DOCKERFILE if line.startswith(f"{word} ")]


def mounts(service: dict[str, Any]) -> list[str]:
    return [volume.partition(":")[0] for volume in service.get("volumes", [])]


def test_the_stack_is_whole() -> None:
    assert {"postgres", "temporal", "temporal-ui", "redis", "worker"} | ONE_SHOTS == SERVICES.keys()


@per_service
def test_an_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]

    assert re.fullmatch(r"[\w./-]+:(\d+\.\d+\.\d+|\d+\.\d+)(-[\w.]+)?|rampart:local", image)
    assert "auto-setup" not in image


def test_our_own_image_is_built_here() -> None:
    ours = {name for name, service in SERVICES.items() if service["image"] == "rampart:local"}

    assert ours == {"worker", "gateway"}
    assert [SERVICES[name]["build"] for name in ours] == [".", "."]


@per_service
def test_a_service_is_watched_or_ends(name: str) -> None:
    service = SERVICES[name]

    assert ("healthcheck" in service) != (name in ONE_SHOTS)
    assert (service["restart"] == "unless-stopped") != (name in ONE_SHOTS)


@per_service
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        ends = other in ONE_SHOTS
        expected = "service_completed_successfully" if ends else "service_healthy"
        assert wait == {"condition": expected}, other


@per_service
def test_a_port_is_open_to_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_what_is_mounted_is_there() -> None:
    mounted = {source for service in SERVICES.values() for source in mounts(service)}
    files = {source for source in mounted if source.startswith("./")}

    assert mounted - files == COMPOSE["volumes"].keys() == {"postgres", "redis"}
    assert [source for source in files if not (ROOT / source).exists()] == []


def test_what_needs_the_gateway_waits_for_it() -> None:
    profiled = {name for name, service in SERVICES.items() if service.get("profiles")}

    assert profiled == {"gateway", "redis"}
    assert "ports" not in SERVICES["gateway"]


def test_the_worker_is_told_only_what_settings_reads() -> None:
    source = ast.walk(ast.parse((ROOT / "settings.py").read_text()))
    read = {node.value for node in source if isinstance(node, ast.Constant)}
    told = {key for key in SERVICES["worker"]["environment"] if not key.startswith("TEMPORAL_")}

    assert "RAMPART_DATABASE_URL" in told
    assert told <= read


def test_the_worker_finds_temporal_where_compose_puts_it() -> None:
    environment = SERVICES["worker"]["environment"]

    config = ClientConfig.load_client_connect_config(
        disable_file=True, override_env_vars=environment
    )

    assert config.get("target_host") == "temporal:7233"
    assert config.get("namespace") == "default"


def test_the_worker_s_command_exists() -> None:
    rampart = Path(sys.executable).with_name("rampart")

    done = subprocess.run(
        [rampart, *SERVICES["worker"]["command"], "--help"], capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr.decode()


def test_the_embedded_and_the_production_temporal_are_one_version() -> None:
    versions = {
        SERVICES[name]["image"].partition(":")[2] for name in SERVICES if "temporal" in name
    }
    temporal = Path(sys.executable).with_name("temporal")

    told = subprocess.run([temporal, "--version"], capture_output=True, text=True, check=True)

    assert versions == set(re.findall(r"(?:Server|UI) (\d+\.\d+\.\d+)", told.stdout))


def test_every_setting_has_an_example_and_every_example_a_use() -> None:
    used = dict(re.findall(r"\$\{(\w+):-(\w+)\}", TEXT))
    lines = (ROOT / ".env.example").read_text().splitlines()
    examples = dict(line.split("=") for line in lines if line and not line.startswith("#"))

    assert TEXT.count("${") == len(re.findall(r"\$\{\w+:-\w+\}", TEXT))
    assert used == examples


def test_the_databases_are_made_for_those_who_connect_to_them() -> None:
    script = (ROOT / "compose/postgres/databases.sh").read_text()
    temporal, worker = SERVICES["temporal"]["environment"], SERVICES["worker"]["environment"]

    assert set(re.findall(r"CREATE DATABASE (\w+)", script)) == {
        temporal["DBNAME"],
        temporal["VISIBILITY_DBNAME"],
        worker["RAMPART_DATABASE_URL"].rpartition("/")[2],
    }


def test_the_image_holds_all_that_is_shipped() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    copied = [source for line in instructions("COPY") for source in line.split()[:-1]]
    let_in = (ROOT / ".dockerignore").read_text().splitlines()

    for entry in [name for name in shipped if (ROOT / name).exists()]:
        assert any(fnmatch(entry, source.rstrip("/")) for source in copied), entry
        assert any(fnmatch(f"!{entry}", pattern) for pattern in let_in), entry


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert instructions("USER") == ["10001:10001"]


def test_both_stages_are_of_one_pinned_python() -> None:
    images = {line.partition(" ")[0] for line in instructions("FROM")}

    assert len(images) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-\S+", images.pop())
