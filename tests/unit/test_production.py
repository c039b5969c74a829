"""The guide to production: what it names is there, though no test can reach Temporal Cloud."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.envconfig import ClientConfig

from workflows.publication import ATTRIBUTES

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "production.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ENVIRONMENTS = [
    dict(line.split("=", 1) for line in block.splitlines())
    for block in re.findall(r"^```ini\n((?:TEMPORAL_\w+=.*\n)+)```$", GUIDE, re.MULTILINE)
]


@pytest.mark.parametrize("shown", ENVIRONMENTS, ids=lambda shown: list(shown)[-1])
def test_temporal_reads_the_variables_that_the_guide_names(
    shown: dict[str, str], tmp_path: Path
) -> None:
    secret = tmp_path / "secret.pem"
    secret.write_text("-----BEGIN")
    told = {key: str(secret) if key.endswith("_PATH") else value for key, value in shown.items()}

    config = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars=told)

    assert config.get("target_host") == shown["TEMPORAL_ADDRESS"]
    assert config.get("namespace") == shown["TEMPORAL_NAMESPACE"]
    assert config.get("api_key") == shown.get("TEMPORAL_API_KEY")
    assert config.get("tls")


def test_the_guide_shows_both_ways_into_temporal_cloud() -> None:
    assert [("TEMPORAL_API_KEY" in shown) for shown in ENVIRONMENTS] == [True, False]


def test_the_guide_sets_redis_up_as_compose_does() -> None:
    command = COMPOSE["services"]["redis"]["command"]
    (shown,) = re.findall(r"^```ini\n(appendonly [^`]+)```$", GUIDE, re.MULTILINE)

    for line in shown.splitlines():
        name, value = line.split()
        assert command[command.index(f"--{name}") + 1] == value


def test_the_search_attributes_of_the_guide_are_those_the_worker_registers() -> None:
    shown = dict(re.findall(r'--sa "(\w+)=(\w+)"', GUIDE))

    assert shown == {key.name: key.indexed_value_type.name.title() for key in ATTRIBUTES}
