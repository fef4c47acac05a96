"""``launch``: what it starts, what it uses, and that all of it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import traceback
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import pytest

import opencode_sync
from opencode_sync import (
    InMemoryMetrics,
    IpcArgumentError,
    IpcClientOptions,
    IpcConfigError,
    IpcConnectionError,
    IpcError,
    IpcServerError,
    IpcUsageError,
    launch,
)
from opencode_sync.deadline import Deadline
from opencode_sync.gateway import BackendError, EmbeddedBackend
from opencode_sync.wire import ipc_pb2
from tests.support.leaks import no_leaks
from tests.support.threads import together

MODULE = sys.modules["opencode_sync.launching"]
WAIT = 10.0

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


class FakeOpenCode(EmbeddedBackend):
    """Has sessions, and a server to discover or to spawn, as the test wants it."""

    made: ClassVar[list[FakeOpenCode]] = []
    found: ClassVar[ipc_pb2.IpcServerInfo | BackendError | None] = None
    spawned: ClassVar[ipc_pb2.IpcServerInfo | BackendError | None] = None
    start_failure: ClassVar[BackendError | None] = None
    database: ClassVar[Path]

    def __init__(self, url: str | None, **arguments: Any) -> None:
        super().__init__(self.database / f"{uuid.uuid4()}.db")
        self.url = url
        self.arguments = arguments
        self.calls: list[str] = []
        self.directories: set[str] = set()
        self.made.append(self)

    def in_directory(self, directory: str) -> FakeOpenCode:
        self.directories.add(directory)
        return self

    def start(self) -> None:
        if self.start_failure is not None:
            raise self.start_failure
        super().start()

    def discover_server(self, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        self.calls.append("discover")
        if isinstance(self.found, BackendError):
            raise self.found
        return self.found

    def spawn_server(self, port: int | None, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo:
        self.calls.append("spawn")
        if isinstance(self.spawned, BackendError):
            raise self.spawned
        return self.spawned or ipc_pb2.IpcServerInfo(name="opencode", port=4096, owned=True)

    def close(self) -> None:
        self.calls.append("close")
        super().close()


class Registered:
    """What is to be called at the interpreter's end; in the place of ``atexit``."""

    def __init__(self) -> None:
        self.functions: list[Any] = []

    def register(self, function: Any) -> None:
        self.functions.append(function)

    def unregister(self, function: Any) -> None:
        self.functions = [each for each in self.functions if each != function]


@pytest.fixture(autouse=True)
def at_exit(monkeypatch: pytest.MonkeyPatch) -> Registered:
    registered = Registered()
    monkeypatch.setattr(MODULE, "atexit", registered)
    return registered


