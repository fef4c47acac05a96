"""The window's keys, shown: read from its actions, so that what is shown is what they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from PySide6.QtCore import QCoreApplication, QSize, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QMainWindow,
    QMenu,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

__all__ = ["KeysDialog", "keys_of"]

_SIZE: Final = QSize(520, 560)

Keys = dict[str, list[tuple[str, str]]]
"""By the place where they work, what each does and the key, both for people."""


class KeysDialog(QDialog):
    """Lists the keys, before a window that waits until it is closed."""

    def __init__(self, window: QMainWindow) -> None:
        """Make it; it is not shown, and gone when it was closed.

        Args:
            window: Whose keys; the Qt parent.
        """
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Keyboard"))
        self.keys = QTreeWidget()
        self.keys.setAccessibleName(self.tr("Keys"))
        self.keys.setHeaderLabels([self.tr("What it does"), self.tr("Key")])
        self.keys.setRootIsDecorated(False)
        self.keys.setItemsExpandable(False)
        self.keys.setUniformRowHeights(True)
        for place, rows in keys_of(window).items():
            self._add(place, rows)
        header = self.keys.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.keys.setCurrentIndex(self.keys.model().index(0, 0))
        self.keys.setFocus()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(self.keys)
        column.addWidget(buttons)
        self.resize(_SIZE.boundedTo(window.size()))

    def _add(self, place: str, rows: Iterable[tuple[str, str]]) -> None:
        heading = QTreeWidgetItem(self.keys, [place])
        font = heading.font(0)
        font.setBold(True)
        heading.setFont(0, font)
        heading.setFirstColumnSpanned(True)
        for what, key in rows:
            row = QTreeWidgetItem(heading, [what, key])
            row.setToolTip(0, what)  # where the window is too narrow for it
        heading.setExpanded(True)


def keys_of(window: QMainWindow) -> Keys:
    """Return a window's keys: those of its menus, of its other actions, and of its fields."""
    keys: Keys = {}
    listed: set[QAction] = set()
    for menu in window.menuBar().findChildren(QMenu):
        for action in _with_keys(menu.actions()):
            listed.add(action)
            keys.setdefault(_plain(menu.title()), []).append(_row(action))
    for action in _with_keys(window.findChildren(QAction)):
        if action not in listed:
            keys.setdefault(_place_of(action), []).append(_row(action))
    for place, what, key in _of_fields():
        keys.setdefault(place, []).append((what, _native(key)))
    return keys


def _of_fields() -> Iterator[tuple[str, str, str]]:
    """What is no action, for each of these keys means something else elsewhere."""
    translate = QCoreApplication.translate
    place = translate("KeysDialog", "List of sessions")
    yield place, translate("KeysDialog", "Open the selected session"), "Enter"
    place = translate("KeysDialog", "Search")
    yield place, translate("KeysDialog", "Go to what was found"), "Down"
    yield place, translate("KeysDialog", "Go to what was found"), "Enter"
    yield place, translate("KeysDialog", "Empty the search"), "Esc"
    place = translate("KeysDialog", "Message")
    yield place, translate("KeysDialog", "Send"), "Enter"
    yield place, translate("KeysDialog", "Begin a line"), "Shift+Enter"
    yield (
        place,
        translate("KeysDialog", "Stop a run that was begun here, or else go back to the sessions"),
        "Esc",
    )
    yield place, translate("KeysDialog", "Go back to the sessions"), "Ctrl+L"


def _with_keys(actions: Iterable[QAction]) -> Iterator[QAction]:
    return (each for each in actions if each.text() and not each.shortcut().isEmpty())


def _place_of(action: QAction) -> str:
    """Return the name of the part of the window that an action belongs to."""
    widget = action.parent()
    while isinstance(widget, QWidget):
        if widget.accessibleName():
            return widget.accessibleName()
        widget = widget.parent()
    return QCoreApplication.translate("KeysDialog", "Anywhere")


def _row(action: QAction) -> tuple[str, str]:
    return _plain(action.text()), _native(action.shortcut())


def _native(key: str | QKeySequence) -> str:
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)


def _plain(text: str) -> str:
    """Return a text without what marks a letter of it for the keyboard."""
    return text.replace("&", "")
