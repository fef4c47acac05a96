"""Nothing left behind by any test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.leaks import no_leaks


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    with no_leaks():
        yield
