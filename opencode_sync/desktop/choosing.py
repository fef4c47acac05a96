"""Choosing a backend: the page for it, the way there, and what is remembered of it."""

from __future__ import annotations

from enum import Enum

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QStackedWidget

from opencode_sync import ConnectionState, IpcConfig, IpcConfigError, StateChange
from opencode_sync.desktop.errors import Problem, problem_of
from opencode_sync.desktop.first_run import FirstRun
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.desktop.start_failures import start_problem_of

__all__ = ["BackendChoosing"]


class _Wish(Enum):
    """Where to go, beside a gateway of the window's own and an address."""

    LOOK = "look"
    """To what is found as at the start."""


_Choice = GatewayKind | _Wish | int
"""The integer is the port of an address."""


class BackendChoosing(QObject):
    """Has the user choose where to go, and goes there.

    The backend in use stays so until another one is there, or at least on its way.
    """

    acted = Signal()
    """The user goes on: what failed before is not the newest any more."""

    backend_left = Signal()
    """Nothing of the backend that was in use may be shown any more."""

    changing = Signal(bool)
    """Whether another backend is being gone to."""

    shown = Signal(bool)
    """Whether the page is what is shown: told once it has come, and before it goes."""

    def __init__(
        self, service: Service, settings: WindowSettings, pages: QStackedWidget, parent: QObject
    ) -> None:
        """Make it, with a page that is not shown.

        Args:
            service: Goes there.
            settings: Where the newest choice that worked is remembered.
            pages: Gets the page, behind the one that it has.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self._service = service
        self._settings = settings
        self._pages = pages
        self._everyday = pages.currentIndex()
        self._was_connected = False
        self._choice: _Choice | None = None  # what is being changed to
        self.page = FirstRun(settings.port, settings.gateway)
        pages.addWidget(self.page)
        self.page.gateway_wanted.connect(self.start_gateway)
        self.page.address_wanted.connect(self.use_address)
        self.page.look_wanted.connect(self.look_again)
        self.page.back_wanted.connect(self._go_back)
        self.page.invalid.connect(self.acted)
        service.state_changed.connect(self._on_state_change)

    @property
    def is_open(self) -> bool:
        """Whether the page is shown."""
        return self._pages.currentWidget() is self.page

    @property
    def is_changing(self) -> bool:
        """Whether another backend is being gone to."""
        return self._choice is not None

    # --- What the user does ---

    def open(self) -> None:
        """Show the page, for the user wants another backend."""
        self.acted.emit()
        self.show_page("")

    def show_page(self, reason: str) -> None:
        """Show the page.

        Args:
            reason: Why, as a sentence; "" for none.
        """
        self.page.show_reason(reason)
        self.page.offer_back(self._was_connected)
        self.page.setEnabled(True)
        self._pages.setCurrentWidget(self.page)
        self.shown.emit(True)
        self.page.focus_first()

    def _go_back(self) -> None:
        self.acted.emit()
        self._close_page()

    def _close_page(self) -> None:
        if self.is_open:
            self.shown.emit(False)
            self._pages.setCurrentIndex(self._everyday)
            self.page.setEnabled(False)  # no key acts where nobody sees it

    def start_gateway(self, kind: GatewayKind) -> None:
        """Start a gateway that ends with the window, and go there."""
        self._begin(kind)
        self._service.start_gateway(kind)

    def use_address(self, config: IpcConfig) -> None:
        """Go to a gateway that runs."""
        self._begin(config.port)
        self._service.use_address(config)

    def look_again(self) -> None:
        """Look anew for what was looked for at the start, and go there."""
        self._begin(_Wish.LOOK)
        self._service.look_again()

    def _begin(self, choice: _Choice) -> None:
        self.acted.emit()
        self.page.set_busy(True)
        self._choice = choice
        self.changing.emit(True)

    # --- What becomes of it ---

    def arrive(self) -> None:
        """There is a connection: leave the page, and what was shown of another backend.

        Who chooses while the backend in use comes back by itself is not disturbed.
        """
        came_back = self._choice is None and self._was_connected
        self._was_connected = True
        if self._choice is not None:
            self._remember(self._choice)
            self.backend_left.emit()
        self._end()
        if not came_back:
            self.page.forget_token()
            self._close_page()

    def give_up(self, error: Exception) -> Problem | None:
        """An attempt to connect has failed.

        Returns:
            What is to be told; None where the page itself says it.
        """
        choice = self._choice
        self._end()
        looked = choice is None or choice is _Wish.LOOK
        if looked and isinstance(error, IpcConfigError):
            # Nothing is wrong: there is no gateway yet.
            if self.is_open:
                self.page.show_reason(self.tr("Looked again. {0}").format(error))
                return None
            if not self._was_connected:
                self.show_page(str(error))
                return None
        if self.is_open:
            self.page.show_reason("")  # it was about an attempt before
        if isinstance(choice, GatewayKind):
            return start_problem_of(error, choice)
        return problem_of(error)

    def _end(self) -> None:
        self.page.set_busy(False)
        self._choice = None
        self.changing.emit(False)

    def _remember(self, choice: _Choice) -> None:
        # Only now that it has worked.
        if isinstance(choice, GatewayKind):
            self._settings.gateway = choice
            self.page.prefer(choice)
        elif isinstance(choice, int):
            self._settings.port = choice

    def _on_state_change(self, change: StateChange) -> None:
        if self._choice is not None and change.old is ConnectionState.CONNECTED:
            self.backend_left.emit()
