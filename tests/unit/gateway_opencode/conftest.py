"""Fixtures for the OpenCode backend's unit tests: a scripted server, and a look for leaks."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from opencode_sync.gateway.backends.opencode.server import child as opencode_child
from tests.unit.gateway_opencode.http_server import Answer, HttpServer, Raw, Request

_ENDING = 5.0


def _holdings() -> tuple[set[object], int]:
    """Return the threads and children there are, and the number of descriptors."""
    process = psutil.Process()
    descriptors = process.num_fds() if os.name == "posix" else 0
    return {*threading.enumerate(), *process.children()}, descriptors


@pytest.fixture(autouse=True)
def leave_nothing_behind() -> Iterator[None]:
    """Each test ends with the threads, children and descriptors it began with."""
    before, descriptors_before = _holdings()
    yield
    after, descriptors = _holdings()
    for each in after - before:  # what is about to end may do so
        if isinstance(each, threading.Thread):
            each.join(_ENDING)
            after.discard(None if each.is_alive() else each)
    if descriptors > descriptors_before:  # cycles hold some until they are collected
        gc.collect()
        after, descriptors = _holdings()
    assert after <= before
    assert descriptors <= descriptors_before


@pytest.fixture
def serve() -> Iterator[Callable[..., HttpServer]]:
    """Start servers: ``serve(answer, **options)``, where answer is a function or an Answer."""
    servers: list[HttpServer] = []

    def start(answer: Answer | Raw | Callable[[Request], Answer | Raw], **options) -> HttpServer:
        function = answer if not isinstance(answer, (Answer, Raw)) else lambda request: answer
        servers.append(HttpServer(function, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


FAKE_OPENCODE = Path(__file__).with_name("fake_opencode.py")


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Wait for a process that need not be our child; returns whether it ended in time."""
    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.fixture
def opencode_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An executable ``opencode`` that is ``fake_opencode.py``; forced soon when it is stubborn."""
    monkeypatch.setattr(opencode_child, "_GRACE", 0.3)
    program = tmp_path / "bin" / "opencode"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{FAKE_OPENCODE}" "$@"\n')
    program.chmod(0o755)
    return program


@pytest.fixture
def environment() -> Callable[..., Mapping[str, str]]:
    """Make a server's environment: ``environment("sick", "stubborn")``."""

    def make(*faults: str) -> Mapping[str, str]:
        return {"PATH": os.environ["PATH"], "FAKE_OPENCODE": " ".join(faults)}

    return make
