"""Nothing left behind, and the fixtures of the pytest plugin whether or not it is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opencode_sync.testing.plugin import (
    opencode_client,
    opencode_fake,
    opencode_faults,
    opencode_gateway,
    opencode_script,
)
from tests.support.leaks import no_leaks

__all__ = [
    "opencode_client",
    "opencode_fake",
    "opencode_faults",
    "opencode_gateway",
    "opencode_script",
]


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    with no_leaks():
        yield
