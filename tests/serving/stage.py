"""What stories about serving share: a house whose prompt is split, and patience."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from domain.database import Database
from domain.intake.intake import Overloaded
from domain.prompts import PromptVariant
from domain.wire import Event
from tests.house import House

SOON = timedelta(milliseconds=20)
DEADLINE_S = 30.0
FLAG = "greeting.system"
EXPERIMENT = "e-1"


async def split_house(database: Database) -> House:
    """A furnished house with half of the users on each version; 1.0.0 is in production."""
    house = House(database)
    await house.furnish()
    variants = [PromptVariant("1.0.0", 0.5), PromptVariant("1.1.0", 0.5)]
    await house.experiments.create_experiment(
        "greeting", "system", variants, experiment_id=EXPERIMENT, salt=1
    )
    return house


async def until(holds: Callable[[], bool]) -> None:
    """Return as soon as it holds; fail after half a minute."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.005)


class Scripted:
    """An intake that raises what it is told to, and then takes everything."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.taken: list[Event] = []
        self.asked: list[list[str]] = []

    async def accept(self, events: Sequence[Event]) -> None:
        self.asked.append([event.event_id for event in events])
        if self.errors:
            raise self.errors.pop(0)
        self.taken += events


def overloaded() -> Overloaded:
    return Overloaded(10, limit=10, unit="events", retry_after=SOON)
