"""A scripted backend, with nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.backend import ScriptedBackend
from tests.support.leaks import no_leaks


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with no_leaks():
        backend = ScriptedBackend()
        yield backend
        backend.close()
