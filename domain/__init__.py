"""What is true: prompts, versions, experiments, events, rollouts.

Knows SQLModel; knows nothing of Temporal or HTTP. The names below are the public face: the API of
the user's starting document, whose code runs against them unchanged.
"""

from domain.errors import VersioningError
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.prompts import (
    MetricEvent,
    PromptExperiment,
    PromptMetrics,
    PromptVariant,
    PromptVersion,
    VersionStatus,
)
from domain.versions import VersionManager

__all__ = [
    "ABTestManager",
    "MetricEvent",
    "MetricsCollector",
    "PromptExperiment",
    "PromptMetrics",
    "PromptVariant",
    "PromptVersion",
    "VersionManager",
    "VersionStatus",
    "VersioningError",
]
