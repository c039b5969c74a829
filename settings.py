"""The only reader of the environment. Temporal's own address is read by `temporalio.envconfig`."""

import os
from dataclasses import dataclass

EMBEDDED_DATABASE = "sqlite:///.rampart/rampart.db"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where this process finds its database and its work.

    Attributes:
        database_url: `sqlite:///path`, `sqlite:////absolute/path` or `postgresql://user@host/name`.
        task_queue: The Temporal task queue that workers poll and starters name.
        operator: Who the commands of this process come from, as the journal will show it.
    """

    database_url: str = EMBEDDED_DATABASE
    task_queue: str = "rampart"
    operator: str = ""

    @classmethod
    def from_env(cls) -> "Settings":
        """Read `RAMPART_DATABASE_URL`, `RAMPART_TASK_QUEUE` and `RAMPART_OPERATOR` or `USER`."""
        return cls(
            database_url=os.environ.get("RAMPART_DATABASE_URL") or EMBEDDED_DATABASE,
            task_queue=os.environ.get("RAMPART_TASK_QUEUE") or "rampart",
            operator=os.environ.get("RAMPART_OPERATOR") or os.environ.get("USER") or "",
        )
