"""Writing, finding, reading and removing the runtime file."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from opencode_sync import runtime_file
from opencode_sync.config import IpcConfig
from opencode_sync.errors import IpcConfigError
from opencode_sync.providers import FileConfigProvider
from opencode_sync.runtime_file import (
    default_runtime_file,
    gateway_behind,
    read_small_file,
    remove_runtime_file,
    write_runtime_file,
)

from .helpers import TOKEN, Log, refused

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "gateway"
    folder.mkdir(mode=0o700)
    return folder / "gateway.json"


def write(path: Path, token: str = TOKEN, port: int = 4096) -> None:
    write_runtime_file(path, port=port, auth_token=token)


class TestDefaultRuntimeFile:
    def test_is_the_file_the_environment_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", "/some/where.json")
        assert default_runtime_file() == Path("/some/where.json")

    def test_expands_the_home_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", "~/where.json")
        assert default_runtime_file() == Path.home() / "where.json"

    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_is_in_the_users_runtime_folder_otherwise(
        self, value: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENCODE_SYNC_RUNTIME_FILE")
        if value is not None:
            monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", value)
        found = default_runtime_file()
        assert found.name == "gateway.json"
        assert found.is_absolute()
        assert "opencode-sync" in found.parts

    def test_says_when_another_user_took_the_folder(
        self, monkeypatch: pytest.MonkeyPatch, log: Log
    ) -> None:
        def taken(*args: Any, **kwargs: Any) -> Path:
            raise PermissionError("/tmp/runtime-1000 is owned by another user")

        monkeypatch.delenv("OPENCODE_SYNC_RUNTIME_FILE")
        monkeypatch.setattr(platformdirs, "user_runtime_path", taken)
        refused(
            default_runtime_file,
            field="path",
            says=("owned by another user", "OPENCODE_SYNC_RUNTIME_FILE"),
            log=log,
        )


class TestWriteRuntimeFile:
    def test_writes_what_clients_read(self, path: Path) -> None:
        write(path)
        assert json.loads(path.read_text()) == {
            "port": 4096,
            "auth_token": TOKEN,
            "pid": os.getpid(),
        }
        assert FileConfigProvider(path).get_config() == IpcConfig(4096, TOKEN)

    def test_writes_the_process_id_it_is_given(self, path: Path) -> None:
        write_runtime_file(path, port=4096, auth_token=TOKEN, pid=17)
        assert json.loads(path.read_text())["pid"] == 17

    @posix
    def test_makes_folder_and_file_for_the_user_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "gateway.json"
        before = os.umask(0)
        try:
            write(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @posix
    def test_replaces_an_older_file_even_one_that_others_can_read(self, path: Path) -> None:
        path.write_text("{}")
        path.chmod(0o644)
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.listdir(path.parent) == ["gateway.json"]

    def test_is_seen_whole_or_not_at_all(self, path: Path) -> None:
        """Readers at work during many replacements only ever see complete files."""
        write(path)
        done = threading.Event()
        seen: list[object] = []

        def read() -> None:
            while not done.is_set():
                try:
                    seen.append(FileConfigProvider(path).get_config().port)
                except IpcConfigError as error:
                    seen.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for port in range(2000, 2100):
                write(path, port=port)
        finally:
            done.set()
            reader.join()
        assert [each for each in seen if not isinstance(each, int)] == []

    @posix
    def test_refuses_a_symbolic_link(self, path: Path, tmp_path: Path, log: Log) -> None:
        target = tmp_path / "target"
        target.write_text("untouched")
        path.symlink_to(target)
        refused(lambda: write(path), field="path", says=(str(path), "remove it"), log=log)
        assert target.read_text() == "untouched"
        assert path.is_symlink()

    def test_refuses_a_folder(self, path: Path, log: Log) -> None:
        path.mkdir()
        refused(lambda: write(path), field="path", says=("not a regular file",), log=log)

    @posix
    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
    def test_refuses_a_folder_others_can_write_to(self, mode: int, path: Path, log: Log) -> None:
        path.parent.chmod(mode)
        refused(
            lambda: write(path),
            field="path",
            says=(str(path.parent), "can be written to by other users", "chmod 700"),
            log=log,
        )
        assert os.listdir(path.parent) == []

    @posix
    def test_refuses_a_folder_of_somebody_else(
        self, path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stranger = path.parent.stat().st_uid + 1
        if os.geteuid() == 0:
            os.chown(path.parent, 12345, -1)  # root's own folders are trusted, this one is not
        else:
            monkeypatch.setattr(os, "geteuid", lambda: stranger)
        refused(lambda: write(path), field="path", says=("other users",), log=log)

    def test_says_when_the_folder_is_a_file(self, path: Path, log: Log) -> None:
        path.write_text("")
        refused(
            lambda: write(path / "gateway.json"),
            field="path",
            says=("cannot be written", "check the path"),
            log=log,
        )

    @pytest.mark.parametrize("function", ["fsync", "replace"])
    def test_leaves_nothing_half_written(
        self, function: str, path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(path, "the-one-before-0123456789")

        def full(*args: Any, **kwargs: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, function, full)
        refused(lambda: write(path), field="path", says=("No space left",), log=log)
        assert os.listdir(path.parent) == ["gateway.json"]
        assert "the-one-before" in path.read_text()

    def test_works_where_folders_cannot_be_opened(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runtime_file, "_POSIX", False)
        write(path)
        write(path)
        assert os.listdir(path.parent) == ["gateway.json"]
        assert read_small_file(path, private=True) is not None


class TestGatewayBehind:
    def test_none_without_a_file(self, path: Path) -> None:
        assert gateway_behind(path) is None

    def test_names_process_and_port_of_one_that_answers(self, path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            write_runtime_file(path, port=port, auth_token=TOKEN)
            found = gateway_behind(path)
            assert found == f"process {os.getpid()}, port {port}"
            assert TOKEN not in found

    def test_a_file_need_not_name_the_process(self, path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            path.touch(0o600)
            path.write_text(json.dumps({"port": port, "auth_token": TOKEN}))
            assert gateway_behind(path) == f"port {port}"

    @posix
    def test_none_when_its_process_is_gone(self, path: Path) -> None:
        child = subprocess.Popen([sys.executable, "-S", "-c", ""])
        child.wait(20)
        with socket.create_server(("127.0.0.1", 0)) as listener:  # somebody else's by now
            write_runtime_file(
                path, port=listener.getsockname()[1], auth_token=TOKEN, pid=child.pid
            )
            assert gateway_behind(path) is None

    def test_none_when_nobody_answers(self, path: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            write_runtime_file(path, port=free.getsockname()[1], auth_token=TOKEN)
            assert gateway_behind(path) is None

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "null",
            "{}",
            '{"port": "x"}',
            '{"port": null}',
            '{"port": 99999999}',
            '{"port": -1}',
            "\x00",
        ],
    )
    def test_none_when_the_file_is_no_good(self, path: Path, content: str) -> None:
        path.touch(0o600)
        path.write_text(content)
        assert gateway_behind(path) is None


class TestRemoveRuntimeFile:
    def test_removes_our_own(self, path: Path) -> None:
        write(path)
        assert remove_runtime_file(path, auth_token=TOKEN) is True
        assert os.listdir(path.parent) == []

    def test_leaves_another_gateways(self, path: Path) -> None:
        write(path, "of-another-0123456789")
        assert remove_runtime_file(path, auth_token=TOKEN) is False
        assert os.listdir(path.parent) == ["gateway.json"]

    @pytest.mark.parametrize(
        "content",
        ["", "[]", "rubbish", "[" * 60_000, '{"auth_token": 1}', "{}", '"x"', "x" * 70_000],
    )
    def test_leaves_what_no_gateway_wrote(self, content: str, path: Path) -> None:
        path.write_text(content)
        path.chmod(0o600)
        assert remove_runtime_file(path, auth_token=TOKEN) is False
        assert path.read_text() == content

    def test_a_file_that_is_gone_is_no_error(self, path: Path) -> None:
        assert remove_runtime_file(path, auth_token=TOKEN) is False

    @posix
    def test_does_not_follow_a_link(self, path: Path, tmp_path: Path) -> None:
        target = tmp_path / "target"
        write_runtime_file(path, port=4096, auth_token=TOKEN)
        path.rename(target)
        path.symlink_to(target)
        assert remove_runtime_file(path, auth_token=TOKEN) is False
        assert target.exists()

    def _on_replace(
        self, monkeypatch: pytest.MonkeyPatch, act: Callable[[Callable[..., None]], None]
    ) -> None:
        """Run ``act`` in the instant between the look at the file and its removal, once."""
        real = os.replace

        def replace(source: Any, target: Any, **options: Any) -> None:
            monkeypatch.setattr(os, "replace", real)
            act(lambda: real(source, target, **options))

        monkeypatch.setattr(os, "replace", replace)

    def test_gives_back_what_became_another_gateways(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(path)

        def act(go_on: Callable[[], None]) -> None:
            write(path, "of-another-0123456789")
            go_on()

        self._on_replace(monkeypatch, act)
        assert remove_runtime_file(path, auth_token=TOKEN) is False
        assert os.listdir(path.parent) == ["gateway.json"]
        assert "of-another" in path.read_text()

    def test_does_not_overwrite_an_even_newer_one(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(path)

        def act(go_on: Callable[[], None]) -> None:
            write(path, "of-another-0123456789")
            go_on()
            write(path, "of-a-third-0123456789")

        self._on_replace(monkeypatch, act)
        assert remove_runtime_file(path, auth_token=TOKEN) is False
        assert os.listdir(path.parent) == ["gateway.json"]
        assert "of-a-third" in path.read_text()

    def test_is_not_disturbed_by_whoever_was_faster(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(path)

        def act(go_on: Callable[[], None]) -> None:
            path.unlink()
            go_on()

        self._on_replace(monkeypatch, act)
        assert remove_runtime_file(path, auth_token=TOKEN) is False


class TestReadSmallFile:
    def test_returns_none_for_no_file(self, path: Path) -> None:
        assert read_small_file(path, private=True) is None
        path.write_text("")
        assert read_small_file(path / "below a file", private=True) is None

    def test_reads_up_to_the_limit(self, path: Path) -> None:
        path.write_bytes(b"x" * 65536)
        assert read_small_file(path, private=False) == b"x" * 65536

    def test_refuses_more(self, path: Path, log: Log) -> None:
        path.write_bytes(b"x" * 65537)
        refused(
            lambda: read_small_file(path, private=False),
            field="path",
            says=("larger than 64 KiB", "name a configuration file"),
            log=log,
        )

    def test_says_what_the_system_refused(
        self, path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.write_text("{}")

        def denied(*args: Any, **kwargs: Any) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", denied)
            refused(
                lambda: read_small_file(path, private=False),
                field="path",
                says=("cannot be read (Permission denied)", "check the path"),
                log=log,
            )

    def test_says_when_reading_fails_later(
        self, path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.write_text("{}")

        def broken(*args: Any, **kwargs: Any) -> int:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fdopen", broken)
            refused(
                lambda: read_small_file(path, private=False),
                field="path",
                says=("cannot be read (Input/output error)",),
                log=log,
            )

    def test_a_folder_that_cannot_even_be_opened_is_called_one(
        self, path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied(*args: Any, **kwargs: Any) -> int:  # as on Windows
            raise PermissionError(errno.EACCES, "Permission denied")

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", denied)
            refused(
                lambda: read_small_file(path.parent, private=False),
                field="path",
                says=("is a folder",),
                log=log,
            )
