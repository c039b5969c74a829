"""The guides are true: what they show is done here, block by block, on a real stack."""

import asyncio
import os
import signal
import sys
from asyncio import create_subprocess_exec
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from dev import Stack
from embedded.ports import free_port
from settings import child_environment
from tests.guides.document import DOCUMENTS, ROOT, blocks, title

Readers = Mapping[Path, asyncio.Task[str]]
LIVELY = [document for document in DOCUMENTS if any(blocks(document))]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def readers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Readers]:
    """One reader per document, all at once: most of their time they wait for a rollout.

    They share a stack, so each document has prompts of its own.
    """
    async with Stack(tmp_path_factory.mktemp("stack"), port=free_port()) as stack:
        begun = {
            document: asyncio.create_task(follow(document, stack, tmp_path_factory))
            for document in LIVELY
        }
        yield begun
        for task in begun.values():
            task.cancel()
        await asyncio.wait(begun.values())


async def follow(document: Path, stack: Stack, directories: pytest.TempPathFactory) -> str:
    """Have a reader do what a document says; return what went wrong."""
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ours = {"RAMPART_OPERATOR": "ann", "PATH": binaries, "PYTHONPATH": str(ROOT)}
    directory = directories.mktemp(document.stem)
    with (directory / "reader.log").open("w+b") as log:
        reader = await create_subprocess_exec(
            *(sys.executable, "-m", "tests.guides.reader", document),
            cwd=directory,
            env=child_environment(**stack.variables(), **ours),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            code = await reader.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(reader.pid, signal.SIGKILL)
    return (directory / "reader.log").read_text() if code else ""


@pytest.mark.parametrize("document", LIVELY, ids=title)
async def test_a_guide_does_what_it_says(readers: Readers, document: Path) -> None:
    went_wrong = await readers[document]

    if went_wrong:
        pytest.fail(went_wrong, pytrace=False)
