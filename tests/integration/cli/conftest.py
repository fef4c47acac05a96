"""A real gateway on the embedded store, and nobody else's settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.gateway.app_config import AppConfigStore


@pytest.fixture
def runtime_file(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return folder / "gateway.json"


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, runtime_file: Path) -> None:
    """Hides a gateway and settings of the user who runs the tests."""
    for name in list(os.environ):
        if name.startswith(("OPENCODE_SYNC_", "OPENCODE_IPC_", "OPENCODE_SERVER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(runtime_file))


@pytest.fixture
def gateway(tmp_path: Path, runtime_file: Path) -> Iterator[Gateway]:
    settings = AppConfigStore(tmp_path / "settings" / "config.json")
    backend = EmbeddedBackend(tmp_path / "sessions.db", config=settings)
    with Gateway(backend, runtime_file=runtime_file) as running:
        yield running
