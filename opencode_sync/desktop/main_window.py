"""The window: which page it shows, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QCloseEvent, QKeySequence
from PySide6.QtWidgets import QMainWindow, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from opencode_sync import ConnectionState, IpcConfig, IpcConfigError, StateChange
from opencode_sync.desktop.banner import Banner
from opencode_sync.desktop.errors import Kind, Problem, problem_of
from opencode_sync.desktop.first_run import FirstRun
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.page import SessionPage
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.desktop.start_failures import start_problem_of
from opencode_sync.desktop.status import StatusLine
from opencode_sync.desktop.symbols import Symbol, window_icon
from opencode_sync.desktop.theme import Tone
from opencode_sync.desktop.times import Clock, system_clock
from opencode_sync.types import OcSessionInfo

if TYPE_CHECKING:
    from opencode_sync.desktop.chat import ChatPane

__all__ = ["MainWindow"]

_SIZE: Final = QSize(1000, 760)
_LEAST_HEIGHT: Final = 400

_OF_THE_LINK: Final = (Kind.CONNECTION, Kind.TIMEOUT)


class _Wish(Enum):
    """Where to go, beside a gateway of the window's own and an address."""

    LOOK = "look"
    """To what is found as at the start."""


_Choice = GatewayKind | _Wish | int
"""The integer is the port of an address."""


def _make_chat(service: Service) -> ChatPane:
    # Only now, for it brings much along that a list of sessions does without.
    from opencode_sync.desktop.chat import ChatPane

    return ChatPane(service)


