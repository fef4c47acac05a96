"""The code in docs/guides/guis.md, and README.md's window, do what the pages say."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tkinter", reason="this Python has no tkinter")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

import tkinter

from PySide6 import QtWidgets
from PySide6.QtWidgets import QApplication

from opencode_sync import IpcClient
from opencode_sync.gateway import Gateway
from tests.desktop.dispatch.windows import qt_text, run_qt, run_tk, tk_text
from tests.docs.blocks import DOCS, ROOT, Block, blocks_of
from tests.integration.cli.talking import TalkingBackend
from tests.support.leaks import no_leaks

HERE = Path(__file__).relative_to(ROOT).as_posix()
GUIDE = [block for block in blocks_of(DOCS / "guides" / "guis.md") if block.mark.endswith(HERE)]
README = [block for block in blocks_of(ROOT / "README.md") if block.mark.endswith(HERE)]


@pytest.fixture
def runtime_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the scripts find the gateway."""
    path = tmp_path / "run" / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(path))
    return path


@pytest.fixture
def gateway(
    runtime_file: Path, tmp_path: Path, qapp: QApplication, display: str
) -> Iterator[Gateway]:
    """A gateway with one session, "Fix the cart"; after the test nothing is left behind."""
    with no_leaks(), Gateway(_backend(tmp_path), runtime_file=runtime_file) as gateway:
        with IpcClient() as client:
            client.create_session("Fix the cart")
        yield gateway


def _backend(folder: Path) -> TalkingBackend:
    return TalkingBackend(folder / "sessions.db")


def shown(block: Block) -> str:
    """What is to be read in a block's window."""
    return "You said: What does" if "stream_prompt" in block.text else "Fix the cart"


def test_the_guide_has_its_blocks() -> None:
    """The mark that chooses them is still there."""
    assert len(GUIDE) == 4


@pytest.mark.parametrize(
    "block",
    [block for block in GUIDE + README if "TkDispatcher" in block.text],
    ids=lambda block: block.place,
)
def test_a_block_with_tk_shows_what_it_is_for(
    block: Block, gateway: Gateway, display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shows: list[str] = []

    def mainloop(window: tkinter.Tk) -> None:
        if "watch_state" in block.text:
            gateway.stop()
            run_tk(window, lambda: "The connection was lost" in tk_text(window))
            with Gateway(_backend(tmp_path), runtime_file=gateway.runtime_file):
                run_tk(window, lambda: "Connected again" in tk_text(window))
        else:
            run_tk(window, lambda: shown(block) in tk_text(window))
        shows.append(tk_text(window))
        window.destroy()

    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(tkinter.Tk, "mainloop", mainloop)
    run(block)
    assert len(shows) == 1, "it never came to its main loop"


@pytest.mark.parametrize(
    "block",
    [block for block in GUIDE if "QtDispatcher" in block.text],
    ids=lambda block: block.place,
)
def test_a_block_with_qt_shows_what_it_is_for(
    block: Block, gateway: Gateway, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    shows: list[str] = []

    def execute() -> None:
        run_qt(qapp, lambda: shown(block) in qt_text())
        shows.append(qt_text())

    monkeypatch.setattr(qapp, "exec", execute)
    with monkeypatch.context() as patched:
        patched.setattr(QtWidgets, "QApplication", lambda arguments: qapp)
        run(block)
    assert len(shows) == 1, "it never came to its event loop"


def run(block: Block) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(block.text, block.place, "exec"), names)
    names.clear()
    gc.collect()  # here: Tcl does not survive that another thread's collector comes upon a window
