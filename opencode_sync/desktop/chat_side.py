"""The chat beside the list: whose it is, when it is seen, and where the keyboard is then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import shiboken6
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QSplitter, QWidget

from opencode_sync.desktop.actions import make_action
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.page import SessionPage
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.types import OcSessionInfo

if TYPE_CHECKING:
    from opencode_sync.desktop.chat import ChatPane

__all__ = ["ChatSide", "make_chat"]

_SHARES: Final = (2, 3)
"""Of the width, for the list and for the pane, until the user has another wish."""


def make_chat(service: Service) -> ChatPane:
    """Make the pane, which brings much along that a list of sessions does without."""
    from opencode_sync.desktop.chat import ChatPane

    return ChatPane(service)


@dataclass(frozen=True)
class _New:
    """A session that is being created.

    Attributes:
        pane: Where it is to be opened.
        came_from: What had the keyboard when it was begun.
        is_shown: Whether the pane shows it already; not so where there is nobody to write to.
    """

    pane: ChatPane
    came_from: QWidget | None
    is_shown: bool


class ChatSide(QObject):
    """Shows the session that the user has chosen last, or the one being created.

    One that is being created has the keyboard from the beginning on, so that nothing is lost of
    what is written before the backend has answered. Where the user takes it until then, it stays.
    """

    failed = Signal(object)
    """An exception that the pane does not show itself."""

    def __init__(
        self,
        service: Service,
        sessions: SessionPage,
        splitter: QSplitter,
        settings: WindowSettings,
        make: Callable[[Service], ChatPane] = make_chat,
    ) -> None:
        """Make it without a pane, which the first session brings along.

        Args:
            service: The pane's.
            sessions: The list beside it.
            splitter: Has the list, and gets the pane; the Qt parent.
            settings: How the two have shared their room the last time.
            make: Makes the pane.
        """
        super().__init__(splitter)
        self._service = service
        self._sessions = sessions
        self._splitter = splitter
        self._settings = settings
        self._make = make
        self._open_id = ""  # of the session that is open, also behind the one being created
        self._new: _New | None = None
        self.pane: ChatPane | None = None
        self.hide_action = make_action(splitter, self.tr("Hide chat"), self.leave, "Ctrl+W")
        self.hide_action.setEnabled(False)
        sessions.session_chosen.connect(self.open)
        sessions.creation.begun.connect(self._begin_new)
        sessions.creation.dropped.connect(self._drop_new)

    # --- A session that is there ---

    def open(self, session: OcSessionInfo) -> None:
        """Show a session's chat, and have the keyboard there."""
        self._sessions.creation.leave()  # if it is this one, that has ended
        new, self._new = self._new, None
        pane = self._the_pane()
        self._open_id = session.id
        pane.show_session(session)
        self._show(pane)
        if new is None:
            pane.take_focus()
        else:
            self._go_on(new)

    def leave(self) -> None:
        """Show no chat; the keyboard is in the list then."""
        if self.pane is not None:
            self._sessions.creation.leave()
            self._hide(self.pane)
            self._sessions.parts.view.setFocus()

    def _on_removed(self, pane: ChatPane, session_id: str) -> None:
        was_open, had_keyboard = session_id == self._open_id, self._has_keyboard(pane)
        pane.forget_session(session_id)  # which would cost money, unseen
        if was_open:
            self._open_id = ""
            is_new_shown = self._new is not None and self._new.is_shown
            # Whoever was writing to it is told, and their next keys must not act on the list.
            if not (is_new_shown or had_keyboard):
                self._hide(pane)

    # --- A session that is being created ---

    def _begin_new(self) -> None:
        pane = self._the_pane()
        came_from = self._keyboard
        self._new = _New(pane, came_from, pane.begin_new())
        if self._new.is_shown:
            self._show(pane)
            pane.take_focus()

    def _go_on(self, new: _New) -> None:
        """Have the keyboard in the session that is there now, if it is not already."""
        if new.is_shown and new.pane.composer.isEnabled():
            return  # it was from the beginning on; where it is now, the user has taken it
        at = self._keyboard
        if at is None or at is new.came_from or new.pane.isAncestorOf(at):
            self._sessions.parts.view.setFocus()
            new.pane.take_focus()

    def _drop_new(self) -> None:
        new, self._new = self._new, None
        if new is None or not new.is_shown:
            return
        had_keyboard = self._has_keyboard(new.pane)
        new.pane.give_up_new()
        if not self._open_id:
            self._hide(new.pane)
        if had_keyboard:
            self._give_keyboard(new.came_from)

    # --- The keyboard ---

    @property
    def _keyboard(self) -> QWidget | None:
        # The window's own, which it has also while another program's is in front.
        return self._splitter.window().focusWidget()

    def _has_keyboard(self, pane: ChatPane) -> bool:
        at = self._keyboard
        return at is not None and pane.isAncestorOf(at)

    def _give_keyboard(self, widget: QWidget | None) -> None:
        """Give it to a widget, or to the list if that one cannot have it any more."""
        if widget is None or not shiboken6.isValid(widget) or not widget.isVisible():
            widget = self._sessions.parts.view
        widget.setFocus()

    # --- The pane ---

    def _the_pane(self) -> ChatPane:
        if self.pane is None:
            self.pane = pane = self._make(self._service)
            pane.failed.connect(self.failed)
            pane.session_busy_changed.connect(self._on_busy_changed)
            pane.left.connect(self._sessions.parts.view.setFocus)
            self._sessions.session_changed.connect(pane.update_session)
            self._sessions.session_removed.connect(lambda each: self._on_removed(pane, each))
            self._sessions.creation.kept_aside.connect(lambda each: pane.adopt_new(each.id))
            self._sessions.refresh_action.triggered.connect(pane.reload)
            self._splitter.addWidget(pane)
            for place, share in enumerate(_SHARES):
                self._splitter.setStretchFactor(place, share)
            pane.show()  # what is hidden gets no room
            if not self._splitter.restoreState(self._settings.splitter):
                self._splitter.setSizes([share * self._splitter.width() for share in _SHARES])
        return self.pane

    def _show(self, pane: ChatPane) -> None:
        pane.show()
        self.hide_action.setEnabled(True)

    def _hide(self, pane: ChatPane) -> None:
        self._open_id = ""
        self.hide_action.setEnabled(False)
        if self._has_keyboard(pane):
            self._sessions.parts.view.setFocus()
        pane.show_session(None)
        pane.hide()

    def _on_busy_changed(self, session_id: str, busy: bool) -> None:
        if not busy:  # a run has changed its session
            self._sessions.update_session(session_id)

    # --- The end ---

    def shutdown(self) -> None:
        """Remember what is to be remembered, and end what goes on, without waiting."""
        if self.pane is not None:
            self._settings.splitter = self._splitter.saveState()
            self.pane.shutdown()