@pytest.fixture(autouse=True)
def opencode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at_exit: Registered
) -> Iterator[type[FakeOpenCode]]:
    """The fake in the place of OpenCode; whatever happens nothing of it may stay behind."""
    for name in ("OPENCODE_SERVER_PASSWORD", "OPENCODE_SERVER_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("opencode_sync.gateway.OpenCodeBackend", FakeOpenCode)
    FakeOpenCode.made.clear()
    FakeOpenCode.database = tmp_path
    FakeOpenCode.found = FakeOpenCode.spawned = FakeOpenCode.start_failure = None
    with no_leaks():
        yield FakeOpenCode
    assert at_exit.functions == []


def error(code: str, message: str) -> BackendError:
    return BackendError(ipc_pb2.IpcErrorCode.Value(f"IPC_ERROR_CODE_{code}"), message)


SERVER = ipc_pb2.IpcServerInfo(name="opencode", port=4096)


# What it uses and starts


def test_a_running_server_is_used_and_none_is_started(opencode: type[FakeOpenCode]) -> None:
    opencode.found = SERVER
    with launch() as client:
        assert client.is_connected
        session = client.create_session("A title")
        assert session.id in {each.id for each in client.list_sessions()}
        assert opencode.made[0].calls == ["discover"]
    assert opencode.made[0].calls == ["discover", "close"]
    assert not client.is_connected


def test_where_none_runs_one_is_started(opencode: type[FakeOpenCode]) -> None:
    with launch():
        assert opencode.made[0].calls == ["discover", "spawn"]


def test_looking_for_one_can_be_left_out(opencode: type[FakeOpenCode]) -> None:
    opencode.found = SERVER
    with launch(discover=False):
        assert opencode.made[0].calls == ["spawn"]


def test_where_none_may_be_started_it_says_what_to_do(opencode: type[FakeOpenCode]) -> None:
    with pytest.raises(IpcServerError, match="opencode serve") as caught, launch(spawn=False):
        pass
    assert caught.value.code_name == "NO_SERVER"
    assert opencode.made[0].calls[-1] == "close"


def test_a_server_that_is_closed_to_us_is_passed_over(opencode: type[FakeOpenCode]) -> None:
    opencode.found = error("AUTH_ERROR", "it wants a password")
    with launch():
        assert opencode.made[0].calls == ["discover", "spawn"]
    with pytest.raises(IpcServerError, match="wants a password"), launch(spawn=False):
        pass


def test_a_search_that_fails_is_no_reason_to_start_one(opencode: type[FakeOpenCode]) -> None:
    opencode.found = error("SERVER_ERROR", "it broke")
    with pytest.raises(IpcServerError, match="it broke"), launch():
        pass
    assert "spawn" not in opencode.made[0].calls


def test_a_missing_opencode_says_how_to_install_it(opencode: type[FakeOpenCode]) -> None:
    opencode.spawned = error("NO_SERVER", "install it with `npm install -g opencode-ai`")
    with pytest.raises(IpcServerError, match="npm install -g opencode-ai"), launch():
        pass
    assert opencode.made[0].calls == ["discover", "spawn", "close", "close"]


def test_a_url_is_the_only_server_that_is_used(opencode: type[FakeOpenCode]) -> None:
    with launch(url="http://127.0.0.1:4096", username="me", password="secret") as client:
        assert client.list_sessions() is not None
        (backend,) = opencode.made
        assert backend.url == "http://127.0.0.1:4096"
        assert (backend.arguments["username"], backend.arguments["password"]) == ("me", "secret")
        assert backend.calls == []


def test_a_url_where_nothing_works_says_why(opencode: type[FakeOpenCode]) -> None:
    opencode.start_failure = error("AUTH_ERROR", "set OPENCODE_SERVER_PASSWORD")
    with pytest.raises(IpcServerError, match="SERVER_PASSWORD") as caught:
        launch(url="http://127.0.0.1:1").__enter__()
    assert (caught.value.code_name, caught.value.operation) == ("AUTH_ERROR", "launch")


def test_name_and_password_come_from_the_environment(
    opencode: type[FakeOpenCode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCODE_SERVER_PASSWORD", "of the process")
    environ = {"OPENCODE_SERVER_PASSWORD": "given", "OPENCODE_SERVER_USERNAME": "somebody"}
    for given in (None, environ):
        with launch(environ=given):
            pass
    first, second = (backend.arguments for backend in opencode.made)
    assert (first["username"], first["password"]) == ("opencode", "of the process")
    assert (second["username"], second["password"]) == ("somebody", "given")
    assert second["environ"] is environ


def test_no_password_is_shown(opencode: type[FakeOpenCode]) -> None:
    assert "secret" not in repr(launch(password="secret"))


def test_client_and_server_are_about_the_directory(
    opencode: type[FakeOpenCode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(tmp_path)
    for each in ("project", project):
        with launch(each) as client:
            client.list_sessions()
    for backend in opencode.made:
        assert backend.arguments["directory"] == project.resolve()
        assert backend.directories == {str(project.resolve())}


def test_options_and_metrics_are_the_clients() -> None:
    options, metrics = IpcClientOptions(default_request_timeout=7.0), InMemoryMetrics()
    with launch(options=options, metrics=metrics) as client:
        assert client.options is options
        client.list_sessions()
    assert "list_sessions" in str(metrics.snapshot())


# What is wrong before anything is started


@pytest.mark.parametrize(
    ("directory", "problem"),
    [
        ("missing", "does not exist"),
        ("file", "is not a folder"),
        ("nul\0", "cannot be looked at"),
        ("x" * 5_000, "cannot be looked at"),
        (7, "of type int"),
        (None, "of type NoneType"),
    ],
)
def test_the_directory_has_to_be_one(
    opencode: type[FakeOpenCode],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    directory: Any,
    problem: str,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IpcArgumentError, match=problem) as caught:
        launch(directory)
    assert caught.value.field == "directory"
    assert opencode.made == []


def test_a_server_must_come_from_somewhere() -> None:
    with pytest.raises(IpcArgumentError, match="discover and spawn"):
        launch(discover=False, spawn=False)


def test_wrong_options_start_nothing(opencode: type[FakeOpenCode]) -> None:
    with pytest.raises(IpcConfigError, match="options"), launch(options=7):  # type: ignore[arg-type]
        pass
    assert all("spawn" not in backend.calls for backend in opencode.made)


def test_each_is_used_once(opencode: type[FakeOpenCode]) -> None:
    once = launch()
    with once, pytest.raises(IpcUsageError, match="used already"):
        once.__enter__()
    with pytest.raises(IpcUsageError, match="used already"):
        once.__enter__()


# A package that is missing


@pytest.mark.parametrize("package", ["urllib3", "dotenv"])
def test_a_missing_package_names_the_extra(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
import opencode_sync
try:
    with opencode_sync.launch():
        pass
except opencode_sync.IpcConfigError as error:
    print(error)
"""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("COV_")}
    environ["PYTHONPATH"] = str(Path(opencode_sync.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"the package {package} of the extra gateway" in done.stdout
    assert "pip install 'opencode-sync-sdk[gateway]'" in done.stdout


def test_without_psutil_the_extra_is_named(opencode: type[FakeOpenCode]) -> None:
    opencode.found = error("NOT_IMPLEMENTED", "finding one needs the package psutil")
    with pytest.raises(IpcConfigError, match=re.escape("opencode-sync-sdk[gateway]")), launch():
        pass


def test_an_import_that_fails_for_another_reason_is_not_blamed_on_the_installation(
    monkeypatch: pytest.MonkeyPatch, at_exit: Registered
) -> None:
    monkeypatch.setitem(sys.modules, "opencode_sync.gateway", None)
    with pytest.raises(ImportError), launch():
        pass


@pytest.mark.parametrize("what", ["extra", "program", "server"])
def test_what_is_not_installed_is_told_in_a_few_lines(
    opencode: type[FakeOpenCode], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    refusal = error("NO_SERVER", "install it with `npm install -g opencode-ai`")
    opencode.spawned = refusal
    if what == "server":
        opencode.start_failure = refusal
    if what == "extra":

        def refuse(name: str) -> Any:
            raise IpcConfigError("install it", source="installation") from ImportError("urllib3")

        monkeypatch.delattr("opencode_sync.gateway.OpenCodeBackend")
        monkeypatch.setattr("opencode_sync.gateway.__getattr__", refuse)
    url = "http://127.0.0.1:1" if what == "server" else None
    with pytest.raises(IpcError, match="install it") as caught:
        launch(url=url).__enter__()
    lines = traceback.format_exception(caught.value)
    assert len(lines) == 4  # the heading, the caller, the with, and the text
    assert "Traceback" in lines[0]
    assert "install it" in lines[-1]


def test_what_is_wrong_in_another_way_keeps_its_traceback(opencode: type[FakeOpenCode]) -> None:
    opencode.found = error("SERVER_ERROR", "it broke")
    with pytest.raises(IpcServerError) as caught:
        launch().__enter__()
    assert len(traceback.extract_tb(caught.value.__traceback__)) > 2


# How it ends


def test_an_error_in_the_block_comes_out_and_all_is_over(opencode: type[FakeOpenCode]) -> None:
    with pytest.raises(KeyError), launch() as client:
        raise KeyError
    assert opencode.made[0].calls[-1] == "close"
    with pytest.raises(IpcConnectionError):
        client.list_sessions(timeout=1)


def test_a_client_that_was_closed_in_the_block_is_no_trouble(opencode: type[FakeOpenCode]) -> None:
    with launch() as client:
        client.close()
        client.connect()
        assert client.list_sessions() is not None
        client.close()
    assert opencode.made[0].calls[-1] == "close"


def test_the_interpreters_end_is_the_end_of_a_block_that_is_never_left(
    opencode: type[FakeOpenCode], at_exit: Registered
) -> None:
    client = launch().__enter__()
    assert client.is_connected
    (function,) = at_exit.functions
    function()
    assert opencode.made[0].calls[-1] == "close"
    assert not client.is_connected


def test_after_its_end_nothing_is_begun(opencode: type[FakeOpenCode]) -> None:
    late = launch()
    late._end()  # the interpreter ends while another thread is about to enter
    with pytest.raises(IpcUsageError, match="interpreter ends"):
        late.__enter__()
    assert set(opencode.made[0].calls) == {"close"}


def test_several_at_once_in_threads(opencode: type[FakeOpenCode]) -> None:
    here = threading.Barrier(6)

    def work(number: int) -> int:
        with launch() as client:
            here.wait(WAIT)
            client.create_session(f"{number}")
            return len(client.list_sessions())

    assert [each.result(30) for each in together(6, work)] == [1] * 6
    assert all(backend.calls[-1] == "close" for backend in opencode.made)


def test_one_inside_another(opencode: type[FakeOpenCode]) -> None:
    with launch() as outer, launch() as inner:
        outer.create_session("outer")
        assert len(inner.list_sessions()) == 0
    assert len(opencode.made) == 2


@posix_only
def test_ctrl_c_while_a_server_starts(
    opencode: type[FakeOpenCode], monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = threading.Event()

    def spawn(self: FakeOpenCode, port: int | None, *, deadline: Deadline) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        assert freed.wait(WAIT)  # as a real one is freed: when the backend is closed
        raise error("NO_SERVER", "closing")

    def close(self: FakeOpenCode) -> None:
        freed.set()
        real_close(self)

    real_close = FakeOpenCode.close
    monkeypatch.setattr(opencode, "spawn_server", spawn)
    monkeypatch.setattr(opencode, "close", close)
    with pytest.raises(KeyboardInterrupt), launch():
        pytest.fail("it was entered")
    assert opencode.made[0].calls[-1] == "close"


@posix_only
def test_ctrl_c_while_it_ends_waits_for_the_end(
    opencode: type[FakeOpenCode], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_close = FakeOpenCode.close

    def close(self: FakeOpenCode) -> None:
        if "close" not in self.calls:
            os.kill(os.getpid(), signal.SIGINT)
        real_close(self)

    monkeypatch.setattr(opencode, "close", close)
    with pytest.raises(KeyboardInterrupt), launch() as client:
        pass
    assert opencode.made[0].calls[-1] == "close"
    assert not client.is_connected


@posix_only
def test_a_forked_child_ends_nothing_of_its_parents(opencode: type[FakeOpenCode]) -> None:
    context = launch()
    with context as client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads
            child = os.fork()
        if child == 0:
            try:
                context.__exit__(None, None, None)
            finally:
                os._exit(0 if opencode.made[0].calls[-1] == "spawn" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.list_sessions() is not None


@pytest.mark.parametrize("place", ["__enter__", "_make", "_start", "_discovered", "__exit__"])
def test_ctrl_c_between_any_two_lines_leaves_nothing_running(
    opencode: type[FakeOpenCode], at_exit: Registered, place: str
) -> None:
    """What cannot be caught any more is over at the interpreter's end."""
    seen, tracing = 0, sys.gettrace()
    while True:
        interruption = _Interruption(place, seen)
        context = launch()
        sys.settrace(interruption.trace)
        try:
            with context:
                pass
        except KeyboardInterrupt:
            assert interruption.happened
        finally:
            sys.settrace(tracing)
        if not interruption.happened:
            break
        seen += 1
        for function in at_exit.functions:
            function()
    assert seen
    assert all(backend.calls[-1:] in ([], ["close"]) for backend in opencode.made)


class _Interruption:
    """Raises KeyboardInterrupt at one line of a function, as a signal would."""

    def __init__(self, function: str, line: int) -> None:
        self._function = function
        self._left = line
        self.happened = False

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if code.co_filename == MODULE.__file__ and code.co_name == self._function:
            return self._line
        return None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line" and not self.happened:
            if self._left == 0:
                self.happened = True
                raise KeyboardInterrupt
            self._left -= 1
        return self._line


def test_after_the_block_the_client_cannot_come_back(opencode: type[FakeOpenCode]) -> None:
    with launch() as client:
        pass
    with pytest.raises(IpcError, match="stopped"):
        client.connect()
    client.close()
