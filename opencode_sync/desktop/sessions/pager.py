"""First, previous, next, last, and where one is, which can be typed as well."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QLocale, QMargins, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence, QValidator
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QToolButton,
    QWidget,
)

from opencode_sync.desktop.plain import plain_label

__all__ = ["Pager"]


class Pager(QWidget):
    """Leafs through pages."""

    page_wanted = Signal(int)
    """From 0 on."""

    left = Signal()
    """The number of a page was entered: the user wants to be in the list."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._page = 0
        self._pages = 1
        # Actions, not the buttons' own shortcuts: those show the button pressed for a while, and
        # what is pressed again meanwhile is lost.
        self.first_action = self._action(self.tr("First page"), "Ctrl+Home", lambda: 0)
        self.previous_action = self._action(
            self.tr("Previous page"), "Ctrl+PgUp", lambda: self._page - 1
        )
        self.next_action = self._action(self.tr("Next page"), "Ctrl+PgDown", lambda: self._page + 1)
        self.last_action = self._action(self.tr("Last page"), "Ctrl+End", lambda: self._pages - 1)
        self.first = _button("\u00ab")
        self.previous = _button("\u2039")
        self.next = _button("\u203a")
        self.last = _button("\u00bb")
        for button, action in (
            (self.first, self.first_action),
            (self.previous, self.previous_action),
            (self.next, self.next_action),
            (self.last, self.last_action),
        ):
            _bind(button, action)
        self.go_to_action = QAction(self.tr("Go to page..."), self)
        self.go_to_action.setShortcut(QKeySequence("Ctrl+G"))
        self.go_to_action.triggered.connect(self._enter)
        self.addAction(self.go_to_action)
        self.number = self._make_number()
        before, _, self._after = self.tr("Page {0} of {1}").partition("{0}")
        self.pages = plain_label()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.first)
        row.addWidget(self.previous)
        row.addStretch()
        row.addWidget(_beside(before.strip(), self.number))
        row.addWidget(self.number)
        row.addWidget(self.pages)
        row.addStretch()
        row.addWidget(self.next)
        row.addWidget(self.last)
        self.show_position(0, 1)

    def _make_number(self) -> QSpinBox:
        number = _Number()
        number.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        number.setKeyboardTracking(False)  # "12" is not page 1 first
        number.setLocale(QLocale.c())
        number.setRange(1, 1)
        number.setAlignment(Qt.AlignmentFlag.AlignCenter)
        number.setAccessibleName(self.tr("Page"))
        key = self.go_to_action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        number.setToolTip(self.tr("Go to page ({0})").format(key))
        number.valueChanged.connect(lambda value: self.page_wanted.emit(value - 1))
        number.editingFinished.connect(self._leave)
        return number

    def _enter(self) -> None:
        self.number.setFocus()
        self.number.selectAll()

    def _leave(self) -> None:
        if self.number.hasFocus():  # so it was Enter
            self.left.emit()

    def _action(self, text: str, key: str, page: Callable[[], int]) -> QAction:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(key))
        action.triggered.connect(lambda: self.page_wanted.emit(page()))
        self.addAction(action)
        return action

    def show_position(self, page: int, pages: int) -> None:
        """Say where one is; a single page needs no pager.

        Args:
            page: From 0 on.
            pages: How many there are.
        """
        if (page, pages) != (self._page, self._pages):
            # Not otherwise, for that would take back what is being typed.
            with QSignalBlocker(self.number):
                self.number.setRange(1, pages)
                self.number.setValue(page + 1)
        self._page, self._pages = page, pages
        self.pages.setText(self._after.format(page + 1, pages).strip())
        self.go_to_action.setEnabled(pages > 1)
        for action in (self.first_action, self.previous_action):
            action.setEnabled(page > 0)
        for action in (self.next_action, self.last_action):
            action.setEnabled(page + 1 < pages)
        self.setVisible(pages > 1)


class _Number(QSpinBox):
    """A field that takes any number; one beyond its range means the nearest in it.

    Qt's own refuses each key that leads out of the range, so that "99" of 31 pages would be page 9.
    """

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """See ``QSpinBox``."""
        digits = text.strip()
        if digits.isascii() and digits.isdigit():
            return QValidator.State.Acceptable, text, position
        return super().validate(text, position)

    def sizeHint(self) -> QSize:
        """Have room to see one digit more than the last page has."""
        hint = super().sizeHint()
        return hint.grownBy(QMargins(0, 0, self.fontMetrics().horizontalAdvance("0"), 0))

    def valueFromText(self, text: str) -> int:
        """See ``QSpinBox``."""
        # No more digits than a C++ int has room for: there are never that many pages.
        number = int(text.strip().lstrip("0")[:9] or 0)
        return min(max(number, self.minimum()), self.maximum())


def _beside(text: str, field: QWidget) -> QLabel:
    label = plain_label(text)
    label.setBuddy(field)
    return label


def _button(text: str) -> QToolButton:
    button = QToolButton()  # which may be as narrow as its text
    button.setText(text)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return button


def _bind(button: QToolButton, action: QAction) -> None:
    key = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
    button.setAccessibleName(action.text())
    button.setToolTip(f"{action.text()} ({key})")
    button.clicked.connect(action.trigger)
    button.setEnabled(action.isEnabled())
    action.enabledChanged.connect(button.setEnabled)
