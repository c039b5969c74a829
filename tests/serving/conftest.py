"""OpenFeature is global: each story leaves it as it was."""

from collections.abc import Iterator

import pytest
from openfeature import api


@pytest.fixture(autouse=True)
def _openfeature() -> Iterator[None]:
    yield
    api.shutdown()
