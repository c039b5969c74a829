"""The only reader of the environment. Temporal's own address is read by `temporalio.envconfig`."""

import os
from dataclasses import dataclass

UI_OFFSET = 1000  # Temporal's dev server has its UI so many ports above itself
EMBEDDED_DATABASE = "sqlite:///.rampart/rampart.db"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where this process finds its database and its work.

    Attributes:
        database_url: `sqlite:///path`, `sqlite:////absolute/path` or `postgresql://user@host/name`.
        redis_url: `redis://host:6379/0`, `rediss://…`; empty to do without Redis.
        task_queue: The Temporal task queue that workers poll and starters name.
        operator: Who the commands of this process come from, as the journal will show it.
        ui_url: Temporal's web UI, for links; empty when unknown.
    """

    database_url: str = EMBEDDED_DATABASE
    redis_url: str = ""
    task_queue: str = "rampart"
    operator: str = ""
    ui_url: str = ""

    @classmethod
    def from_env(cls) -> "Settings":
        """Read `RAMPART_DATABASE_URL`, `…_REDIS_URL`, `…_TASK_QUEUE`, `…_UI_URL`, `…_OPERATOR`."""
        return cls(
            database_url=os.environ.get("RAMPART_DATABASE_URL") or EMBEDDED_DATABASE,
            redis_url=os.environ.get("RAMPART_REDIS_URL") or "",
            task_queue=os.environ.get("RAMPART_TASK_QUEUE") or "rampart",
            operator=os.environ.get("RAMPART_OPERATOR") or os.environ.get("USER") or "",
            ui_url=os.environ.get("RAMPART_UI_URL") or "",
        )


def child_environment(**ours: str) -> dict[str, str]:
    """Return this process's environment with `ours`, for a child.

    Without Temporal's own settings, from which it might go to another server than it is told.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}
    return inherited | {"TEMPORAL_CONFIG_FILE": os.devnull} | ours
