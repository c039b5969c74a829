"""Where a rollout's progress is published: Temporal's UI, its lists, its command line."""

from datetime import datetime, timedelta

from temporalio import workflow

from workflows.progress import Progress, columns, details, memo
from workflows.state import State

MEMO_AGE = timedelta(hours=1)  # an update of the memo is an action: on changes, else this often


class Publication:
    """Keeps the page fresh at every step, and memo and columns when something changed.

    The page costs nothing but needs a live worker; memo and columns are events, and need none.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._at: datetime | None = None

    def publish(self, state: State) -> Progress:
        """Show where the rollout stands."""
        now = workflow.now()
        progress = Progress.of(state, now=now)
        workflow.set_current_details(details(progress))
        key = (progress.phase, progress.stage, progress.verdict.action, progress.refused)
        old = self._at is None or now - self._at >= MEMO_AGE
        if progress.prompt and (key != self._key or old):
            self._key, self._at = key, now
            workflow.upsert_memo(memo(progress))
            if state.search_attributes:
                workflow.upsert_search_attributes(columns(progress))
        return progress
