"""What is counted of versions at the looks of a monitor, and so between any two of them. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Self

from domain.monitors.plan import P95, range_of
from domain.stats.histogram import Histogram
from domain.value import Frozen

SPACING = 8  # marks kept of a window, so the window judged is at most 1/8 longer than asked


class Tally(Frozen):
    """How many events reported a metric, the sum of what they reported, and its histogram."""

    n: int = 0
    total: float = 0.0
    counts: Mapping[str, int] = {}

    def since(self, earlier: "Tally | None") -> "Tally":
        """Return what came after `earlier`; everything, if what was there has been forgotten."""
        if earlier is None or earlier.n > self.n:
            return self
        more = {key: n - earlier.counts.get(key, 0) for key, n in self.counts.items()}
        return Tally(
            n=self.n - earlier.n,
            total=self.total - earlier.total,
            counts={key: n for key, n in more.items() if n > 0},
        )

    def figure(self, metric: str) -> float | None:
        """Return the figure; None without events. Rounding takes it out of no range."""
        if metric == P95:
            return Histogram.from_json(self.counts).quantile(0.95)
        return max(self.total / self.n, range_of(metric)[0]) if self.n else None


class Sighting(Frozen):
    """What is counted of one version, by metric; `active_at` is its latest sign of life."""

    tallies: Mapping[str, Tally] = {}
    active_at: datetime | None = None

    @property
    def events(self) -> int:
        """How many events there ever were."""
        return self.tallies.get("success", Tally()).n


class Mark(Frozen):
    """What was counted of each version, by its id, at one instant."""

    at: datetime
    of: Mapping[str, Sighting] = {}

    def alive(self, before: "Mark | None") -> "Mark":
        """Return the mark with signs of life by the monitor's clock: the callers' may be wrong.

        A version is active when its count has changed; where in between, its events say.
        """
        return Mark(at=self.at, of={id_: self._alive(id_, before) for id_ in self.of})

    def _alive(self, version_id: str, before: "Mark | None") -> Sighting:
        seen = self.of[version_id]
        was = before.of.get(version_id) if before else None
        at = min(seen.active_at or self.at, self.at)
        if before and was:
            at = max(at, before.at)
            if was.events == seen.events:
                at = was.active_at or before.at
        return Sighting(tallies=seen.tallies, active_at=at)


class Marks(Frozen):
    """The marks of a window: the latest, and before it a few that are far enough apart."""

    kept: tuple[Mark, ...] = ()
    latest: Mark | None = None

    def base(self, at: datetime, window: timedelta | None) -> Mark | None:
        """Return the mark from which on events are judged; None: from the beginning."""
        marks = (*self.kept, self.latest) if self.latest else self.kept
        if window is None or not marks:
            return None
        return [marks[0], *(mark for mark in marks if mark.at <= at - window)][-1]

    def with_look(self, mark: Mark, base: Mark | None, window: timedelta | None) -> Self:
        """Return the marks after a look, those no longer needed left out."""
        if window is None:
            return type(self)(latest=mark)
        kept = [base] if base and not self.latest else list(self.kept)
        if self.latest and (not kept or self.latest.at - kept[-1].at >= window / SPACING):
            kept.append(self.latest)
        while len(kept) > 1 and kept[1].at <= mark.at - window:
            del kept[0]
        return type(self)(kept=tuple(kept), latest=mark)
