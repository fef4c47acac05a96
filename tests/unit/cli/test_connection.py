"""Which client a command gets, and whether there is anything to connect to."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from opencode_sync.cli.connection import is_backend_there, open_link, options_for
from opencode_sync.errors import IpcConfigError


@pytest.fixture
def runtime_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENCODE_IPC_PORT", "OPENCODE_IPC_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    path = folder / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(path))
    return path


def write(path: Path, port: int) -> None:
    content = {"port": port, "auth_token": "a-token-of-the-tests", "pid": os.getpid()}
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))


def test_a_gateway_that_answers_is_there(runtime_file: Path) -> None:
    assert not is_backend_there(None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        write(runtime_file, listener.getsockname()[1])
        assert is_backend_there(None)
    assert not is_backend_there(None)  # its file is there still


def test_what_somebody_names_counts_as_there(
    runtime_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be wrong, which is then said; it is not passed over in silence."""
    assert is_backend_there(runtime_file)
    monkeypatch.setenv("OPENCODE_IPC_PORT", "rubbish")
    assert is_backend_there(None)
    with pytest.raises(IpcConfigError):
        open_link(None, None)


def test_a_link_has_the_options_of_its_command(runtime_file: Path, tmp_path: Path) -> None:
    write(runtime_file, 4096)
    link = open_link(None, 2.5, tmp_path)
    assert link.endpoint == "ws://127.0.0.1:4096/"
    assert link.client.options.connection_timeout == 2.5
    assert open_link(runtime_file, None).client.options.connection_timeout == 10


def test_a_timeout_is_for_every_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCODE_SYNC_SHUTDOWN_TIMEOUT", "1.5")
    options = options_for(7)
    assert options.shutdown_timeout == 1.5
    assert {
        options.connection_timeout,
        options.authentication_timeout,
        options.default_request_timeout,
        options.default_prompt_timeout,
    } == {7}
    assert options_for(None).default_prompt_timeout == 600
