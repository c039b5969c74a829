"""An embedded stack for each file, and the command line on it."""

import logging
import sys
from collections.abc import AsyncIterator
from copy import copy
from pathlib import Path

import pytest
import pytest_asyncio

import cli
from dev import Stack
from embedded.ports import free_port
from tests.integration.typed import Rampart, Said


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("stack"), port=free_port()) as running:
        yield running


@pytest.fixture
def alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Rampart:
    """Run `rampart …` in this process, which is ten times as fast; in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAMPART_DATABASE_URL", f"sqlite:///{tmp_path}/rampart.db")
    monkeypatch.setenv("RAMPART_OPERATOR", "ann")
    # A worker or gateway sets up the logs of its process: here that of the tests after it.
    for part in ("handlers", "level"):
        monkeypatch.setattr(logging.root, part, copy(getattr(logging.root, part)))

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["rampart", *words])
        code = cli.main()
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run


@pytest.fixture
def rampart(alone: Rampart, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Rampart:
    """Run `rampart …` on the stack."""
    for name, value in stack.variables().items():
        monkeypatch.setenv(name, value)
    return alone
