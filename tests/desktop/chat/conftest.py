"""A chat pane, offscreen, before a real gateway whose backend does as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.service import Service
from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.gateway.backends.base import EventSink
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.types import OcAgentInfo, OcModelInfo, OcSessionInfo
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ext_operations_pb2 import IpcModelList
from opencode_sync.wire.ext_prompt_pb2 import IpcRunResult
from opencode_sync.wire.oc_message_pb2 import OcMessage
from tests.desktop.chat.panes import PATIENCE, end, settled, warm_up
from tests.desktop.leaks import no_leaks_beside_qt
from tests.support.leaks import eventually
from tests.unit.gateway.doubles import StreamingBackend


class ScriptedRun:
    """A run that goes on until the test ends it, or somebody aborts it."""

    def __init__(self, request: Any, sink: EventSink, cancellation: Cancellation) -> None:
        self.request = request
        self._sink = sink
        self._over = threading.Event()
        self.aborted = threading.Event()
        self._result = IpcRunResult(finish="stop", session_id=request.session_id)
        self._error: BackendError | None = None
        cancellation.on_cancel(self._abort)

    def push(self, *pushes: dict[str, Any]) -> None:
        """Bring events, made by the functions of ``tests.support.backend``."""
        for each in pushes:
            self._sink.event(each["event"].event)

    def end(self, payload: dict[str, Any] | None = None) -> None:
        """End it: with ``ran(...)`` or ``failed(...)`` of ``tests.support.backend``."""
        if payload is not None:
            self._result = payload["run_result"]
        self._over.set()

    def fail(self, error: BackendError) -> None:
        """Have the backend end it by an error of its own."""
        self._error = error
        self._over.set()

    def wait(self) -> IpcRunResult:
        """For the gateway's worker."""
        assert self._over.wait(PATIENCE / 1000)
        if self._error is not None:
            raise self._error
        return self._result

    def _abort(self) -> None:
        self._result.failure.kind = "cancelled"
        self.aborted.set()
        self._over.set()


class ChatBackend(StreamingBackend):
    """Has messages, models and agents; its runs are the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[OcMessage] = []
        self.models = [("stub-1", "Stub One"), ("stub-2", "Stub Two")]
        self.refuses = False
        """Whether it is one without a model."""
        self.replies: list[Any] = []
        self.runs: list[ScriptedRun] = []
        self._begun = threading.Condition()  # guards runs
        self.cost = 0.0

    def _refuse(self, what: str) -> None:
        if self.refuses:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, f"{what} is not served")

    def list_messages(self, session_id: str, *, limit: int, deadline: Any) -> list[OcMessage]:
        self._refuse("list_messages")
        return self._do("list_messages", lambda limit: self.messages[-limit:], limit)

    def get_session(self, session_id: str, *, deadline: Any) -> OcSessionInfo:
        return self._do("get_session", lambda id: session(id, cost=self.cost), session_id)

    def list_models(self, *, deadline: Any) -> IpcModelList:
        self._refuse("list_models")
        models = [OcModelInfo(id=id, name=name, provider_id="stub") for id, name in self.models]
        return self._do("list_models", lambda: IpcModelList(models=models))

    def list_agents(self, *, deadline: Any) -> list[OcAgentInfo]:
        self._refuse("list_agents")
        return [
            OcAgentInfo(name="build", mode="primary", description="Builds"),
            OcAgentInfo(name="plan", mode="primary"),
            OcAgentInfo(name="general", mode="subagent"),
            OcAgentInfo(name="title", mode="primary", hidden=True),
        ]

    def abort_session(self, session_id: str, *, deadline: Any) -> bool:
        return self._do("abort_session", lambda session_id: True, session_id)

    def reply_permission(self, request: Any, *, deadline: Any) -> None:
        self._do("reply_permission", self.replies.append, request)

    def reply_question(self, request: Any, *, deadline: Any) -> None:
        self._do("reply_question", self.replies.append, request)

    def prompt(
        self, request: Any, sink: EventSink, *, deadline: Any, cancellation: Cancellation
    ) -> IpcRunResult:
        self._refuse("prompt")
        run = ScriptedRun(request, sink, cancellation)
        with self._begun:
            self.runs.append(run)
            self._begun.notify_all()
        return run.wait()

    def run(self, index: int = 0) -> ScriptedRun:
        """Wait for the run with this index; the Qt thread may wait, for it is not needed for it."""
        with self._begun:
            assert self._begun.wait_for(lambda: len(self.runs) > index, PATIENCE / 1000)
            return self.runs[index]

    def end_runs(self) -> None:
        with self._begun:
            runs = list(self.runs)
        for run in runs:
            run.end()


def session(session_id: str = "ses_1", title: str = "Fix the cart", **fields: Any) -> OcSessionInfo:
    return OcSessionInfo(id=session_id, title=title, **fields)


@pytest.fixture(scope="session")
def _qt_is_warm(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What Qt opens once for all, such as its fonts, is open before anybody counts."""
    warm_up(qapp, tmp_path_factory.mktemp("warm"))


@pytest.fixture
def backend(_qt_is_warm: None) -> Iterator[ChatBackend]:
    with no_leaks_beside_qt():
        made = ChatBackend()
        yield made
        made.end_runs()


@pytest.fixture
def gateway(backend: ChatBackend) -> Iterator[Gateway]:
    gateway = Gateway(backend)
    gateway.start()
    yield gateway
    backend.end_runs()
    gateway.stop(1)


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "pane.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def service(qtbot: QtBot, gateway: Gateway) -> Service:
    """Connected; the pane's fixture closes it."""
    made = Service(IpcConfig(gateway.port, gateway.auth_token), probe_seconds=3600.0)
    with qtbot.waitSignal(made.connected, timeout=PATIENCE):
        made.start()
    return made


@pytest.fixture
def pane(qtbot: QtBot, service: Service, settings: QSettings) -> Iterator[ChatPane]:
    """Shown, with its choosers filled, and without a session."""
    made = ChatPane(service, settings=settings)
    made.resize(600, 700)
    made.show()
    made.activateWindow()
    yield made
    end(made, service)


Open = Callable[..., None]


@pytest.fixture
def show(qtbot: QtBot, pane: ChatPane) -> Open:
    """``show(session)`` shows one, and waits until all of it that is to be seen is drawn."""

    def show(chosen: OcSessionInfo | None = None) -> None:
        pane.show_session(session() if chosen is None else chosen)
        settled(qtbot, pane)

    return show


@pytest.fixture
def shown(pane: ChatPane, show: Open, backend: ChatBackend) -> ChatPane:
    """The pane with a session, and with the backend's events."""
    show()
    assert eventually(lambda: bool(backend.streams))
    return pane
