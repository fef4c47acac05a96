"""``python docs/pictures/make.py``: takes the pictures of the desktop application.

They are of the real window, drawn offscreen, before a real gateway whose backend has made-up
sessions. Look at each before it is committed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QElapsedTimer, QEvent, QEventLoop, QSettings, Qt, QTimer
from PySide6.QtGui import QColor, QImage, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from opencode_sync import IpcConfig, IpcConnectionError, IpcServerError
from opencode_sync.deadline import Deadline
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.gateway.backends.base import EventSink, Subscription
from opencode_sync.types import (
    IpcBackendInfo,
    IpcEvent,
    IpcModelList,
    OcAgentInfo,
    OcMessage,
    OcModelInfo,
    OcSessionInfo,
)
from opencode_sync.wire.ext_event_pb2 import IpcSubscribeRequest

_HERE: Final = Path(__file__).resolve().parent
_NOW: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_LIST_SIZE: Final = (900, 780)
_CHAT_SIZE: Final = (1180, 760)
_PATIENCE_MS: Final = 20_000
_SETTLE_MS: Final = 400

_SESSIONS: Final = (
    ("Fix the rounding of totals in the cart", 0.3, (48, 12, 3)),
    ("Why is the search slow on large catalogues?", 5, None),
    ("Add a dark theme", 47, (210, 35, 9)),
    ("Write tests for the import of orders", 190, (122, 0, 2)),
    ("Upgrade the database driver", 600, (17, 17, 1)),
    ("Explain the retry policy of the payment client", 1500, None),
    ("Remove the old export format", 2900, (4, 388, 12)),
    ("Sort products by rating", 5000, (36, 8, 2)),
    ("Look through the access log for robots", 8000, None),
    ("First steps", 40000, None),
    ("Draft of the release notes", 50000, (30, 2, 1)),
    ("Translate the e-mails", 60000, (95, 61, 14)),
)

_QUESTION: Final = "The total of my cart is off by a cent. Can you find out why?"

_ANSWER: Final = """\
The total is summed up with binary floating point, which cannot hold most amounts exactly:

```python
total = sum(item.price * item.count for item in cart)
```

I changed it to **decimal arithmetic** and rounded once, at the end:

