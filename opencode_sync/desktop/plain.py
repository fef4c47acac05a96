"""Words shown as they are: what Qt takes for HTML may open files, and look like what it is not."""

from __future__ import annotations

import html
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from opencode_sync.printable import printable

__all__ = ["plain_label", "plain_tooltip", "wrapped_label"]

_LONGEST: Final = 500
"""Characters of a tooltip's line."""


def plain_label(text: str = "", parent: QWidget | None = None) -> QLabel:
    """Return a label that takes nothing for HTML, whatever it is given later."""
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def wrapped_label(text: str = "", parent: QWidget | None = None) -> QLabel:
    """Return a ``plain_label`` of as many lines as its text needs."""
    label = plain_label(text, parent)
    label.setWordWrap(True)
    return label


def plain_tooltip(*lines: str) -> str:
    """Return a tooltip of these lines, of which blank ones are left out; "" when all are."""
    kept = [html.escape(printable(line, _LONGEST)) for line in lines if line.strip()]
    # As HTML, for of a tooltip there is no other way to say what it is.
    return f"<qt>{'<br>'.join(kept)}</qt>" if kept else ""
