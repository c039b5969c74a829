"""The pictures of rollouts: drawn in a thread, one after the other, and kept until a check is made.

Checks are read a few at a time, and each once: nothing here keeps a flag from being evaluated.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from domain.cells import Cell, CellKey
from domain.database import Database
from domain.errors import NotFound
from domain.evidence.looks import Judged
from domain.metrics import MetricsCollector
from domain.record import Decision, Rollout
from domain.rollouts import RolloutManager
from gateway.dashboard.rollouts.figures import Figures, figures
from gateway.dashboard.rollouts.sheet import Sheet
from pictures import album

KEPT = 64  # rollouts
MOST = 300  # checks of one; more would draw the same
AT_ONCE = 10  # checks that are read before others may have their turn


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A picture, and the same as a table for who does not see it."""

    name: str
    title: str
    svg: Markup
    figures: Figures


@dataclass
class Kept:
    """What is known of one rollout.

    Attributes:
        last: The number of the latest check that was read.
        key: What was drawn.
    """

    checks: list[Judged] = field(default_factory=list)
    last: int = 0
    key: object = None
    drawings: tuple[Drawing, ...] = ()


class Drawings:
    """Draws."""

    def __init__(self, database: Database) -> None:
        self._rollouts = RolloutManager(database)
        self._metrics = MetricsCollector(database)
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._drawing = asyncio.Lock()

    async def of(self, sheet: Sheet) -> tuple[Drawing, ...]:
        """Return the pictures of a rollout and of whoever goes along with it."""
        rollout = sheet.picture.rollout
        if rollout is None:
            return ()
        async with self._drawing:
            along = [await self._rollouts.get(each.rollout_id) for each in rollout.companions]
            found = [await self._of(each, sheet) for each in (rollout, *along)]
        return tuple(drawing for drawings in found for drawing in drawings)

    async def _of(self, rollout: Rollout, sheet: Sheet) -> tuple[Drawing, ...]:
        kept = self._kept.setdefault(rollout.id, Kept())
        self._kept.move_to_end(rollout.id)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        await self._read(rollout, kept)
        decisions = sheet.picture.decisions
        key = (kept.last, rollout.status, decisions[-1].at if decisions else None)
        if key != kept.key:
            until = None if sheet.picture.ended else sheet.picture.at
            plates = await asyncio.to_thread(
                album.of_rollout,
                rollout,
                decisions,
                kept.checks,
                observed=await self._observed(rollout, kept.checks),
                until=until,
            )
            kept.drawings = tuple(
                await asyncio.to_thread(_drawn, plates, rollout, decisions, kept.checks)
            )
            kept.key = key
        return kept.drawings

    async def _read(self, rollout: Rollout, kept: Kept) -> None:
        last = await self._rollouts.last_check(rollout.id)
        if len(kept.checks) > 2 * MOST:
            kept.checks, kept.last = [], 0
        wanted: Sequence[int] = range(kept.last + 1, last + 1)
        if not kept.last:
            wanted = await self._rollouts.even_checks(rollout.id, most=MOST)
        for start in range(0, len(wanted), AT_ONCE):
            try:
                numbers = wanted[start : start + AT_ONCE]
                kept.checks += await self._rollouts.checks(rollout.id, numbers=numbers)
            except NotFound:  # deleted, as retention says: the ramp is left
                return
        kept.last = last

    async def _observed(
        self, rollout: Rollout, checks: Sequence[Judged]
    ) -> dict[CellKey, Cell] | None:
        if not checks:
            return None
        return await self._metrics.read_observed(
            [rollout.candidate_id, rollout.baseline_id],
            experiment_id=rollout.experiment_id,
            epoch=checks[-1].look.epoch,
        )


def _drawn(
    plates: Sequence[album.Plate],
    rollout: Rollout,
    decisions: Sequence[Decision],
    checks: Sequence[Judged],
) -> list[Drawing]:
    prompt = f"{rollout.prompt}: " if rollout.bundle else ""
    return [
        Drawing(
            name=f"{plate.name}-{rollout.id}",
            title=f"{prompt}{plate.title}",
            svg=plate.svg,
            figures=figures(plate.name, rollout, decisions, checks),
        )
        for plate in plates
    ]
