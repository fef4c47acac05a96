"""What stands where the list would be, while there is none."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from opencode_sync.desktop.plain import wrapped_label
from opencode_sync.desktop.symbols import Symbol, SymbolView

__all__ = ["Placeholder"]

_SIDE = 56
_BAR_WIDTH = 220


class Placeholder(QWidget):
    """A picture or a moving bar, a title, a sentence, and a button, each if there is one."""

    def __init__(
        self,
        title: str,
        text: str = "",
        *,
        symbol: Symbol | None = None,
        button: str = "",
        moving: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        """Make a placeholder.

        Args:
            title: A few words.
            text: A sentence.
            symbol: The picture.
            button: What the button says.
            moving: Whether a bar moves, for something that takes time.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self.setAccessibleName(title)
        column = QVBoxLayout(self)
        column.setSpacing(10)
        column.addStretch()
        middle = Qt.AlignmentFlag.AlignHCenter
        if symbol is not None:
            column.addWidget(SymbolView(symbol, _SIDE), 0, middle)
        heading = wrapped_label(title)
        font = heading.font()
        font.setPointSizeF(font.pointSizeF() * 1.3)
        heading.setFont(font)
        heading.setAlignment(middle)
        column.addWidget(heading)
        if text:
            sentence = wrapped_label(text)
            sentence.setAlignment(middle)
            column.addWidget(sentence)
        if moving:
            bar = QProgressBar()
            bar.setRange(0, 0)
            bar.setTextVisible(False)
            bar.setFixedWidth(_BAR_WIDTH)
            bar.setAccessibleName(title)
            column.addWidget(bar, 0, middle)
        self.button = QPushButton(button)
        self.button.setVisible(bool(button))
        column.addWidget(self.button, 0, middle)
        column.addStretch()
