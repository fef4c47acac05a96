"""For the tests of the desktop: no screen is needed, and nothing of this user's is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before any Qt application is made. Whoever wants to look on sets it to the platform's own.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, stores and runtime files go to the test's folder; no gateway is found outside."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(home))
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(home / "gateway.json"))
    for variable in ("OPENCODE_IPC_PORT", "OPENCODE_IPC_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
