"""The complete examples, driven as their users would."""

from __future__ import annotations

import gc
import os
import runpy
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("tkinter", reason="this Python has no tkinter")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from opencode_sync import IpcClient
from opencode_sync.gateway import Gateway
from tests.desktop.dispatch.screen import need
from tests.desktop.dispatch.windows import qt_text, run_qt, run_tk, tk_text
from tests.docs.blocks import DOCS
from tests.integration.cli.talking import TalkingBackend
from tests.support.leaks import eventually, no_leaks

EXAMPLES: Final = DOCS / "examples"
WAIT: Final = 30.0


class Example(ABC):
    """An example's window, with a client of its own."""

    lost: str
    """What it says of a lost connection, among other things."""

    def __init__(self, name: str) -> None:
        self._make: Any = runpy.run_path(str(EXAMPLES / f"{name}_sessions.py"))["Window"]
        self.client = IpcClient()
        self._background = ThreadPoolExecutor(1)
        self.window: Any = None

    def open(self) -> None:
        self.window = self._make(self.client, self._background)

    @abstractmethod
    def press(self, button: str) -> None:
        """Press one of its buttons with the mouse."""

    @abstractmethod
    def run_until(self, condition: Callable[[], bool]) -> None:
        """Let it run."""

    @abstractmethod
    def text(self) -> str:
        """What it shows."""

    @abstractmethod
    def end(self) -> None:
        """Close the window as its user would."""

    def run_until_shown(self, text: str) -> None:
        self.run_until(lambda: text.lower() in self.text().lower())

    def close(self) -> None:
        self.end()
        assert self.window.ui.closed
        self.window = None
        self.client.close()
        self._background.shutdown()
        gc.collect()  # here: Tcl does not survive that another thread's collector comes upon it


class TkExample(Example):
    lost = "no backend to connect to"

    def press(self, button: str) -> None:
        target = getattr(self.window, f"{button}_button")
        self.run_until(target.winfo_viewable)
        for event in ("<Enter>", "<ButtonPress-1>", "<ButtonRelease-1>"):
            target.event_generate(event, x=5, y=5)

    def run_until(self, condition: Callable[[], bool]) -> None:
        run_tk(self.window, condition)

    def text(self) -> str:
        return tk_text(self.window)

    def end(self) -> None:
        self.window.destroy()


