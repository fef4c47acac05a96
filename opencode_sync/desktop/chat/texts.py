"""Widgets that show text: as high as it is, Markdown or as typed, and plain text in a box."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QEvent, QSize, Qt, QUrl
from PySide6.QtGui import (
    QFontDatabase,
    QKeyEvent,
    QPaintEvent,
    QPalette,
    QResizeEvent,
    QTextDocument,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QPlainTextEdit,
    QSizePolicy,
    QTextBrowser,
    QWidget,
)

from opencode_sync.desktop.chat.budget import Budget
from opencode_sync.desktop.chat.column import Stack
from opencode_sync.desktop.chat.markdown import markdown_document, open_link, plain_document
from opencode_sync.desktop.chat.segments import Segments
from opencode_sync.desktop.chat.words import hint
from opencode_sync.desktop.plain import wrapped_label

__all__ = ["MarkdownText", "PlainText"]

_LONGEST: Final = 200_000
"""Characters of one text that are shown."""

_BOX_LINES: Final = 14
_BOX_LONGEST: Final = 20_000
"""Characters of a box's text that are shown."""

_LONG_LINE: Final = re.compile(r"[^\n]{400}(?=[^\n])")
"""What is made a line of its own: long ones take Qt long, and longer ones much longer."""

_SCROLLING: Final = frozenset(
    (
        Qt.Key.Key_PageUp,
        Qt.Key.Key_PageDown,
        Qt.Key.Key_Up,
        Qt.Key.Key_Down,
        Qt.Key.Key_Home,
        Qt.Key.Key_End,
    )
)

_FONT: Final = (QEvent.Type.FontChange, QEvent.Type.ApplicationFontChange)


