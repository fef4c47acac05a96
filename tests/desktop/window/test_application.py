"""The program around the window: its start, its end, and what it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from typer.testing import CliRunner

from opencode_sync import IpcConfigError, desktop
from opencode_sync.cli.app import app
from opencode_sync.cli.checks import Level, check_packages
from opencode_sync.desktop import (
    MISSING,
    application,
    check_pairing,
    load_toolkit,
    system_libraries,
)
from opencode_sync.desktop.application import check_display, run
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.system_libraries import PACKAGES, check_libraries
from opencode_sync.gateway import Gateway
from opencode_sync.providers import FileConfigProvider

from .conftest import PATIENCE, config_of


def the_window() -> MainWindow:
    return next(each for each in QApplication.topLevelWidgets() if isinstance(each, MainWindow))


def test_the_program_runs_until_its_window_is_closed(
    qapp: QApplication, store: Gateway, leaves_nothing: None
) -> None:
    seen: list[int] = []

    def close() -> None:
        window = the_window()
        window.sessions.loaded.connect(lambda: (seen.append(1), window.close()))

    QTimer.singleShot(0, close)
    assert run(config_of(store)) == 0
    assert seen == [1]
    assert not [each for each in QApplication.topLevelWidgets() if isinstance(each, MainWindow)]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_in_the_terminal_closes_the_window(
    qapp: QApplication, store: Gateway, leaves_nothing: None
) -> None:
    before = signal.getsignal(signal.SIGINT)
    QTimer.singleShot(0, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert run(config_of(store)) == 0
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_command_shows_the_window_and_ends_with_it(store: Gateway, tmp_path: Path) -> None:
    """In a process of its own, as a user has it."""
    environment = os.environ | {
        "OPENCODE_IPC_PORT": str(store.port),
        "OPENCODE_IPC_TOKEN": store.auth_token,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "opencode_sync", "gui", "--verbose"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    connected = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                lines.append(line)
                if "the connection is up" in line:
                    connected.set()
        connected.set()

    reader = threading.Thread(target=read, name="reader-of-a-test")
    reader.start()
    try:
        assert connected.wait(PATIENCE / 1000)
        process.terminate()
        code = process.wait(PATIENCE / 1000)
    finally:
        process.kill()
        process.wait()
        reader.join(PATIENCE / 1000)
    text = "".join(lines)
    assert code == 0, text
    assert "Traceback" not in text
    assert store.auth_token not in text


def test_a_window_that_is_destroyed_without_being_closed_ends_everything(
    qapp: QApplication, store: Gateway, leaves_nothing: None
) -> None:
    def destroy() -> None:
        window = the_window()
        window.sessions.loaded.connect(window.deleteLater)
        window.destroyed.connect(lambda: QTimer.singleShot(0, qapp.quit))

    QTimer.singleShot(0, destroy)
    assert run(config_of(store)) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_ends_the_program_also_when_its_window_is_destroyed(
    qapp: QApplication, store: Gateway, leaves_nothing: None
) -> None:
    def destroy() -> None:
        window = the_window()
        window.destroyed.connect(
            lambda: QTimer.singleShot(0, lambda: os.kill(os.getpid(), signal.SIGINT))
        )
        window.deleteLater()

    QTimer.singleShot(0, destroy)
    assert run(config_of(store)) == 0


def test_something_that_does_not_end_is_left_to_itself(
    qapp: QApplication,
    store: Gateway,
    leaves_nothing: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(application, "_LAST_SECONDS", 0.0)
    monkeypatch.setattr(application.Service, "wait_closed", lambda service, timeout: False)
    QTimer.singleShot(0, lambda: the_window().close())
    assert run(config_of(store)) == 0


# --- What it needs ---


@pytest.mark.parametrize(
    ("environ", "platform"),
    [
        ({"DISPLAY": ":0"}, "linux"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux"),
        ({"QT_QPA_PLATFORM": "offscreen"}, "linux"),
        ({}, "darwin"),
        ({}, "win32"),
    ],
)
def test_a_display_is_found(environ: dict[str, str], platform: str) -> None:
    check_display(environ, platform)


def test_without_a_display_it_says_so_instead_of_crashing() -> None:
    with pytest.raises(IpcConfigError, match="no display"):
        check_display({}, "linux")


def test_a_missing_library_is_named_instead_of_crashing(tmp_path: Path) -> None:
    plugin = tmp_path / "libqxcb.so"
    plugin.write_bytes(b"")  # the loader refuses it, as one that lacks something
    for environ in ({"DISPLAY": ":0"}, {"QT_QPA_PLATFORM": "xcb:x"}):
        with pytest.raises(IpcConfigError, match=r"libqxcb.*sudo apt install libxcb-cursor0"):
            check_libraries(environ, "linux", plugin)


@pytest.mark.parametrize(
    ("environ", "platform", "name"),
    [
        ({"DISPLAY": ":0"}, "darwin", "libqxcb.so"),
        ({"DISPLAY": ":0", "QT_QPA_PLATFORM": "offscreen"}, "linux", "libqxcb.so"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "linux", "libqxcb.so"),
        ({"DISPLAY": ":0"}, "linux", "elsewhere.so"),
    ],
)
def test_libraries_that_no_window_will_need_are_not_looked_for(
    tmp_path: Path, environ: dict[str, str], platform: str, name: str
) -> None:
    (tmp_path / "libqxcb.so").write_bytes(b"")
    check_libraries(environ, platform, tmp_path / name)


def test_without_a_hint_it_is_this_installations_part_of_qt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Path] = []

    def load(path: str) -> None:
        asked.append(Path(path))
        raise OSError("libxcb-icccm.so.4: cannot open shared object file")

    plugin = tmp_path / "platforms" / "libqxcb.so"
    plugin.parent.mkdir()
    plugin.touch()
    monkeypatch.setattr(system_libraries.QLibraryInfo, "path", lambda what: str(tmp_path))
    monkeypatch.setattr(system_libraries.ctypes, "CDLL", load)
    with pytest.raises(IpcConfigError, match=r"libxcb-icccm\.so\.4") as raised:
        check_libraries({"DISPLAY": ":0"}, "linux")
    assert asked == [plugin]
    assert PACKAGES in raised.value.message


def test_the_doctor_knows_of_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise IpcConfigError("libEGL.so.1 is missing", source="installation")

    monkeypatch.setattr(desktop, "check_pairing", lambda version: None)
    window = next(each for each in check_packages() if each.name == "extra desktop")
    assert window.level is Level.OK
    monkeypatch.setattr(system_libraries, "check_libraries", fail)
    window = next(each for each in check_packages() if each.name == "extra desktop")
    assert (window.level, window.text) == (Level.NOTE, "libEGL.so.1 is missing")


def test_the_toolkit_is_there() -> None:
    check_pairing("6.11.3", (3, 11))
    check_pairing("6.12.0", (3, 12))


def test_a_toolkit_that_would_crash_is_refused() -> None:
    with pytest.raises(IpcConfigError, match="crashes with Python"):
        check_pairing("6.12.1", (3, 11))


def fail_to_import(monkeypatch: pytest.MonkeyPatch, error: ImportError) -> None:
    def import_module(name: str) -> Any:
        raise error

    monkeypatch.setattr(desktop, "import_module", import_module)


def test_a_missing_toolkit_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_import(monkeypatch, ModuleNotFoundError("No module named 'PySide6'", name="PySide6"))
    with pytest.raises(IpcConfigError, match="opencode-sync"):
        load_toolkit()
    done = CliRunner().invoke(app, ["gui"])
    assert done.exit_code == 3
    assert MISSING in done.stderr


def test_a_toolkit_that_lacks_a_library_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "libEGL.so.1: cannot open shared object file"
    fail_to_import(monkeypatch, ImportError(text, name="PySide6.QtGui"))
    with pytest.raises(IpcConfigError, match="libEGL"):
        load_toolkit()


def test_importing_the_package_brings_no_toolkit() -> None:
    script = "import opencode_sync.desktop, sys; print('PySide6' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


# --- The command ---


def test_the_command_passes_on_what_it_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[Any, Any]] = []

    def fake(config: Any, *, directory: Path | None) -> int:
        calls.append((config, directory))
        return 0

    monkeypatch.setattr(desktop, "check_pairing", lambda version: None)
    monkeypatch.setattr(application, "run", fake)
    runner = CliRunner()
    assert runner.invoke(app, ["gui"]).exit_code == 0
    options = ["--config-file", str(tmp_path / "x.json"), "--directory", str(tmp_path)]
    assert runner.invoke(app, ["gui", *options]).exit_code == 0
    assert calls[0] == (None, None)
    assert isinstance(calls[1][0], FileConfigProvider)
    assert calls[1][1] == tmp_path.resolve()


def test_the_application_is_made_if_there_is_none_yet() -> None:
    """Where no test has made one: in a process of its own."""
    script = (
        "from PySide6.QtCore import QTimer\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from opencode_sync import IpcConfig\n"
        "from opencode_sync.desktop import application, main_window\n"
        "main_window.MainWindow.start = lambda self: QTimer.singleShot(0, self.close)\n"
        "print(application.run(IpcConfig(1024, 'nobody-listens-there')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "0"


def test_a_chat_pane_is_imported_only_when_a_session_is_chosen() -> None:
    script = (
        "import sys, opencode_sync.desktop.application\n"
        "print('opencode_sync.desktop.chat' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
