"""A scripted backend and a connected client for each test, and nothing left behind by any."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opencode_sync import IpcClient
from tests.support.backend import ScriptedBackend
from tests.support.leaks import no_leaks


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    with no_leaks():
        yield


@pytest.fixture
def backend(_leaves_nothing: None) -> Iterator[ScriptedBackend]:
    """A backend that answers everything well, unless told otherwise."""
    backend = ScriptedBackend()
    yield backend
    backend.close()


@pytest.fixture
def client(backend: ScriptedBackend) -> Iterator[IpcClient]:
    """A client connected to ``backend`` that does not reconnect."""
    with backend.client(reconnect=None) as client:
        yield client
