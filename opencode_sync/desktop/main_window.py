"""The window: its parts, and what they have to do with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent
from PySide6.QtWidgets import QMainWindow, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from opencode_sync.desktop.actions import make_action
from opencode_sync.desktop.banners import Banners
from opencode_sync.desktop.chat_side import ChatSide, make_chat
from opencode_sync.desktop.choosing import BackendChoosing
from opencode_sync.desktop.errors import problem_of
from opencode_sync.desktop.keys_dialog import KeysDialog
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.page import SessionPage
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.desktop.status import StatusLine
from opencode_sync.desktop.symbols import window_icon
from opencode_sync.desktop.times import Clock, system_clock
from opencode_sync.types import OcSessionInfo

if TYPE_CHECKING:
    from opencode_sync.desktop.chat import ChatPane

__all__ = ["MainWindow"]

_SIZE: Final = QSize(1000, 760)
_LEAST_HEIGHT: Final = 400


class MainWindow(QMainWindow):
    """Sessions, the chosen one's chat beside them, and what to do when there is no backend."""

    def __init__(
        self,
        service: Service,
        settings: WindowSettings | None = None,
        *,
        clock: Clock = system_clock,
        make_chat: Callable[[Service], ChatPane] = make_chat,
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
        self._ends = False
        self.banners = Banners()
        self.lost_banner, self.error_banner = self.banners.lost, self.banners.error
        self.sessions = SessionPage(
            service, page=self._settings.page, order=self._settings.order, clock=clock
        )
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.sessions)
        self._chat = ChatSide(service, self.sessions, self.splitter, self._settings, make_chat)
        self._list_actions = self._group_list_actions()
        self.pages = QStackedWidget()
        self.pages.addWidget(self.splitter)
        self.choosing = BackendChoosing(service, self._settings, self.pages, self)
        self.first_run = self.choosing.page
        self.status = StatusLine(service)
        self._lay_out()
        self._make_menus()
        self._connect_parts()
        self.setWindowTitle(self.tr("Sessions"))  # Qt adds the application's name
        self.setWindowIcon(window_icon())
        self.setMinimumHeight(_LEAST_HEIGHT)  # the width is what the parts need: below 600
        if not self.restoreGeometry(self._settings.geometry):
            self.resize(_SIZE)
        self.sessions.parts.take_keyboard()

    @property
    def chat(self) -> ChatPane | None:
        """The chat, also while it is hidden; None until a session was chosen."""
        return self._chat.pane

    def start(self) -> None:
        """Connect, in the background."""
        self.service.start()

    def open_session(self, session: OcSessionInfo) -> None:
        """Show a session's chat beside the list."""
        self._chat.open(session)

    def show_failure(self, error: BaseException, doing: str = "") -> None:
        """Show an error in the banner.

        Args:
            error: What was raised.
            doing: What was tried, as the beginning of the text.
        """
        self.banners.show_error(problem_of(error, doing))

    def end(self) -> None:
        """Close without a question: whoever ends the process is not there to answer it."""
        self._ends = True
        self.close()

    # --- Parts ---

    def _lay_out(self) -> None:
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banners)
        column.addWidget(self.pages, 1)
        self.setCentralWidget(body)
        self.setStatusBar(self.status)

    def _group_list_actions(self) -> QActionGroup:
        """Return all that acts on the list or the chat beside it, to be off where they are not."""
        group = QActionGroup(self)
        group.setExclusionPolicy(QActionGroup.ExclusionPolicy.None_)
        for action in self.splitter.findChildren(QAction):
            if action.text():  # a field's own button has none
                group.addAction(action)
        return group

    def _make_menus(self) -> None:
        page = self.sessions
        menu = self.menuBar().addMenu(self.tr("&Session"))
        menu.addAction(page.create_action)
        menu.addAction(page.open_action)
        menu.addAction(page.rename_action)
        menu.addAction(page.copy_action)
        menu.addAction(page.delete_action)
        menu.addSeparator()
        menu.addAction(make_action(self, self.tr("Quit"), self.close, "Ctrl+Q"))
        menu = self.menuBar().addMenu(self.tr("&View"))
        menu.addAction(page.refresh_action)
        menu.addAction(page.find_action)
        menu.addAction(page.parts.pager.go_to_action)
        menu.addAction(self._chat.hide_action)
        menu = self.menuBar().addMenu(self.tr("&Connection"))
        menu.addAction(make_action(self, self.tr("Connect again"), self._retry))
        self.choose_action = make_action(self, self.tr("Choose a backend..."), self.choosing.open)
        menu.addAction(self.choose_action)
        menu = self.menuBar().addMenu(self.tr("&Help"))
        menu.addAction(make_action(self, self.tr("&Keyboard"), self._show_keys, "F1"))

    def _connect_parts(self) -> None:
        service, banners, choosing, sessions = (
            self.service,
            self.banners,
            self.choosing,
            self.sessions,
        )
        service.connected.connect(self._on_connected)
        service.connect_failed.connect(self._on_connect_failed)
        service.lost.connect(self._on_lost)
        banners.retry_wanted.connect(self._retry)
        banners.offer_taken.connect(lambda: choosing.start_gateway(GatewayKind.OWN_OPENCODE))
        choosing.acted.connect(banners.hide_error)
        choosing.changing.connect(self.status.show_changing)
        choosing.backend_left.connect(self._forget_backend)
        choosing.shown.connect(self._on_choosing_shown)
        sessions.acted.connect(banners.hide_error)
        sessions.failed.connect(banners.show_failure)
        sessions.loaded.connect(banners.show_loaded)
        sessions.connection_wanted.connect(self._retry)
        self._chat.failed.connect(self.show_failure)

    # --- The connection ---

    def _on_connected(self) -> None:
        self.banners.show_connected()
        self.choosing.arrive()
        self.sessions.load()

    def _on_connect_failed(self, error: Exception) -> None:
        problem = self.choosing.give_up(error)
        self.sessions.show_failure()
        if problem is not None:
            self.banners.show_error(problem, of_loading=True)

    def _on_lost(self, error: Exception) -> None:
        if not self.choosing.is_changing:  # that was wanted
            self.banners.show_lost(error)

    def _retry(self) -> None:
        self.banners.hide_error()
        if self.service.client.is_connected:
            self.sessions.load()
        else:
            self.service.start()

    def _forget_backend(self) -> None:
        """Show nothing any more of the backend that was left."""
        self.banners.hide_lost()
        self.sessions.forget()
        self._chat.leave()

    # --- What is shown ---

    def _on_choosing_shown(self, shown: bool) -> None:
        """Have nothing act on the list, nor take the keyboard to it, while it is not shown."""
        self._list_actions.setEnabled(not shown)
        self.splitter.setEnabled(not shown)
        at = self.splitter.focusWidget()  # where Qt would bring it back to
        if not shown and not (at and at.isVisibleTo(self.splitter) and at.isEnabled()):
            self.sessions.parts.take_keyboard()

    def _show_keys(self) -> None:
        KeysDialog(self).open()

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
        self._chat.shutdown()
        settings.save()
        self.service.close()
        super().closeEvent(event)