class MainWindow(QMainWindow):
    """Sessions, the chosen one's chat beside them, and what to do when there is no backend."""

    def __init__(
        self,
        service: Service,
        settings: WindowSettings | None = None,
        *,
        clock: Clock = system_clock,
        make_chat: Callable[[Service], ChatPane] = _make_chat,
    ) -> None:
        """Make the window; it is not shown, and nothing is connected.

        Args:
            service: Closed when the window is.
            settings: What is remembered; None for this user's own.
            clock: Tells the time.
            make_chat: Makes the pane of the first session that is chosen.
        """
        super().__init__()
        self.service: Final = service
        # So Qt destroys it, on its own thread. Python's collector might do so on any other.
        service.setParent(self)
        self._settings = WindowSettings() if settings is None else settings
        self._make_chat = make_chat
        self._was_connected = False
        self._ends = False
        self._shown_problem: tuple[Problem, bool] | None = None
        self._choice: _Choice | None = None  # what is being changed to
        self._open_id = ""
        self.chat: ChatPane | None = None
        self.lost_banner = Banner()
        self.error_banner = Banner()
        self.first_run = FirstRun(self._settings.port, self._settings.gateway)
        self.sessions = SessionPage(
            service, page=self._settings.page, order=self._settings.order, clock=clock
        )
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.pages = QStackedWidget()
        self._lay_out()
        self._make_menus()
        self._connect_parts()
        self.setWindowTitle(self.tr("OpenCode - Sessions"))
        self.setWindowIcon(window_icon())
        self.setMinimumHeight(_LEAST_HEIGHT)  # the width is what the parts need: below 600
        if not self.restoreGeometry(self._settings.geometry):
            self.resize(_SIZE)

    def start(self) -> None:
        """Connect, in the background."""
        self.service.start()

    # --- Parts ---

    def _lay_out(self) -> None:
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.sessions)
        self.pages.addWidget(self.splitter)
        self.pages.addWidget(self.first_run)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._banners = QWidget()
        banners = QVBoxLayout(self._banners)
        banners.setContentsMargins(12, 12, 12, 0)
        banners.addWidget(self.lost_banner)
        banners.addWidget(self.error_banner)
        self._banners.hide()
        column.addWidget(self._banners)
        column.addWidget(self.pages, 1)
        self.setCentralWidget(body)
        self._status = StatusLine(self.service)
        self.setStatusBar(self._status)

    def _make_menus(self) -> None:
        page = self.sessions
        menu = self.menuBar().addMenu(self.tr("&Session"))
        for action in (page.create_action, page.open_action, page.rename_action):
            menu.addAction(action)
        menu.addAction(page.copy_action)
        menu.addAction(page.delete_action)
        menu.addSeparator()
        leave = menu.addAction(self.tr("Quit"))
        leave.setShortcut(QKeySequence("Ctrl+Q"))
        leave.triggered.connect(self.close)
        menu = self.menuBar().addMenu(self.tr("&View"))
        menu.addAction(page.refresh_action)
        menu.addAction(page.find_action)
        menu.addAction(page.parts.pager.go_to_action)
        self.hide_chat_action = menu.addAction(self.tr("Hide chat"))
        self.hide_chat_action.setShortcut(QKeySequence("Ctrl+W"))
        self.hide_chat_action.setEnabled(False)
        self.hide_chat_action.triggered.connect(self._hide_chat)
        menu = self.menuBar().addMenu(self.tr("&Connection"))
        again = menu.addAction(self.tr("Connect again"))
        again.triggered.connect(self._retry)
        self.choose_action = menu.addAction(self.tr("Choose a backend..."))
        self.choose_action.triggered.connect(self._choose_backend)

    def _connect_parts(self) -> None:
        service = self.service
        service.connected.connect(self._on_connected)
        service.connect_failed.connect(self._on_connect_failed)
        service.lost.connect(self._on_lost)
        service.state_changed.connect(self._on_state_change)
        self.sessions.acted.connect(self._hide_error)
        self.sessions.failed.connect(self._on_page_failed)
        self.sessions.connection_wanted.connect(self._on_connection_wanted)
        self.sessions.loaded.connect(self._on_loaded)
        self.sessions.session_chosen.connect(self.open_session)
        self.sessions.session_removed.connect(self._on_removed)
        self.lost_banner.retry_wanted.connect(self._retry)
        self.error_banner.retry_wanted.connect(self._retry)
        self.error_banner.offer_taken.connect(self._start_own)
        self.lost_banner.closed.connect(self._arrange_banners)
        self.error_banner.closed.connect(self._arrange_banners)
        self.first_run.gateway_wanted.connect(self._start_gateway)
        self.first_run.address_wanted.connect(self._use_address)
        self.first_run.look_wanted.connect(self._look_again)
        self.first_run.back_wanted.connect(self._go_back)
        self.first_run.invalid.connect(self._hide_error)

    # --- The connection ---

    def _on_connected(self) -> None:
        self._was_connected = True
        self.lost_banner.hide()
        if self._shown_problem is not None and self._shown_problem[0].kind in _OF_THE_LINK:
            self._hide_error()
        self._arrange_banners()
        self.first_run.set_busy(False)
        self.first_run.forget_token()
        if self._choice is not None:
            self._remember_choice(self._choice)
            self._forget_backend()
            self._end_change()
        self._show_sessions()
        self.sessions.load()

    def _on_connect_failed(self, error: Exception) -> None:
        choice = self._choice
        looked = choice is None or choice is _Wish.LOOK
        self._end_change()
        self.first_run.set_busy(False)
        self.sessions.show_failure()
        choosing = self.pages.currentWidget() is self.first_run
        if looked and isinstance(error, IpcConfigError) and (choosing or not self._was_connected):
            # Nothing is wrong: there is no gateway yet.
            if choosing:
                self.first_run.show_reason(self.tr("Looked again. {0}").format(error))
            else:
                self._show_first_run(str(error))
            return
        if choosing:
            self.first_run.show_reason("")  # it was about an attempt before
        if isinstance(choice, GatewayKind):
            problem = start_problem_of(error, choice)
        else:
            problem = problem_of(error)
        self._show_error(problem, of_loading=True)

    def _on_state_change(self, change: StateChange) -> None:
        if self._choice is not None and change.old is ConnectionState.CONNECTED:
            self._forget_backend()

    def _on_lost(self, error: Exception) -> None:
        if self._choice is not None:
            return  # that was wanted
        cause = problem_of(error)
        self.lost_banner.show_problem(
            Problem(
                kind=Kind.CONNECTION,
                symbol=Symbol.NO_LINK,
                tone=Tone.DANGER,
                title=self.tr("Connection to backend lost"),
                text=self.tr("Trying to come back. ({0})").format(cause.text),
                retry=True,
            )
        )
        self._arrange_banners()

    def _retry(self) -> None:
        self._hide_error()
        if self.service.client.is_connected:
            self.sessions.load()
        else:
            self.service.start()

    # --- Choosing a backend ---

    def _show_first_run(self, reason: str) -> None:
        self.first_run.show_reason(reason)
        self.first_run.back.setVisible(self._was_connected)
        self.pages.setCurrentWidget(self.first_run)
        self.first_run.focus_first()

    def _choose_backend(self) -> None:
        self._hide_error()
        self._show_first_run("")

    def _go_back(self) -> None:
        self._hide_error()
        self._show_sessions()

    def _show_sessions(self) -> None:
        self.pages.setCurrentWidget(self.splitter)

    def _start_own(self) -> None:
        self._start_gateway(GatewayKind.OWN_OPENCODE)

    def _start_gateway(self, kind: GatewayKind) -> None:
        self._begin_change(kind)
        self.service.start_gateway(kind)

    def _use_address(self, config: IpcConfig) -> None:
        self._begin_change(config.port)
        self.service.use_address(config)

    def _look_again(self) -> None:
        self._begin_change(_Wish.LOOK)
        self.service.look_again()

    def _on_connection_wanted(self) -> None:
        if self.pages.currentWidget() is not self.first_run:
            self._retry()
        elif self._choice is None:
            self._look_again()

    def _begin_change(self, choice: _Choice) -> None:
        self._hide_error()
        self.first_run.set_busy(True)
        self._choice = choice
        self._status.show_changing(True)

    def _end_change(self) -> None:
        self._choice = None
        self._status.show_changing(False)

    def _remember_choice(self, choice: _Choice) -> None:
        # Only now that it has worked.
        if isinstance(choice, GatewayKind):
            self._settings.gateway = choice
            self.first_run.prefer(choice)
        elif isinstance(choice, int):
            self._settings.port = choice

    def _forget_backend(self) -> None:
        """Show nothing any more of the backend that was left."""
        self.lost_banner.hide()
        self._arrange_banners()
        self.sessions.forget()
        if self.chat is not None:
            self._hide_chat()

    # --- Errors ---

    def show_failure(self, error: BaseException, doing: str = "") -> None:
        """Show an error in the banner.

        Args:
            error: What was raised.
            doing: What was tried, as the beginning of the text.
        """
        self._show_error(problem_of(error, doing))

    def _on_page_failed(self, error: BaseException, doing: str) -> None:
        problem = problem_of(error, doing)
        if self.lost_banner.isVisibleTo(self) and not doing and problem.kind in _OF_THE_LINK:
            return  # which says it already, and the list is read again once that is over
        self._show_error(problem, of_loading=not doing)

    def _on_loaded(self) -> None:
        if self._shown_problem is not None and self._shown_problem[1]:
            self._hide_error()

    def _show_error(self, problem: Problem, *, of_loading: bool = False) -> None:
        self._shown_problem = (problem, of_loading)
        self.error_banner.show_problem(problem)
        self._arrange_banners()

    def _hide_error(self) -> None:
        self._shown_problem = None
        self.error_banner.hide()
        self._arrange_banners()

    def _arrange_banners(self) -> None:
        banners = (self.lost_banner, self.error_banner)
        self._banners.setVisible(any(not banner.isHidden() for banner in banners))

    # --- The chat ---

    def open_session(self, session: OcSessionInfo) -> None:
        """Show a session's chat beside the list."""
        if self.chat is None:
            self.chat = self._make_chat(self.service)
            self.chat.failed.connect(self.show_failure)
            self.chat.session_busy_changed.connect(self._on_busy_changed)
            self.chat.left.connect(self.sessions.parts.view.setFocus)
            self.sessions.session_changed.connect(self.chat.update_session)
            self.sessions.refresh_action.triggered.connect(self.chat.reload)
            self.splitter.addWidget(self.chat)
            self.splitter.setStretchFactor(0, 2)
            self.splitter.setStretchFactor(1, 3)
            self.splitter.restoreState(self._settings.splitter)
        self._open_id = session.id
        self.chat.show_session(session)
        self.chat.show()
        self.chat.take_focus()
        self.hide_chat_action.setEnabled(True)

    def _hide_chat(self) -> None:
        if self.chat is not None:
            self.chat.show_session(None)
            self.chat.hide()
        self.hide_chat_action.setEnabled(False)
        self.sessions.parts.view.setFocus()

    def _on_busy_changed(self, session_id: str, busy: bool) -> None:
        self.sessions.show_running(session_id, busy)
        if not busy:  # a run has changed its session
            self.sessions.update_session(session_id)

    def _on_removed(self, session_id: str) -> None:
        if self.chat is None:
            return
        if session_id == self._open_id:
            self._hide_chat()
        self.chat.forget_session(session_id)  # which would cost money, unseen

    def end(self) -> None:
        """Close without a question: whoever ends the process is not there to answer it."""
        self._ends = True
        self.close()

    # --- Qt's interface ---

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember what is to be remembered, and end everything, without waiting."""
        chat = None if self._ends else self.chat
        if chat is not None and not chat.may_close(self.close):
            event.ignore()
            return
        settings = self._settings
        settings.geometry = self.saveGeometry()
        settings.page = self.sessions.page
        settings.order = self.sessions.order
        if self.chat is not None:
            settings.splitter = self.splitter.saveState()
            self.chat.shutdown()
        settings.save()
        self.service.close()
        super().closeEvent(event)
