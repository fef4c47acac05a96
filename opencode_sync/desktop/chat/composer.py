"""Where the user writes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent, QTextCursor, QTextOption
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from opencode_sync.desktop.plain import wrapped_label

__all__ = ["Composer"]

_FEWEST_LINES: Final = 2
_MOST_LINES: Final = 8

_MOST: Final = 300_000
"""Characters that fit: Qt lays out all of what is pasted at once."""

_MOST_PASTED: Final = 5_000
"""Lines that fit, for the same reason: each takes it some microseconds, however short."""

_LONGEST_LINE: Final = 30_000
"""Characters of a line that fit: Qt lays out all of a line with each key."""

_LONG_LINE: Final = 5_000
"""Characters from which on a line is wrapped anywhere: to look for words takes Qt too long then."""

_LINE_ENDS: Final = re.compile(r"\r\n|[\n\r\u2029]")
"""Where Qt begins a line of the text."""


class Composer(QPlainTextEdit):
    """A field that grows with its text: Enter sends, Shift+Enter begins a line.

    What is too long to be edited here is not inserted, and ``note`` says so.
    """

    submitted = Signal()
    """Enter was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty one."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("Message"))
        self.setPlaceholderText(self.tr("Ask something. Enter sends, Shift+Enter begins a line."))
        self.setToolTip(
            self.tr(
                "Enter sends, Shift+Enter begins a line. Esc stops a run that was begun here. "
                "Ctrl+L, or Esc without such a run, leads back to the sessions."
            )
        )
        self.setTabChangesFocus(True)
        self.note = wrapped_label(parent=parent)
        """Why something was not inserted; hidden otherwise. Whoever has a place for it shows it."""
        self.note.hide()
        self.textChanged.connect(self.note.hide)
        self.textChanged.connect(self._fit)
        self._fit()

    @property
    def text(self) -> str:
        """What was written."""
        return self.toPlainText()

    def setPlainText(self, text: str) -> None:
        """See ``QPlainTextEdit``."""
        self._choose_wrapping(_LINE_ENDS.split(text), anew=True)
        super().setPlainText(text)

    def show_draft(self, text: str) -> None:
        """Have this text and no other, to be gone on with."""
        self.setPlainText(text)
        self.moveCursor(QTextCursor.MoveOperation.End)

    def put_in_front(self, text: str) -> None:
        """Have this text as well, before what is being written, which is not disturbed."""
        if not self.text.strip():
            self.show_draft(text)
            return
        self._choose_wrapping(_LINE_ENDS.split(text))
        QTextCursor(self.document()).insertText(f"{text}\n\n")

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Take what is pasted or dropped here, if it fits."""
        text, cursor = source.text(), self.textCursor()
        start, end = cursor.selectionStart(), cursor.selectionEnd()
        count = self.document().characterCount() - 1 - (end - start) + len(text)
        if count > _MOST:
            problem = self.tr("there would be {0} characters, and {1} is the most that fits")
            self._refuse(problem.format(count, _MOST))
            return
        first, last = self.document().findBlock(start), self.document().findBlock(end)
        before = first.text()[: start - first.position()]
        after = last.text()[end - last.position() :]
        lines = _LINE_ENDS.split(f"{before}{text}{after}")  # as they would be
        replaced = last.blockNumber() - first.blockNumber() + 1
        count = self.document().blockCount() - replaced + len(lines)
        if count > _MOST_PASTED:
            problem = self.tr("there would be {0} lines, and {1} is the most that fits")
            self._refuse(problem.format(count, _MOST_PASTED))
            return
        if any(len(each) > _LONGEST_LINE for each in lines):
            self._refuse(self.tr("a line of it is too long to be edited here"))
            return
        self._choose_wrapping(lines)
        super().insertFromMimeData(source)

    def _refuse(self, problem: str) -> None:
        remedy = self.tr("Save it as a file, and write here where it is.")
        self.note.setText(self.tr("Nothing was inserted: {0}. {1}").format(problem, remedy))
        self.note.show()

    def _choose_wrapping(self, lines: Sequence[str], *, anew: bool = False) -> None:
        mode = QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
        if any(len(each) > _LONG_LINE for each in lines):
            mode = QTextOption.WrapMode.WrapAnywhere
        elif not anew:
            return  # there may be a long one among the others
        if mode != self.wordWrapMode():
            self.setWordWrapMode(mode)

    def _fit(self) -> None:
        lines = min(max(math.ceil(self.document().size().height()), _FEWEST_LINES), _MOST_LINES)
        margins = 2 * math.ceil(self.document().documentMargin() + self.frameWidth())
        height = lines * self.fontMetrics().lineSpacing() + margins
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the lines that have become more, or fewer."""
        super().resizeEvent(event)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take the keys that mean something."""
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.insertPlainText("\n")
            self.ensureCursorVisible()
        else:
            self.submitted.emit()
