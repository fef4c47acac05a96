"""What every test of the configuration gets: no settings from outside, and nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from .helpers import Log


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("OPENCODE_IPC_", "OPENCODE_SYNC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(tmp_path / "runtime" / "gateway.json"))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Every test leaves threads and descriptors as they were."""
    threads, descriptors = set(threading.enumerate()), _descriptors()
    yield
    if _descriptors() != descriptors:
        gc.collect()  # an exception kept by the test may hold the frames that hold a file
    assert set(threading.enumerate()) <= threads
    assert _descriptors() == descriptors


def _descriptors() -> list[str]:
    try:
        return sorted(os.listdir("/proc/self/fd"))
    except FileNotFoundError:  # not Linux
        return []


@pytest.fixture(scope="session")
def quiet_stderr() -> None:
    """Spare the tests loguru's own tracebacks on standard error: they are long and slow."""
    with contextlib.suppress(ValueError):
        logger.remove(0)


@pytest.fixture
def log(quiet_stderr: None) -> Iterator[Log]:
    """Everything the package logs, in loguru's most talkative form: tracebacks with values."""
    captured = Log()
    handler = logger.add(
        captured.append, level=0, backtrace=False, diagnose=True, format="{message} {extra}"
    )
    logger.enable("opencode_sync")
    try:
        yield captured
    finally:
        logger.disable("opencode_sync")
        logger.remove(handler)