class QtExample(Example):
    lost = "it is being restored"

    def __init__(self, name: str, application: QApplication) -> None:
        super().__init__(name)
        self._application = application

    def open(self) -> None:
        super().open()
        self.window.show()

    def press(self, button: str) -> None:
        QTest.mouseClick(getattr(self.window, f"{button}_button"), Qt.MouseButton.LeftButton)

    def run_until(self, condition: Callable[[], bool]) -> None:
        run_qt(self._application, condition)

    def text(self) -> str:
        return qt_text()

    def end(self) -> None:
        self.window.deleteLater()
        QCoreApplication.sendPostedEvents(self.window, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def runtime_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the examples find a gateway."""
    path = tmp_path / "run" / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(path))
    return path


@pytest.fixture(params=["tk", "qt"])
def example(
    request: pytest.FixtureRequest,
    runtime_file: Path,
    qapp: QApplication,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Example]:
    """Each example's window; it has not found a gateway, and leaves nothing behind."""
    if request.param == "tk":
        monkeypatch.setenv("DISPLAY", request.getfixturevalue("display"))
    with no_leaks():
        made = TkExample("tk") if request.param == "tk" else QtExample("qt", qapp)
        made.open()
        made.run_until_shown("opencode-sync gateway")
        yield made
        made.close()


def a_gateway(runtime_file: Path, folder: Path) -> Gateway:
    return Gateway(TalkingBackend(folder / "sessions.db"), runtime_file=runtime_file)


def test_the_tk_example_is_as_short_as_it_is_said_to_be() -> None:
    lines = (EXAMPLES / "tk_sessions.py").read_text().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100


def test_a_gateway_that_is_started_later_is_found(
    example: Example, runtime_file: Path, tmp_path: Path
) -> None:
    with a_gateway(runtime_file, tmp_path):
        example.press("refresh")
        example.run_until_shown("Connected")
        example.client.close()


def test_it_lists_and_creates_sessions(
    example: Example, runtime_file: Path, tmp_path: Path
) -> None:
    with a_gateway(runtime_file, tmp_path), IpcClient() as another:
        another.create_session("Fix the cart")
        example.press("refresh")
        example.run_until_shown("Fix the cart")
        example.press("create")
        example.run_until(lambda: "window" in example.text())
        assert len(another.list_sessions()) == 2
        example.client.close()


def test_it_shows_that_the_connection_was_lost_and_is_back(
    example: Example, runtime_file: Path, tmp_path: Path
) -> None:
    with a_gateway(runtime_file, tmp_path):
        example.press("refresh")
        example.run_until_shown("Connected")
    example.run_until_shown(example.lost)
    with a_gateway(runtime_file, tmp_path), IpcClient() as another:
        another.create_session("Created while it was away")
        example.run_until_shown("Connected")
        example.press("refresh")  # the Tk example reads the list when it is asked to
        example.run_until_shown("Created while it was away")
        example.client.close()


# --- As a program ---


@pytest.fixture
def program(runtime_file: Path, display: str) -> Iterator[subprocess.Popen[str]]:
    """The Tk example, started by itself on a screen; it has to have ended."""
    need("xdotool")
    process = subprocess.Popen(
        [sys.executable, "-W", "error", EXAMPLES / "tk_sessions.py"],
        env={**os.environ, "DISPLAY": display},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
            output, _ = process.communicate(timeout=WAIT)
            assert (process.returncode, output) == (0, "")
        finally:
            process.kill()


def xdotool(display: str, *words: str) -> str:
    return subprocess.run(
        [need("xdotool"), *words],
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=True,
    ).stdout


def window_of(display: str) -> str:
    """Wait for the example's window to be seen."""
    return xdotool(display, "search", "--sync", "--onlyvisible", "--name", "^Sessions$").split()[0]


def click(display: str, window: str, *, above_bottom: int) -> None:
    """Click in the middle of a window, some pixels above its lower edge."""
    geometry = dict(
        line.split("=", 1)
        for line in xdotool(display, "getwindowgeometry", "--shell", window).splitlines()
    )
    x, y = int(geometry["WIDTH"]) // 2, int(geometry["HEIGHT"]) - above_bottom
    xdotool(display, "mousemove", "--window", window, str(x), str(y), "click", "1")


def test_the_program_works_with_the_mouse_and_ends_with_its_window(
    runtime_file: Path,
    tmp_path: Path,
    display: str,
    request: pytest.FixtureRequest,
) -> None:
    with a_gateway(runtime_file, tmp_path), IpcClient() as another:
        request.getfixturevalue("program")
        window = window_of(display)
        # Until it has connected the button brings an error in the window, and no session.
        assert eventually(
            lambda: click(display, window, above_bottom=15) or len(another.list_sessions()) > 0,
            WAIT,
        )
        xdotool(display, "windowfocus", "--sync", window, "key", "ctrl+q")


def test_the_program_ends_at_once_while_it_connects(
    runtime_file: Path,
    display: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Also to a backend that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OPENCODE_IPC_PORT", str(silent.getsockname()[1]))
        monkeypatch.setenv("OPENCODE_IPC_TOKEN", "not-a-secret-only-for-a-test")
        program = request.getfixturevalue("program")
        window = window_of(display)
        silent.settimeout(WAIT)
        connecting, _ = silent.accept()
        with connecting:
            xdotool(display, "windowfocus", "--sync", window, "key", "ctrl+q")
            assert program.wait(WAIT) == 0
