"""Finding one's way in the list: by words, order, pages, and to the list itself."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal

from opencode_sync.desktop.sessions.layout import PageParts
from opencode_sync.desktop.sessions.listing import Listing, SortOrder

__all__ = ["ListNavigation"]


class ListNavigation(QObject):
    """Says what of the list is shown, as the user wishes."""

    changed = Signal()
    """Other rows are to be shown."""

    def __init__(self, listing: Listing, parts: PageParts, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._listing = listing
        self._parts = parts
        self._has_moved = False
        self._marked_id = ""
        parts.search.textChanged.connect(self._search)
        parts.search.left.connect(self.go_to_list)
        parts.order_chosen.connect(self._sort)
        parts.pager.page_wanted.connect(self._go_to)
        parts.pager.left.connect(self.go_to_list)

    def go_to_search(self) -> None:
        """Have the keyboard in the search field, for other words."""
        self._parts.search.setFocus()
        self._parts.search.selectAll()

    def go_to_list(self) -> None:
        """Have the keyboard in the list, where Qt finds it a row to act on."""
        self._parts.view.setFocus(Qt.FocusReason.TabFocusReason)

    def begin_anew(self) -> None:
        """Show the first page of all there is."""
        self._listing.go_to(0)
        self._parts.search.clear()

    def mark(self) -> None:
        """Note where the user is; see ``lead_to``."""
        self._has_moved = False
        self._marked_id = self._current_id

    def lead_to(self, session_id: str) -> None:
        """Show and select a session, unless the user has moved in the list since ``mark``."""
        moved = self._has_moved or self._current_id not in ("", self._marked_id)
        if moved or self._parts.view.is_renaming:
            return
        self._parts.search.clear()
        self._listing.go_to(self._listing.page_of(session_id) or 0)
        self.changed.emit()
        self._parts.view.select(session_id)

    @property
    def _current_id(self) -> str:
        current = self._parts.view.current
        return "" if current is None else current.id

    def _search(self, text: str) -> None:
        self._listing.search(text)
        self._note_move()

    def _sort(self, order: SortOrder) -> None:
        self._listing.sort(order)
        self._note_move()

    def _go_to(self, page: int) -> None:
        self._listing.go_to(page)
        self._note_move()
        self._parts.view.scrollToTop()

    def _note_move(self) -> None:
        self._has_moved = True
        self.changed.emit()
