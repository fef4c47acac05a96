"""The widgets of the page of sessions, and where they stand."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from opencode_sync.desktop.plain import plain_label
from opencode_sync.desktop.sessions.count_badge import CountBadge
from opencode_sync.desktop.sessions.listing import SortOrder
from opencode_sync.desktop.sessions.model import SessionModel
from opencode_sync.desktop.sessions.pager import Pager
from opencode_sync.desktop.sessions.placeholders import Placeholder
from opencode_sync.desktop.sessions.search_field import SearchField
from opencode_sync.desktop.sessions.view import SessionView
from opencode_sync.desktop.symbols import Symbol

__all__ = ["PageParts", "Shown"]


_BESIDE: Final = 10
"""Pixels on each side of a button's text."""


class Shown(IntEnum):
    """What stands in the page's middle; the values are places in its stack."""

    LOADING = 0
    EMPTY = 1
    NOTHING_FOUND = 2
    FAILED = 3
    LIST = 4


class PageParts(QWidget):
    """Heading, search, list and buttons. What they do is up to ``SessionPage``."""

    order_chosen = Signal(object)
    """A ``SortOrder``."""

    def __init__(
        self, model: SessionModel, order: SortOrder, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.heading = plain_label(self.tr("Sessions"))
        font = self.heading.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        font.setBold(True)
        self.heading.setFont(font)
        self.count = CountBadge()
        self.refresh = QPushButton()
        self.new = QPushButton()
        self.search = SearchField()
        self.order = QComboBox()
        self.order.setAccessibleName(self.tr("Order of the sessions"))
        self._fill_orders(order)
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.setAccessibleName(self.tr("Loading sessions"))
        kept = self.bar.sizePolicy()
        kept.setRetainSizeWhenHidden(True)  # nothing jumps when it comes and goes
        self.bar.setSizePolicy(kept)
        self.view = SessionView(model)
        self.loading = Placeholder(self.tr("Loading sessions..."), moving=True)
        self.empty = Placeholder(
            self.tr("No Sessions"),
            self.tr("Create a new session to get started"),
            symbol=Symbol.INBOX,
            button=self.tr("Create Session"),
        )
        self.nothing_found = Placeholder(
            self.tr("Nothing found"),
            self.tr("No session has these words in its title or id"),
            symbol=Symbol.SEARCH,
        )
        self.failed = Placeholder(
            self.tr("The sessions could not be loaded"),
            symbol=Symbol.NO_LINK,
            button=self.tr("Try again"),
        )
        self.stack = QStackedWidget()
        self._middle = (self.loading, self.empty, self.nothing_found, self.failed, self.view)
        for page in self._middle:
            self.stack.addWidget(page)
        self.pager = Pager()
        self.rename = QPushButton()
        self.copy = QPushButton()
        self.delete = QPushButton()
        self._lay_out()

    def _fill_orders(self, order: SortOrder) -> None:
        for each, text in (
            (SortOrder.UPDATED, self.tr("Last updated first")),
            (SortOrder.CREATED, self.tr("Newest first")),
            (SortOrder.TITLE, self.tr("By title")),
        ):
            self.order.addItem(text, each)
        self.order.setCurrentIndex(list(SortOrder).index(order))
        self.order.activated.connect(
            lambda position: self.order_chosen.emit(self.order.itemData(position))
        )

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        head = _row(self.heading, self.count, None, self.refresh, self.new)
        head.setStretchFactor(self.refresh, 1)
        column.addLayout(head)
        find = _row(self.search, self.order)
        find.setStretch(0, 1)
        column.addLayout(find)
        column.addWidget(self.bar)
        column.addWidget(self.stack, 1)
        column.addWidget(self.pager)
        for action in (self.pager.first_action, self.pager.last_action):
            # Not of the chat beside, whose keys these are as well.
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            self.addAction(action)
        column.addLayout(_row(self.rename, self.copy, None, self.delete))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """See ``QWidget``: where there is little room, a button with a key can be spared."""
        super().resizeEvent(event)
        self._spare()

    def _spare(self) -> None:
        row = (self.heading, self.count, self.refresh, self.new)
        gaps = len(row) * self.style().pixelMetric(QStyle.PixelMetric.PM_LayoutHorizontalSpacing)
        needed = sum(each.sizeHint().width() for each in row) + gaps
        self.refresh.setMaximumWidth(self.refresh.sizeHint().width())
        self.refresh.setVisible(self.width() >= needed)

    def bind(self, button: QPushButton, action: QAction) -> None:
        """Have a button say, do and be what an action is."""
        key = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        button.setText(action.text())
        button.setAccessibleName(action.text())
        button.setToolTip(f"{action.text()} ({key})" if key else action.text())
        if button is self.refresh:
            # It takes room that is left and asks for none: the window may become too narrow for it.
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        else:
            # Not the style's least width, for the window may be narrow.
            width = button.fontMetrics().horizontalAdvance(action.text()) + 2 * _BESIDE
            button.setMinimumWidth(width)
        button.setEnabled(action.isEnabled())
        button.clicked.connect(action.trigger)
        action.enabledChanged.connect(button.setEnabled)

    def show_state(self, shown: Shown, *, loading: bool) -> None:
        """Show what there is.

        Args:
            shown: What stands in the middle.
            loading: Whether to show that a list which is there is being read anew.
        """
        self.stack.setCurrentIndex(shown)
        self.bar.setVisible(loading and shown is not Shown.LOADING)
        has_sessions = shown in (Shown.LIST, Shown.NOTHING_FOUND)
        self.search.setEnabled(has_sessions)
        self.order.setEnabled(has_sessions)
        for button in (self.rename, self.copy, self.delete):
            button.setVisible(shown is Shown.LIST)

    def take_keyboard(self) -> None:
        """Have the keyboard in the list, or in what stands in its place until it comes.

        From there Qt takes it to the list, unless the user has taken it elsewhere meanwhile.
        """
        self._middle[self.stack.currentIndex()].setFocus()

    def show_counts(self, total: int, matching: int) -> None:
        """Show how many sessions there are, and how many of them a search has found."""
        self.count.show_counts(total, matching)
        self._spare()


def _row(*widgets: QWidget | None) -> QHBoxLayout:
    """Return the widgets in a row; None is the place that takes what is left."""
    row = QHBoxLayout()
    for widget in widgets:
        if widget is None:
            row.addStretch()
        else:
            row.addWidget(widget)
    return row
