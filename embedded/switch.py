"""The switch between the demo's users and its page: a small file, for they are two processes."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedded.traffic import PER_SECOND
from gateway.dashboard.demo import Played, Press

PROMPT = ("greeting", "system")
FIRST = "1.1.0"
WELL, ILL = 0.98, 0.60  # shares of uses that succeed


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What is wanted of the demo.

    Attributes:
        wanted: How many rollouts there are to be.
    """

    candidate: str = FIRST
    broken: bool = False
    wanted: int = 1

    @property
    def success(self) -> float:
        """How well the candidate does."""
        return ILL if self.broken else WELL


class Switch:
    """Reads and writes the file; whoever comes last is right."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> State:
        """Return what is wanted; before anything was, the beginning."""
        try:
            return State(**json.loads(self._path.read_text()))
        except FileNotFoundError:
            return State()

    def change(self, **wanted: Any) -> State:
        """Want something else."""
        state = State(**asdict(self.read()) | wanted)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(state)))
        os.replace(fresh, self._path)  # noqa: PTH105  # nobody ever reads half of it
        return state

    def played(self) -> Played:
        """Return what simulated users meet."""
        state = self.read()
        return Played(
            prompt=PROMPT,
            candidate=state.candidate,
            broken=state.broken,
            success=state.success,
            per_second=PER_SECOND,
        )

    def press(self, button: Press) -> None:
        """Do what a button says."""
        if button is Press.AGAIN:
            self.change(wanted=self.read().wanted + 1, broken=False)
        else:
            self.change(broken=button is Press.BREAK)
