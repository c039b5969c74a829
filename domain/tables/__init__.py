"""The tables. Columns and constraints only; behaviour lives in the managers.

Rows never leave the manager that reads them. `table=True` models do not validate: values are
checked before a row exists. Ids are texts, because the seed accepts ids it did not give out; those
we give out are UUIDv7.
"""

from domain.tables.experiments import (
    AllocationRow,
    ExperimentRow,
    ExposureCountRow,
    ExposureRow,
    RoutingRow,
)
from domain.tables.instants import UtcDateTime
from domain.tables.metrics import CellRow, EventRow, ObservationRow, ObservedCellRow
from domain.tables.notifications import NotificationRow
from domain.tables.rollouts import DecisionRow, EvidenceRow, RolloutRow
from domain.tables.tokens import TokenRow
from domain.tables.trials import TrialEvidenceRow, TrialLineRow, TrialRow
from domain.tables.versions import SegmentRow, TagMoveRow, TagRow, VersionRow

__all__ = [
    "AllocationRow",
    "CellRow",
    "DecisionRow",
    "EventRow",
    "EvidenceRow",
    "ExperimentRow",
    "ExposureCountRow",
    "ExposureRow",
    "NotificationRow",
    "ObservationRow",
    "ObservedCellRow",
    "RolloutRow",
    "RoutingRow",
    "SegmentRow",
    "TagMoveRow",
    "TagRow",
    "TokenRow",
    "TrialEvidenceRow",
    "TrialLineRow",
    "TrialRow",
    "UtcDateTime",
    "VersionRow",
]
