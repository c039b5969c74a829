"""The production shape: docker-compose.yml and .env.example agree with the code."""

import ast
import re
import runpy
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from temporalio.envconfig import ClientConfig

from worker import GRACE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {"temporal-schema", "temporal-namespace", "migrate"}  # they end; nothing to watch
OURS = {"migrate", "worker", "gateway"}
WATCH = {"prometheus", "grafana"}  # started on demand only
WRITERS = {"temporal-ui"}  # its start script writes into its image
VOLUMES = {"postgres", "redis", "prometheus"}
RAMPART = Path(sys.executable).with_name("rampart")
HEALTH = runpy.run_path(str(ROOT / "compose" / "gateway_health.py"))

per_service = pytest.mark.parametrize("name", SERVICES)


def mounts(service: dict[str, Any]) -> list[str]:
    return [volume.partition(":")[0] for volume in service.get("volumes", [])]


def test_the_stack_is_whole() -> None:
    servers = {"postgres", "redis", "temporal", "temporal-ui", "worker", "gateway"}

    assert servers | ONE_SHOTS | WATCH == SERVICES.keys()
    assert {name for name, service in SERVICES.items() if "profiles" in service} == WATCH


@per_service
def test_an_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]

    assert re.fullmatch(r"[\w./-]+:(v?\d+\.\d+\.\d+|\d+\.\d+)(-[\w.]+)?|rampart:local", image)
    assert "auto-setup" not in image


def test_our_own_image_is_built_here() -> None:
    ours = {name for name, service in SERVICES.items() if service["image"] == "rampart:local"}

    assert ours == OURS
    assert {SERVICES[name]["build"] for name in ours} == {"."}


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

    assert mounted - files == COMPOSE["volumes"].keys() == VOLUMES
    assert [source for source in files if not (ROOT / source).exists()] == []


@per_service
def test_a_service_is_nobody_in_particular_and_may_do_nothing_special(name: str) -> None:
    service = SERVICES[name]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@per_service
def test_a_service_writes_to_its_volumes_and_to_memory_only(name: str) -> None:
    service = SERVICES[name]

    assert service.get("read_only", False) != (name in WRITERS)
    assert "/tmp" in service.get("tmpfs", []) or name in WRITERS  # noqa: S108  # a container's own
    assert all(
        volume.endswith(":ro") for volume in service.get("volumes", []) if volume.startswith("./")
    )


@per_service
def test_a_service_cannot_take_the_whole_machine(name: str) -> None:
    service = SERVICES[name]

    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@per_service
def test_a_service_that_stays_has_time_to_stop(name: str) -> None:
    assert ("stop_grace_period" in SERVICES[name]) != (name in ONE_SHOTS)


def test_a_worker_may_end_what_it_does_before_it_is_killed() -> None:
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > GRACE.total_seconds()


def test_the_tables_are_there_before_anybody_reads_them() -> None:
    for name in OURS - {"migrate"}:
        assert "migrate" in SERVICES[name]["depends_on"]


def test_all_of_ours_are_told_the_same() -> None:
    alone = {"RAMPART_NOTIFY", "RAMPART_UI_URL"}  # what the worker needs to tell people
    given = [SERVICES[name]["environment"] for name in OURS]
    told = [{key: env[key] for key in env.keys() - alone} for env in given]

    assert told.count(told[0]) == len(told)


def test_they_are_told_what_settings_reads_and_nothing_else() -> None:
    source = ast.walk(ast.parse((ROOT / "settings.py").read_text()))
    read = {node.value for node in source if isinstance(node, ast.Constant)}
    told = {key for key in SERVICES["worker"]["environment"] if not key.startswith("TEMPORAL_")}

    assert told >= {"RAMPART_DATABASE_URL", "RAMPART_REDIS_URL"}
    assert told <= read


def test_their_settings_name_the_servers_of_the_stack() -> None:
    environment = SERVICES["worker"]["environment"]

    for key in ("RAMPART_DATABASE_URL", "RAMPART_REDIS_URL"):
        assert urlsplit(environment[key].replace(":-", "")).hostname in SERVICES, key


def test_redis_keeps_everything_or_refuses_it() -> None:
    given = SERVICES["redis"]["command"]
    options = dict(zip(given[1::2], given[2::2], strict=True))

    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--requirepass"] in SERVICES["worker"]["environment"]["RAMPART_REDIS_URL"]


def test_a_rewrite_of_redis_file_has_room_for_a_copy_of_everything() -> None:
    limits = SERVICES["redis"]["deploy"]["resources"]["limits"]
    given = SERVICES["redis"]["command"]
    most = int(given[given.index("--maxmemory") + 1].removesuffix("mb"))

    assert int(limits["memory"].removesuffix("m")) > 2 * most


def test_the_worker_finds_temporal_where_compose_puts_it() -> None:
    environment = SERVICES["worker"]["environment"]

    config = ClientConfig.load_client_connect_config(
        disable_file=True, override_env_vars=environment
    )

    assert config.get("target_host") == "temporal:7233"
    assert config.get("namespace") == "default"


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_command_of_ours_exists(name: str) -> None:
    command = SERVICES[name]["command"]

    done = subprocess.run([RAMPART, *command, "--help"], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()


def test_the_gateway_listens_where_its_port_leads_and_its_health_is_asked() -> None:
    gateway = SERVICES["gateway"]
    port = gateway["command"][gateway["command"].index("--port") + 1]

    assert [published.rpartition(":")[2] for published in gateway["ports"]] == [port]
    assert str(HEALTH["PORT"]) == port
    assert "0.0.0.0" in gateway["command"]  # else the published port leads nowhere  # noqa: S104


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_a_gateway_is_healthy_when_it_says_that_it_can_serve(status: int, healthy: bool) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()

        assert HEALTH["serves"](server.server_port) is healthy


def test_a_gateway_that_is_not_there_is_not_healthy() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))

        assert not HEALTH["serves"](closed.getsockname()[1])


def test_the_embedded_and_the_production_temporal_are_one_version() -> None:
    versions = {
        SERVICES[name]["image"].partition(":")[2] for name in SERVICES if "temporal" in name
    }
    temporal = Path(sys.executable).with_name("temporal")

    told = subprocess.run([temporal, "--version"], capture_output=True, text=True, check=True)

    assert versions == set(re.findall(r"(?:Server|UI) (\d+\.\d+\.\d+)", told.stdout))


def test_every_setting_has_an_example_and_every_example_a_use() -> None:
    used = dict(re.findall(r"\$\{(\w+):-(\w*)\}", TEXT))
    lines = (ROOT / ".env.example").read_text().splitlines()
    examples = dict(line.split("=") for line in lines if line and not line.startswith("#"))

    assert TEXT.count("${") == len(re.findall(r"\$\{\w+:-\w*\}", TEXT))
    assert used == examples


def test_the_databases_are_made_for_those_who_connect_to_them() -> None:
    script = (ROOT / "compose/postgres/databases.sh").read_text()
    temporal, worker = SERVICES["temporal"]["environment"], SERVICES["worker"]["environment"]

    assert set(re.findall(r"CREATE DATABASE (\w+)", script)) == {
        temporal["DBNAME"],
        temporal["VISIBILITY_DBNAME"],
        worker["RAMPART_DATABASE_URL"].rpartition("/")[2],
    }
