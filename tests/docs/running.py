"""The ways to run a block of Python: what has to be there before, and what may come of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

import opencode_sync
from opencode_sync import IpcClient, IpcServerError
from opencode_sync.gateway import Gateway
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from tests.docs.blocks import Block
from tests.integration.cli.talking import TalkingBackend
from tests.support.threads import Background

__all__ = ["KINDS", "execute", "found_gateway"]

_WAIT: Final = 30.0
_PYTEST_SECONDS: Final = 60.0


def execute(block: Block) -> None:
    """Run a block in this process, as a program of its own."""
    # The empty lines let an error name the line of the page.
    source = "\n" * block.line + block.text
    exec(compile(source, block.place, "exec"), {"__name__": "__main__"})


@contextmanager
def found_gateway(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[TalkingBackend]:
    """Have a gateway that scripts find as a user's would: by its runtime file."""
    runtime_file = folder / "run" / "gateway.json"
    patch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(runtime_file))
    backend = TalkingBackend(folder / "sessions.db")
    with Gateway(backend, runtime_file=runtime_file):
        yield backend


def _with_gateway(block: Block, folder: Path, patch: pytest.MonkeyPatch) -> None:
    with found_gateway(folder, patch):
        execute(block)


def _with_events(block: Block, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """One event comes, and then the gateway ends the stream."""
    with found_gateway(folder, patch) as backend:
        script = Background(execute, block)
        assert backend.subscribed.acquire(timeout=_WAIT)
        event = IpcEvent(type="session.idle", session_id="ses_1", properties_json='{"a": 1}')
        backend.sinks[0].event(event)
        backend.sinks[0].ended("the test is over")
        assert isinstance(script.error(_WAIT), IpcServerError)


def _launched(block: Block, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The end-to-end tests launch a real OpenCode; here it is about what the block does with it."""
    with found_gateway(folder, patch):
        patch.setattr(opencode_sync, "launch", lambda *arguments, **keywords: IpcClient())
        execute(block)


def _alone(block: Block, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(folder / "none.json"))
    execute(block)


def _pytest(block: Block, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The block is a file of tests, and they pass."""
    (folder / "test_example.py").write_text(block.text, encoding="utf-8")
    # Our plugin by its module, so that it is there without an installation of the entry point, and
    # there once where it was installed.
    plugins = ["no:cacheprovider", "no:opencode_sync", "opencode_sync.testing.plugin"]
    options = [word for plugin in plugins for word in ("-p", plugin)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "test_example.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_PYTEST_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


KINDS: Final[Mapping[str, Callable[[Block, Path, pytest.MonkeyPatch], None]]] = {
    "alone": _alone,
    "with-gateway": _with_gateway,
    "with-model": _with_gateway,  # the gateway's backend answers prompts
    "with-events": _with_events,
    "launched": _launched,
    "pytest": _pytest,
}
"""What may stand behind ``run:``; each gets the block and an empty folder, which is current."""
