"""The command line in this process; stories that need other processes are in tests/journeys."""

from tests.typed import alone

__all__ = ["alone"]  # a fixture
