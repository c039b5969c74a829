"""Everything that can go wrong in the domain.

RampartError
├── DomainError            retrying will not help: the caller has to change something
│   ├── VersioningError    (the seed's name) a version, experiment or rollout refuses
│   │   ├── NotFound       the named thing does not exist
│   │   └── Conflict       it exists, but its state forbids this
│   │       ├── Fenced     somebody else has changed the routing since; a stale writer stops
│   │       ├── NotNow     the plan's windows are closed; the step may be taken later
│   │       └── Stale      the step was decided too long ago: judge again first
│   └── InvalidValue       (also a ValueError) an argument is out of its range
│       └── InvalidPlan    a plan or request contradicts itself
├── Unavailable            the database or its disk cannot be reached: retrying may help
│   └── WrongRevision      it is there, with the tables of another release
└── Undelivered            a target did not take a notification: retrying may help
"""

from datetime import datetime


class RampartError(Exception):
    """Base class of all our errors."""


class DomainError(RampartError):
    """Retrying will not help: the caller has to change something."""


class VersioningError(DomainError):
    """A version, experiment or rollout refuses."""


class NotFound(VersioningError):
    """The named version, experiment or rollout does not exist."""


class Conflict(VersioningError):
    """The named thing exists, but its state forbids this operation."""


class Fenced(Conflict):
    """The writer holds an older epoch than the routing: somebody else has written since."""


class NotNow(Conflict):
    """The windows of the plan are closed until `until`, if an end can be seen. Nothing was written.

    Harm is rolled back all the same.
    """

    def __init__(self, why: str, until: datetime | None = None) -> None:
        super().__init__(why)
        self.until = until


class Stale(Conflict):
    """What the step was decided on is too old. Nothing was written."""


class InvalidValue(DomainError, ValueError):
    """An argument is out of its range. Nothing was written."""


class InvalidPlan(InvalidValue):
    """The plan or request contradicts itself."""


class Unavailable(RampartError):
    """The database or its disk cannot be reached. Nothing was written; retrying may help."""


class WrongRevision(Unavailable):
    """The database has the tables of another release. Whoever upgrades it, or us, ends that."""


class Undelivered(RampartError):
    """A target did not take a notification. Of its URL, which is a secret, nothing is told."""


class RollbackIncomplete(RampartError):
    """What was read back is not what was there before. Nothing was written; try again."""
