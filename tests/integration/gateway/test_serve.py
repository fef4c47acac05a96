"""What the command does: choosing a backend, and serving until told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcArgumentError
from opencode_sync.gateway import BackendError, EmbeddedBackend, Gateway, GatewayError, serve
from opencode_sync.gateway.serve import StopRequest, choose_backend, run
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import PATIENCE, ScriptedBackend, WebSocketPeer, server

pytestmark = pytest.mark.usefixtures("nothing_left")

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


class TestRun:
    @posix
    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
    def test_signal_ends_it_gracefully(self, name: str, tmp_path: Path) -> None:
        number = getattr(signal, name)
        previous = signal.getsignal(number)
        gateway = Gateway(ScriptedBackend(), runtime_file=tmp_path / "gateway.json")
        lines: list[str] = []

        def announce(line: str) -> None:
            lines.append(line)
            assert (tmp_path / "gateway.json").exists()
            os.kill(os.getpid(), number)

        assert run(gateway, announce=announce) == 0
        assert not (tmp_path / "gateway.json").exists()
        assert signal.getsignal(number) is previous
        (line,) = lines
        assert line.startswith(f"Serving a scripted backend; clients connect to {gateway.endpoint}")
        assert str(tmp_path / "gateway.json") in line
        assert gateway.auth_token not in line

    @posix
    def test_ignored_signal_stays_ignored(self) -> None:
        previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            seen: list[Any] = []
            stop = StopRequest()

            def announce(line: str) -> None:
                seen.append(signal.getsignal(signal.SIGHUP))
                stop.send("enough")

            assert run(Gateway(ScriptedBackend()), announce=announce, stop=stop) == 0
        finally:
            signal.signal(signal.SIGHUP, previous)
        assert seen == [signal.SIG_IGN]

    def test_outside_the_main_thread(self) -> None:
        gateway = Gateway(ScriptedBackend())
        stop, announced, codes = StopRequest(), threading.Event(), []
        before = signal.getsignal(signal.SIGTERM)
        thread = threading.Thread(
            target=lambda: codes.append(
                run(gateway, announce=lambda line: announced.set(), stop=stop)
            )
        )
        thread.start()
        assert announced.wait(PATIENCE)
        assert signal.getsignal(signal.SIGTERM) is before
        peer = WebSocketPeer(gateway)
        assert peer.authenticate(gateway.auth_token).auth_handshake_response.success
        stop.send("the test is done")
        thread.join(PATIENCE)
        assert codes == [0]
        assert peer.end().code == 1001
        peer.close()

    def test_start_that_fails_leaves_nothing(self) -> None:
        def fail() -> None:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "cannot")

        backend = ScriptedBackend()
        backend.script["start"] = fail
        lines: list[str] = []
        with pytest.raises(BackendError, match="cannot"):
            run(Gateway(backend), announce=lines.append)
        assert lines == []
        assert backend.closes > 0

    def test_announcement_that_fails_leaves_nothing(self) -> None:
        def announce(line: str) -> None:
            raise BrokenPipeError

        backend = ScriptedBackend()
        with pytest.raises(BrokenPipeError):
            run(Gateway(backend), announce=announce)
        assert backend.closes == 1

    @posix
    def test_a_signal_of_somebody_elses_is_left_to_them(self) -> None:
        stop, seen = StopRequest(), threading.Event()
        previous = signal.signal(signal.SIGUSR1, lambda number, frame: seen.set())
        former = signal.set_wakeup_fd(-1)

        def announce(line: str) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert seen.wait(PATIENCE)
            stop.send("enough")

        try:
            assert run(Gateway(ScriptedBackend()), announce=announce, stop=stop) == 0
            assert signal.set_wakeup_fd(former) == -1
        finally:
            signal.signal(signal.SIGUSR1, previous)

    def test_waiting_goes_on_until_somebody_asks(self) -> None:
        request = StopRequest()
        timer = threading.Timer(0.05, request.send, ["asked"])
        timer.start()
        assert request.wait() == "asked"
        timer.join(PATIENCE)


class FakeOpenCode(ScriptedBackend):
    """Stands in for the OpenCode backend, and remembers how it was made."""

    name = "opencode"
    made: list[FakeOpenCode] = []  # noqa: RUF012
    finds: Any = staticmethod(lambda: None)
    spawns: Any = staticmethod(lambda port: server())

    def __init__(self, url: str | None = None, **options: Any) -> None:
        super().__init__()
        self.url, self.options = url, options
        self.script = {"discover_server": type(self).finds, "spawn_server": type(self).spawns}
        self.made.append(self)

    @property
    def description(self) -> str:
        return "a fake OpenCode"


@pytest.fixture
def opencode(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeOpenCode]]:
    class Fresh(FakeOpenCode):
        made: list[FakeOpenCode] = []  # noqa: RUF012

    monkeypatch.setattr("opencode_sync.gateway.backends.opencode.backend.OpenCodeBackend", Fresh)
    monkeypatch.setattr(serve.shutil, "which", lambda name: None)
    monkeypatch.delenv("OPENCODE_SERVER_PASSWORD", raising=False)
    monkeypatch.delenv("OPENCODE_SERVER_USERNAME", raising=False)
    return Fresh


class TestChoose:
    def choose(self, kind: str, **options: Any) -> tuple[Any, list[str]]:
        lines: list[str] = []
        return choose_backend(kind, announce=lines.append, **options), lines

    def test_embedded(self, tmp_path: Path) -> None:
        backend, lines = self.choose("embedded", database=tmp_path / "s.db", directory="/there")
        assert isinstance(backend, EmbeddedBackend)
        backend.start()
        made = backend.create_session("x", deadline=Deadline.after(PATIENCE))
        assert made.directory == str(Path("/there").absolute())
        backend.close()
        assert lines == []
        assert (tmp_path / "s.db").exists()

    def test_unknown_kind(self) -> None:
        with pytest.raises(IpcArgumentError, match="must be one of auto, opencode, embedded"):
            self.choose("cloud")

    @pytest.mark.parametrize(
        "options", [{"url": "http://127.0.0.1:4096"}, {"discover": True}, {"spawn": True}]
    )
    def test_embedded_contradicts_a_server(self, options: dict[str, Any]) -> None:
        with pytest.raises(IpcArgumentError, match="uses no OpenCode server") as caught:
            self.choose("embedded", **options)
        assert caught.value.field == "backend"

    @pytest.mark.parametrize("kind", ["opencode", "auto"])
    def test_opencode_as_told(
        self, kind: str, opencode: type[FakeOpenCode], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENCODE_SERVER_PASSWORD", "hush")
        monkeypatch.setenv("OPENCODE_SERVER_USERNAME", "me")
        backend, lines = self.choose(
            kind, url="http://127.0.0.1:4096", directory="/there", spawn=True
        )
        assert isinstance(backend, opencode)
        assert backend.url == "http://127.0.0.1:4096"
        assert backend.options == {
            "username": "me",
            "password": "hush",
            "directory": "/there",
            "spawn": True,
            "discover": False,
        }
        assert backend.calls == []
        assert lines == []

    def test_auto_takes_what_runs(self, opencode: type[FakeOpenCode]) -> None:
        opencode.finds = staticmethod(server)
        backend, lines = self.choose("auto")
        assert isinstance(backend, opencode)
        assert backend.options["password"] is None
        assert lines == ["Using a fake OpenCode: it is running already"]
        assert [call[0] for call in backend.calls] == ["start", "discover_server"]

    def test_auto_spawns_what_is_installed(
        self, opencode: type[FakeOpenCode], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(serve.shutil, "which", lambda name: f"/bin/{name}")
        backend, lines = self.choose("auto")
        assert isinstance(backend, opencode)
        assert lines == ["Using a fake OpenCode: none was running, so it was started"]
        assert ("spawn_server", None) in backend.calls

    def test_auto_falls_back_to_the_store(
        self, opencode: type[FakeOpenCode], tmp_path: Path
    ) -> None:
        backend, (line,) = self.choose("auto", database=tmp_path / "s.db")
        assert isinstance(backend, EmbeddedBackend)
        assert str(tmp_path / "s.db") in line
        assert line.endswith(
            "no OpenCode server is running, and no opencode is on the PATH to start one"
        )
        assert opencode.made[0].closes == 1

    @pytest.mark.parametrize("installed", [True, False])
    def test_auto_tells_of_a_server_that_wants_a_password(
        self,
        opencode: type[FakeOpenCode],
        monkeypatch: pytest.MonkeyPatch,
        installed: bool,
    ) -> None:
        def locked() -> Any:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR, "it wants a password; set one")

        opencode.finds = staticmethod(locked)
        if installed:
            monkeypatch.setattr(serve.shutil, "which", lambda name: f"/bin/{name}")
        backend, (line,) = self.choose("auto")
        assert isinstance(backend, opencode if installed else EmbeddedBackend)
        assert "it wants a password; set one" in line

    def test_auto_says_why_looking_failed(self, opencode: type[FakeOpenCode]) -> None:
        def fail() -> Any:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, "it needs a package")

        opencode.finds = staticmethod(fail)
        backend, (line,) = self.choose("auto")
        assert isinstance(backend, EmbeddedBackend)
        assert line.endswith("it needs a package")

    def test_auto_says_why_a_spawn_failed(
        self, opencode: type[FakeOpenCode], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(port: int | None) -> Any:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "it ended at once")

        monkeypatch.setattr(serve.shutil, "which", lambda name: f"/bin/{name}")
        opencode.spawns = staticmethod(fail)
        backend, (line,) = self.choose("auto")
        assert isinstance(backend, EmbeddedBackend)
        assert line.endswith("it ended at once")
        assert opencode.made[0].closes == 1

    def test_auto_interrupted_leaves_nothing(self, opencode: type[FakeOpenCode]) -> None:
        def interrupt() -> Any:
            raise KeyboardInterrupt

        opencode.finds = staticmethod(interrupt)
        with pytest.raises(KeyboardInterrupt):
            self.choose("auto")
        assert opencode.made[0].closes == 1

    def test_package_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "opencode_sync.gateway.backends.opencode.backend", None)
        with pytest.raises(GatewayError, match=r"pip install \"opencode-sync-sdk\[gateway\]\""):
            self.choose("opencode")
        backend, (line,) = self.choose("auto")
        assert isinstance(backend, EmbeddedBackend)
        assert "pip install" in line
