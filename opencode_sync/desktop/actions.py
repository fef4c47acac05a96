"""Making an action: what menus, buttons and keys have in common."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

__all__ = ["make_action"]


def make_action(
    owner: QWidget,
    text: str,
    act: Callable[[], object],
    key: str | None = None,
    *,
    within: QWidget | None = None,
) -> QAction:
    """Return an action that does something.

    Args:
        owner: The action's Qt parent.
        text: What menus and buttons say.
        act: Does it.
        key: Its shortcut, such as "Ctrl+N".
        within: Where the key works; None for all of the window. Del and Ctrl+C belong to text
            fields, too, so theirs is the list only.
    """
    action = QAction(text, owner)
    if key is not None:
        action.setShortcut(QKeySequence(key))
    if within is not None:
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
    action.triggered.connect(lambda: act())
    (owner if within is None else within).addAction(action)
    return action