1. `Item.price` is a `Decimal` now.
2. `Cart.total()` rounds half up, to two places.
3. Three tests cover the carts that were wrong before.
"""


class _Backend(EmbeddedBackend):
    """Shows made-up sessions, and one conversation."""

    name = "opencode"

    def __init__(self, folder: Path, sessions: Sequence[OcSessionInfo]) -> None:
        super().__init__(folder / "sessions.db")
        self._made_up = list(sessions)
        self.slow: threading.Event | None = None
        self.going_on: Sequence[IpcEvent] = ()

    @property
    def description(self) -> str:
        return "OpenCode at http://127.0.0.1:4096"

    def backend_info(self, *, deadline: Deadline) -> IpcBackendInfo:
        return IpcBackendInfo(backend="opencode", description=self.description)

    def list_sessions(self, *, deadline: Deadline) -> list[OcSessionInfo]:
        if self.slow is not None:
            self.slow.wait(deadline.remaining())
        return self._made_up

    def get_session(self, session_id: str, *, deadline: Deadline) -> OcSessionInfo:
        return next(each for each in self._made_up if each.id == session_id)

    def subscribe(
        self, request: IpcSubscribeRequest, sink: EventSink, *, deadline: Deadline
    ) -> Subscription:
        subscription = super().subscribe(request, sink, deadline=deadline)
        for each in self.going_on:
            sink.event(each)
        return subscription

    def list_models(self, *, deadline: Deadline) -> IpcModelList:
        model = OcModelInfo(id="claude-sonnet-4-5", name="Claude Sonnet 4.5")
        model.provider_id = "anthropic"
        return IpcModelList(models=[model], default_models={"anthropic": model.id})

    def list_agents(self, *, deadline: Deadline) -> list[OcAgentInfo]:
        return [OcAgentInfo(name="build", mode="primary")]

    def list_messages(self, session_id: str, *, limit: int, deadline: Deadline) -> list[OcMessage]:
        asked = OcMessage()
        asked.user.id, asked.user.session_id, asked.user.role = "msg_1", session_id, "user"
        asked.user.text = _QUESTION
        asked.user.parts.add().text.text = _QUESTION
        answer = OcMessage().assistant
        answer.id, answer.session_id, answer.role = "msg_2", session_id, "assistant"
        thought = answer.parts.add().reasoning
        thought.id, thought.text = "prt_1", "Amounts are floats here. That would explain a cent."
        for number, (tool, title, told, output) in enumerate(
            (
                ("read", "shop/cart.py", {"filePath": "shop/cart.py"}, "def total(self): ..."),
                ("bash", "Run the tests", {"command": "pytest -q"}, "31 passed in 0.42s"),
            )
        ):
            call = answer.parts.add().tool
            call.id, call.name, call.call_id = f"prt_2{number}", tool, f"call_{number}"
            done = call.state.completed
            done.status, done.title, done.output = "completed", title, output
            done.input.update(told)
        text = answer.parts.add().text
        text.id, text.type, text.text = "prt_3", "text", _ANSWER
        return [asked, OcMessage(assistant=answer)]


def _sessions(count: int = len(_SESSIONS)) -> list[OcSessionInfo]:
    made = []
    for number, (title, minutes, summary) in enumerate(_SESSIONS[:count]):
        session = OcSessionInfo(id=f"ses_5b0c{90 - number}e1ffeK7mQ2vXw8Rt{number:04d}")
        session.title, session.directory = title, "/home/me/shop"
        session.time.updated = round((_NOW.timestamp() - minutes * 60) * 1000)
        session.time.created = session.time.updated - 7_200_000
        if summary is not None:
            changes = session.summary
            changes.additions, changes.deletions, changes.files = summary
        session.cost = 0.0431
        session.usage.input, session.usage.output = 18_204, 1_377
        made.append(session)
    return made


def _asking(session: OcSessionInfo) -> list[IpcEvent]:
    """What is told of a session in which another program's run waits for an answer."""
    working = IpcEvent(type="session.status", session_id=session.id)
    working.properties_json = '{"status": {"type": "busy"}}'
    asking = IpcEvent(type="permission.asked", session_id=session.id, directory=session.directory)
    asked = asking.event.permission_asked
    asked.type, asked.session_id = asking.type, session.id
    asked.request.id, asked.request.permission = "per_1", "bash"
    asked.request.action, asked.request.call_id = "git push origin main", "call_9"
    asked.request.patterns.append(asked.request.action)
    asked.request.tool.name = "bash"
    asked.request.tool.input.update({"command": asked.request.action})
    return [working, asking]


class _Stage:
    """One window and what is behind it."""

    def __init__(self, folder: Path, sessions: Sequence[OcSessionInfo], size: tuple[int, int]):
        self.backend = _Backend(folder, sessions)
        self.gateway = Gateway(self.backend)
        self.gateway.start()
        config: Any = IpcConfig(self.gateway.port, self.gateway.auth_token)
        store = QSettings(str(folder / "window.ini"), QSettings.Format.IniFormat)
        self.service = Service(config)
        self.window = MainWindow(self.service, WindowSettings(store), clock=lambda: _NOW)
        self.window.resize(*size)
        self.window.show()

    def load(self) -> None:
        loop = QEventLoop()
        self.window.sessions.loaded.connect(loop.quit)
        QTimer.singleShot(_PATIENCE_MS, loop.quit)
        self.window.start()
        loop.exec()
        settle()

    def close(self) -> None:
        self.window.close()
        self.service.wait_closed(20)
        self.gateway.stop(1)
        self.window.deleteLater()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@contextmanager
def stage(
    sessions: Sequence[OcSessionInfo], size: tuple[int, int] = _LIST_SIZE
) -> Iterator[_Stage]:
    with tempfile.TemporaryDirectory() as folder:
        made = _Stage(Path(folder), sessions, size)
        try:
            yield made
        finally:
            made.close()


def settle() -> None:
    """Let the window draw, and what is on its way arrive."""
    clock = QElapsedTimer()
    clock.start()
    while clock.elapsed() < _SETTLE_MS:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)


def take(window: MainWindow, name: str) -> None:
    """Save a picture of the window, with its 256 most frequent colours, which keeps it small."""
    settle()
    picture = window.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    colours = Counter(memoryview(picture.constBits()).cast("I")).most_common(256)
    plain = Qt.ImageConversionFlag.ThresholdDither | Qt.ImageConversionFlag.AvoidDither
    table = [colour for colour, _ in colours]
    picture = picture.convertToFormat(QImage.Format.Format_Indexed8, table, plain)
    path = _HERE / f"{name}.png"
    picture.save(str(path), "PNG", 0)
    print(f"{path.name}: {path.stat().st_size // 1024} kB")


