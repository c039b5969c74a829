"""What `make test` leaves to `make journeys`: rampart in processes of its own (docs/adr/0046)."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ELSEWHERE = {"journeys", "chaos", "browser", "properties"}  # each by a `make` of its own
STARTS = re.compile(r"""\bStack\(|"-m",\s*"(?:cli|worker|serve|dev)"|/ "rampart"|tests\.journeys""")


def starts_rampart(source: str) -> bool:
    return bool(STARTS.search(source))


@pytest.mark.parametrize(
    "source",
    [
        "async with Stack(folder) as stack:",
        'Popen([sys.executable, "-m", "cli", "gateway"])',
        'run([BIN / "rampart", "status"])',
        "from tests.journeys.terminal import Terminal",
    ],
)
def test_what_starts_rampart_is_found(source: str) -> None:
    assert starts_rampart(source)


def test_only_journeys_start_rampart() -> None:
    others = [
        path
        for path in sorted(TESTS.rglob("*.py"))
        if path.relative_to(TESTS).parts[0] not in ELSEWHERE and path != Path(__file__)
    ]

    assert len(others) > 150
    assert [str(path) for path in others if starts_rampart(path.read_text())] == []
