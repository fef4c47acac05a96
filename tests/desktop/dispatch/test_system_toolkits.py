"""wx, GTK 3 and GTK 4 themselves: all that ``test_toolkits`` says, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytest.importorskip("tkinter", reason="this Python has no tkinter")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from opencode_sync import IpcClient
from opencode_sync.gateway import EmbeddedBackend, Gateway
from tests.desktop.dispatch.system_toolkits import SYSTEM
from tests.docs.blocks import DOCS, ROOT, blocks_of

HERE: Final = Path(__file__).relative_to(ROOT).as_posix()
TIMEOUT: Final = 120.0

ENVIRONMENT: Final = {
    "GDK_BACKEND": "x11",
    "GIO_USE_VFS": "local",  # no threads and connections for what no test needs
    "GSETTINGS_BACKEND": "memory",
    "GTK_A11Y": "none",
    "NO_AT_BRIDGE": "1",
}

IMPORT: Final = f"import sys; sys.path.append({str(SYSTEM)!r})\n"
WX: Final = """
import wx
"""
GTK: Final = """
import gi
gi.require_version("Gtk", "{}")
from gi.repository import GLib, Gtk
"""
IMPORTS: Final = {"wx": WX, "gtk3": GTK.format("3.0"), "gtk4": GTK.format("4.0")}

WX_LOOP: Final = """
application = wx.App()
window = wx.Frame(None)
window.Show()
dispatcher, loop = "WxDispatcher", wx.GUIEventLoop()
run, end = loop.Run, loop.ScheduleExit
"""
GTK_LOOP: Final = """
Gtk.init_check()
window = Gtk.Window()
window.show()
dispatcher, loop = "GtkDispatcher", GLib.MainLoop()
run, end = loop.run, loop.quit
"""
FLOOD: Final = """
import itertools, threading
from contextlib import nullcontext
from opencode_sync.desktop import dispatch
ui = getattr(dispatch, dispatcher)()
ui.follow(lambda: nullcontext(itertools.count()), lambda items: end(), print)
threading.Thread(target=lambda: [ui.post(int) for _ in itertools.count()], daemon=True).start()
run()
"""
NO_APP: Final = """
import gc
from opencode_sync.desktop.dispatch import WxDispatcher
from opencode_sync.errors import IpcUsageError
try:
    WxDispatcher()
except IpcUsageError as error:
    print(error)
application = wx.App()
window = wx.Frame(None)
window.Show()
ui = WxDispatcher()
ui.post(window.Close)
application.MainLoop()
ui.post(lambda: print("nothing runs any more"))
print(ui.closed)
application.Destroy()
ui.post(lambda: print("nothing runs any more"))
print(ui.closed)
another = wx.App()
kept = WxDispatcher()
del another
gc.collect()
print(kept.closed)
"""
# What a user sees of a block's window, who then closes it.
LOOK: Final = {
    "wx": """
def look():
    [window] = wx.GetTopLevelWindows()
    [titles] = window.Children
    if titles.GetStrings() == ["Fix the cart"]:
        window.Close()
    else:
        wx.CallLater(5, look)
run = wx.App.MainLoop
wx.App.MainLoop = lambda application: (wx.CallLater(5, look), run(application))
""",
    "gtk4": """
def look():
    seen = [each for each in Gtk.Window.list_toplevels() if each.get_mapped()]
    if seen and seen[0].get_child().get_text() == "Fix the cart":
        seen[0].close()
    return not seen or seen[0].get_mapped()
GLib.timeout_add(5, look)
""",
}


def python(display: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python on the screen."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "DISPLAY": display},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.fixture(scope="module", params=IMPORTS)
def system_toolkit(request: pytest.FixtureRequest, display: str) -> str:
    """Each one's name; skips where this Python has it not.

    In CI a Python of the version that the system's packages are for has to have it.
    """
    name: str = request.param
    tried = python(display, "-c", IMPORT + IMPORTS[name])
    if tried.returncode:
        built = SYSTEM.parents[1] / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        if os.environ.get("CI") == "true" and built.is_dir():
            pytest.fail(f"{name} is not installed for the system's Python: {tried.stdout}")
        pytest.skip(f"there is no {name} for this Python")
    return name


def test_it_does_what_every_toolkit_does(system_toolkit: str, display: str, tmp_path: Path) -> None:
    arguments = ["tests/desktop/dispatch/test_toolkits.py", "--toolkit", system_toolkit]
    arguments += ["--basetemp", str(tmp_path / "inner"), "-p", "no:cacheprovider"]
    ended = python(display, "-m", "pytest", *arguments)
    assert ended.returncode == 0, ended.stdout
    assert {"passed"} == {"passed", "skipped", "warnings", "warning"} & set(ended.stdout.split())


def test_a_program_that_ends_in_the_middle_of_a_flood_does_not_crash(
    system_toolkit: str, display: str
) -> None:
    loop = WX_LOOP if system_toolkit == "wx" else GTK_LOOP
    ended = python(display, "-c", IMPORT + IMPORTS[system_toolkit] + loop + FLOOD)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("system_toolkit", ["wx"], indirect=True)
def test_a_dispatcher_lives_as_long_as_its_app(system_toolkit: str, display: str) -> None:
    ended = python(display, "-c", IMPORT + IMPORTS[system_toolkit] + NO_APP)
    no_app = "there is no wx.App yet; make one before its WxDispatcher"
    assert ended.stdout.splitlines() == [no_app, "False", "True", "True"]


@pytest.mark.parametrize("system_toolkit", ["wx", "gtk4"], indirect=True)
def test_the_guides_block_shows_what_it_is_for(
    system_toolkit: str, display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "WxDispatcher" if system_toolkit == "wx" else "GtkDispatcher"
    blocks = [each for each in blocks_of(DOCS / "guides" / "guis.md") if each.mark.endswith(HERE)]
    (block,) = [each for each in blocks if name in each.text]
    runtime_file = tmp_path / "run" / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(runtime_file))
    with Gateway(EmbeddedBackend(tmp_path / "sessions.db"), runtime_file=runtime_file):
        with IpcClient() as client:
            client.create_session("Fix the cart")
        program = IMPORT + IMPORTS[system_toolkit] + LOOK[system_toolkit] + block.text
        ended = python(display, "-c", program)
    assert (ended.returncode, ended.stdout) == (0, "")