# --- Scenes ---


def loading(name: str) -> None:
    with stage(_sessions()) as each:
        each.backend.slow = threading.Event()
        each.window.start()
        take(each.window, name)
        each.backend.slow.set()


def empty(name: str) -> None:
    with stage([]) as each:
        each.load()
        take(each.window, name)


def sessions(name: str) -> None:
    with stage(_sessions()) as each:
        each.load()
        each.window.sessions.parts.view.setFocus()
        each.window.sessions.parts.view.select_row(2)
        take(each.window, name)


def error(name: str) -> None:
    with stage(_sessions()) as each:
        each.load()
        text = "there is no disk space left where OpenCode keeps its sessions"
        failure = IpcServerError(text, request_id=7, code=3, operation="delete_session")
        each.window.show_failure(failure, "The session was not deleted")
        take(each.window, name)


def lost(name: str) -> None:
    with stage(_sessions()) as each:
        each.load()
        each.gateway.stop(0.1)
        settle()
        each.service.lost.emit(IpcConnectionError("the gateway went away"))
        take(each.window, name)


def first_run(name: str) -> None:
    with stage([]) as each:
        each.window.choosing.show_page(
            "No backend to connect to was found: neither OPENCODE_IPC_PORT nor OPENCODE_IPC_TOKEN "
            "is set, and no gateway of yours runs."
        )
        take(each.window, name)


def chat(name: str, *going_on: IpcEvent) -> None:
    with stage(_sessions(), _CHAT_SIZE) as each:
        each.backend.going_on = going_on
        each.load()
        each.window.sessions.parts.view.select_row(0)
        each.window.sessions.open_action.trigger()
        each.window.splitter.setSizes([470, 710])
        settle()
        take(each.window, name)


def question(name: str) -> None:
    chat(name, *_asking(_sessions()[0]))


SCENES: Final[tuple[tuple[Callable[[str], None], str, bool], ...]] = (
    (sessions, "sessions-light", False),
    (sessions, "sessions-dark", True),
    (chat, "chat-light", False),
    (chat, "chat-dark", True),
    (question, "question-dark", True),
    (loading, "loading-light", False),
    (empty, "empty-dark", True),
    (error, "error-light", False),
    (lost, "lost-dark", True),
    (first_run, "first-run-light", False),
)


def palette(dark: bool) -> QPalette:
    """What a desktop brings along, which there is none of here."""
    window, base, text, accent = (
        ("#24272d", "#1b1e23", "#e8eaee", "#2f6bd6")
        if dark
        else ("#f4f5f7", "#ffffff", "#1b1e24", "#2563c9")
    )
    made = QPalette(QColor(window))
    role = QPalette.ColorRole
    for each, colour in (
        (role.Base, base),
        (role.WindowText, text),
        (role.Text, text),
        (role.ButtonText, text),
        (role.Highlight, accent),
        (role.Accent, accent),
        (role.HighlightedText, "#ffffff"),
        (role.Link, "#7db0ff" if dark else accent),
    ):
        made.setColor(each, QColor(colour))
    faint = QColor(text)
    faint.setAlphaF(0.6)
    made.setColor(role.PlaceholderText, faint)
    for each in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, each, QColor("#8a8f98"))
    return made


def arguments(given: Sequence[str]) -> list[str]:
    """Return the names of the pictures that are wanted; none for all."""
    known = [name for _, name, _ in SCENES]
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Take the pictures of the desktop application, as PNG files beside this\n"
        "script, over those that are there. Look at each before it is committed.",
        epilog="pictures:\n  " + "\n  ".join(known),
    )
    parser.add_argument("picture", nargs="*", help="one to take, by its name; all if none is named")
    wanted: list[str] = parser.parse_args(given).picture
    unknown = [name for name in wanted if name not in known]
    if unknown:
        parser.error(f"there is no picture {unknown[0]!r}; the names are: {', '.join(known)}")
    return wanted


def main(given: Sequence[str]) -> None:
    """Take all pictures, or those that are named."""
    wanted = arguments(given)
    application = QApplication([])
    application.setStyle(QStyleFactory.create("Fusion"))
    for scene, name, dark in SCENES:
        if not wanted or name in wanted:
            application.setPalette(palette(dark))
            scene(name)


if __name__ == "__main__":
    main(sys.argv[1:])
