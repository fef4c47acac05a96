"""Markdown of a model that nobody has reason to trust, as a document that loads and runs nothing.

- HTML is text like any other.
- A picture is its description: nothing is fetched for it, from wherever it says.
- Only links to http and https are links. They are opened by a click, and by nothing else.
"""

from __future__ import annotations

import re
from typing import Final

from PySide6.QtCore import QUrl
from PySide6.QtGui import (
    QColor,
    QDesktopServices,
    QFont,
    QPalette,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextTable,
)

__all__ = ["is_safe", "markdown_document", "open_link", "plain_document"]

_FEATURES: Final = (
    QTextDocument.MarkdownFeature.MarkdownDialectGitHub
    | QTextDocument.MarkdownFeature.MarkdownNoHTML
)
_DIRECTIONS: Final = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""What would have a text read otherwise than it is written, and nested takes Qt very long."""
_SCHEMES: Final = ("http", "https")
_CODE: Final = (QTextFormat.Property.BlockCodeFence, QTextFormat.Property.BlockCodeLanguage)
_OF_LINKS: Final = (
    QTextFormat.Property.AnchorHref,
    QTextFormat.Property.IsAnchor,
    QTextFormat.Property.ForegroundBrush,
    QTextFormat.Property.TextUnderlineStyle,
    QTextFormat.Property.FontUnderline,
)
_LEAST_CONTRAST: Final = 4.5
_DESCRIBED: Final = 200
"""Characters of a picture's description that are shown."""
_DESCRIPTION: Final = QTextFormat.Property.ImageAltText


def is_safe(link: QUrl) -> bool:
    """Return whether a link may be opened at all."""
    return link.isValid() and link.scheme().lower() in _SCHEMES and bool(link.host())


def open_link(link: QUrl) -> None:
    """Have the user's browser open a link that the user has clicked, if it may be opened."""
    if is_safe(link):
        QDesktopServices.openUrl(link)


def markdown_document(text: str, font: QFont, palette: QPalette) -> QTextDocument:
    """Return Markdown as a document.

    Args:
        text: The Markdown.
        font: Of ordinary text.
        palette: For what has a colour of its own.
    """
    document = QTextDocument()
    document.setUndoRedoEnabled(False)
    document.setDefaultFont(font)
    document.setDocumentMargin(0)
    # A line before it, for what is at the very beginning between lines of dashes Qt would hide.
    document.setMarkdown("\n" + _DIRECTIONS.sub("\ufffd", text), _FEATURES)
    # Before it is laid out: that is when Qt would look for pictures.
    _make_harmless(document, palette)
    _dress(document, palette)
    return document


def plain_document(text: str, font: QFont) -> QTextDocument:
    """Return a text as a document that shows it as it was typed.

    Args:
        text: Any.
        font: Of all of it.
    """
    document = QTextDocument()
    document.setUndoRedoEnabled(False)
    document.setDefaultFont(font)
    document.setDocumentMargin(0)
    document.setPlainText(_DIRECTIONS.sub("\ufffd", text))
    return document


def _make_harmless(document: QTextDocument, palette: QPalette) -> None:
    found: list[tuple[int, int, QTextCharFormat]] = []
    block = document.begin()
    while block.isValid():
        found.extend(_links_and_pictures(block))
        block = block.next()
    cursor = QTextCursor(document)
    cursor.beginEditBlock()  # or the blocks would be looked through after each change
    for position, length, style in reversed(found):  # so that positions before it stay true
        cursor.setPosition(position)
        cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
        if style.isImageFormat():
            described = style.property(_DESCRIPTION) or style.toImageFormat().name()
            cursor.insertText(f"[{described[:_DESCRIBED]}]", QTextCharFormat())
        elif is_safe(QUrl(style.anchorHref())):
            style.setForeground(_link_colour(palette))
            style.setFontUnderline(True)
            cursor.setCharFormat(style)
        else:
            for each in _OF_LINKS:
                style.clearProperty(each)
            cursor.setCharFormat(style)
    cursor.endEditBlock()


def _links_and_pictures(block: QTextBlock) -> list[tuple[int, int, QTextCharFormat]]:
    """Return where they are, how long, and in which style."""
    found = []
    step = block.begin()
    while not step.atEnd():
        fragment = step.fragment()
        style = fragment.charFormat()
        if style.isImageFormat() or style.isAnchor():
            found.append((fragment.position(), fragment.length(), style))
        step += 1
    return found


def _link_colour(palette: QPalette) -> QColor:
    """Return the palette's colour of links, or of text where that one cannot be read."""
    link, base = palette.link().color(), palette.base().color()
    lighter, darker = sorted((_luminance(link), _luminance(base)), reverse=True)
    readable = (lighter + 0.05) / (darker + 0.05) >= _LEAST_CONTRAST
    return link if readable else palette.text().color()


def _luminance(colour: QColor) -> float:
    """Return how bright a colour is, from 0 to 1, as the accessibility guidelines have it."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (colour.redF(), colour.greenF(), colour.blueF())
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _dress(document: QTextDocument, palette: QPalette) -> None:
    """Give code its ground, and let its long lines wrap instead of ending at the edge."""
    block = document.begin()
    while block.isValid():
        style = block.blockFormat()
        if any(style.hasProperty(each) for each in _CODE):
            code = QTextBlockFormat(style)
            code.setNonBreakableLines(False)
            code.setBackground(palette.color(QPalette.ColorRole.AlternateBase))
            QTextCursor(block).setBlockFormat(code)
        block = block.next()
    for frame in document.rootFrame().childFrames():
        if isinstance(frame, QTextTable):
            _mend_heading(frame)


def _mend_heading(table: QTextTable) -> None:
    """Have the first heading look like the others: Qt forgets it, after code with a line more."""
    bold = QTextCharFormat()
    bold.setFontWeight(QFont.Weight.Bold)
    cell = table.cellAt(0, 0)
    cursor = cell.firstCursorPosition()
    if not cursor.block().text() and cell.lastPosition() > cell.firstPosition():
        cursor.deleteChar()
    cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
    cursor.mergeCharFormat(bold)
    style = cursor.blockFormat()
    style.setTopMargin(0)
    style.setBottomMargin(0)
    cursor.setBlockFormat(style)