class _Piece(QTextBrowser):
    """A piece of text, as high as it is at its width, without scroll bars.

    With another font, theme or width it stays as it is until somebody has the time to show it
    anew: there may be hundreds, and all of them hear of it at once.
    """

    def __init__(self, text: str, parent: QWidget, *, plain: bool) -> None:
        super().__init__(parent)
        self._plain = plain
        self._text = ""
        self._shown: QTextDocument | None = None
        self._looks_old = self._waits = False
        self._width = 0  # at which it is seen; the document may have been asked for others since
        # Layouts ask for the same widths again and again, each of which is a layout of the text.
        self._heights: dict[int, int] = {}
        self.setAccessibleName(self.tr("What you wrote") if plain else self.tr("Answer"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.DefaultContextMenu)
        self.viewport().setAutoFillBackground(False)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.anchorClicked.connect(open_link)
        self.highlighted.connect(self._hovered)
        # Or it would be laid out for another width first.
        self.resize(parent.width(), self.height())
        self.show_text(text)

    def shows(self, text: str) -> bool:
        """Return whether this is what is shown, and as it has to look."""
        return text == self._text and not self._waits

    def wait(self) -> None:
        """Keep the layout for the present width, whatever comes, until the next ``show_text``."""
        self._waits = True

    def show_text(self, text: str) -> None:
        """Show this as it has to look now."""
        if text == self._text and not self._looks_old:
            self.document().setTextWidth(self.viewport().width())
        else:
            self._text = text
            self._render()
        self._looks_old = self._waits = False
        self._heights.clear()
        self.updateGeometry()

    def _render(self) -> None:
        document = (
            plain_document(self._text, self.font())
            if self._plain
            else markdown_document(self._text, self.font(), self.palette())
        )
        document.setTextWidth(self.viewport().width())
        document.setParent(self)
        self.setDocument(document)
        if self._shown is not None:
            self._shown.deleteLater()
        self._shown = document

    def _hovered(self, link: QUrl) -> None:
        self.setToolTip(hint(link.toString()))

    def hasHeightForWidth(self) -> bool:
        """See ``QWidget``."""
        return True

    def heightForWidth(self, width: int) -> int:
        """See ``QWidget``."""
        if self._keeps_width:
            width = self._width
        height = self._heights.get(width)
        if height is None:
            document = self.document()
            if document.textWidth() != width:
                document.setTextWidth(width)
            height = self._heights[width] = math.ceil(document.size().height())
        return height

    @property
    def _keeps_width(self) -> bool:
        """Whether it waits, and has a width that it can keep until then."""
        return self._waits and self._width > 0

    def sizeHint(self) -> QSize:
        """See ``QWidget``."""
        return QSize(400, 20)  # of which layouts take the height from above

    def minimumSizeHint(self) -> QSize:
        """See ``QWidget``."""
        return QSize(40, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Be seen at the present width, also when layouts have asked for another one since."""
        if not self._keeps_width:
            self._width = self.viewport().width()
        document = self.document()
        if document.textWidth() != self._width:
            document.setTextWidth(self._width)
        super().paintEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave scrolling to what this is in."""
        event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Likewise."""
        if event.key() in _SCROLLING:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme and the font, but not now."""
        if event.type() not in _FONT:  # for which Qt would lay out the text at once
            super().changeEvent(event)
        if event.type() in (*_FONT, QEvent.Type.PaletteChange):
            self._looks_old = self._waits = True

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Follow the width, unless that waits."""
        if not self._keeps_width:
            self._width = self.viewport().width()
            super().resizeEvent(event)


class MarkdownText(QWidget):
    """A text of Markdown that may grow. What it costs to show more does not grow with it."""

    def __init__(self, parent: QWidget | None = None, *, plain: bool = False) -> None:
        """Make one that says nothing.

        Args:
            parent: The Qt parent.
            plain: Whether it shows texts as they were typed, and not as Markdown.
        """
        super().__init__(parent)
        self._plain = plain
        self._segments = Segments(plain=plain)
        self._complete: str | None = None  # the text, when all of it is shown
        self._pieces: list[_Piece] = []
        self._column = Stack(self, spacing=0 if plain else 6)
        self._rest: QLabel | None = None

    def wait(self) -> None:
        """Do not follow the width before the next ``show_text``."""
        self._complete = None
        for piece in self._pieces:
            piece.wait()

    def changeEvent(self, event: QEvent) -> None:
        """Have the next ``show_text`` look at all pieces: they may have to look otherwise."""
        super().changeEvent(event)
        self._complete = None

    def show_text(self, text: str, budget: Budget) -> bool:
        """Show a text in the present font, theme and width, as far as there is time.

        Returns:
            False when some of it is not shown yet. Call it again then: each time shows at least one
            piece more.
        """
        if text is self._complete:
            return True
        self._complete = None
        shown = text[:_LONGEST]
        segments = self._segments
        wanted = segments.update(shown, budget)
        while len(self._pieces) > len(wanted):
            piece = self._pieces.pop()
            self._column.removeWidget(piece)
            piece.deleteLater()
        drawn = self._draw(wanted, budget)
        self._tell_rest(len(text) - len(shown) + segments.left_out)
        if not drawn or not segments.complete:
            return False
        self._complete = text
        return True

    def _draw(self, wanted: Sequence[str], budget: Budget) -> bool:
        """Have the pieces show these; False when there was no time for all, but for one."""
        has_drawn = False
        for position, segment in enumerate(wanted):
            piece = self._pieces[position] if position < len(self._pieces) else None
            if piece is not None and piece.shows(segment):
                continue
            if has_drawn and budget.over:
                return False
            has_drawn = True
            if piece is not None:
                piece.show_text(segment)
            else:
                self._pieces.append(_Piece(segment, self, plain=self._plain))
                self._column.addWidget(self._pieces[-1])
        return True

    def _tell_rest(self, more: int) -> None:
        if more <= 0:
            return
        if self._rest is None:
            self._rest = wrapped_label(parent=self)
        self._column.addWidget(self._rest)
        self._rest.setText(self.tr("{0} characters more; Copy takes them all.").format(more))


class PlainText(QPlainTextEdit):
    """Text as it is, with its own lines, in a box that scrolls."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        """Make an empty box.

        Args:
            name: What it holds, for screen readers.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self.setReadOnly(True)
        self.setAccessibleName(name)
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self._shown = ""

    def show_text(self, text: str) -> None:
        """Show a text, or as much of it as fits a window."""
        if text == self._shown:
            return
        self._shown = text
        more = len(text) - _BOX_LONGEST
        text = _broken(text[:_BOX_LONGEST])
        if more > 0:
            text += "\n" + self.tr("({0} characters more; Copy takes all)").format(more)
        self.setPlainText(text)
        lines = min(max(self.blockCount(), 1), _BOX_LINES)
        margins = 2 * math.ceil(self.document().documentMargin() + self.frameWidth())
        bar = self.horizontalScrollBar().sizeHint().height()
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + margins + bar)


def _broken(text: str) -> str:
    return _LONG_LINE.sub(lambda found: f"{found[0]}\n", text)
