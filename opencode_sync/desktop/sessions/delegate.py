"""A session drawn as a card, and the field that renames it in place."""

from __future__ import annotations

from typing import Final, NamedTuple

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPalette, QPen
from PySide6.QtWidgets import (
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from opencode_sync.desktop.sessions.activity import Activity
from opencode_sync.desktop.sessions.model import MOST_TITLE, Role, activity_text
from opencode_sync.desktop.sessions.record import SessionRecord
from opencode_sync.desktop.theme import Tone, colours_of, secondary

__all__ = ["Badge", "SessionDelegate", "badges_of"]

_Index = QModelIndex | QPersistentModelIndex

_GAP: Final = 3  # around a card
_PADDING: Final = 9  # within it
_LINES_APART: Final = 5
_BADGE_PADDING: Final = 6
_LEAST_TITLE: Final = 60  # pixels of a title, which badges of what was changed leave to it
_FIELD_EDGE: Final = 3  # of the field for a title, around the line that it covers
_ROUND: Final = 6.0
_AS_GIVEN: Final = "given"  # the property of an editor that holds what it began with
_MOST_DRAWN: Final = 1000  # characters of a line; none is wide enough for half


class Badge(NamedTuple):
    """A few coloured characters."""

    text: str
    tone: Tone


def badges_of(record: SessionRecord, files: str, file: str) -> list[Badge]:
    """Return the badges of a session: what it has changed, if it says so.

    Args:
        record: The session.
        files: How to say several files, with {0} for the number.
        file: How to say one.
    """
    if record.summary is None or not any(record.summary):
        return []
    added, deleted, count = record.summary
    return [
        Badge(f"+{added}", Tone.SUCCESS),
        Badge(f"-{deleted}", Tone.DANGER),
        Badge((file if count == 1 else files).format(count), Tone.INFO),
    ]


_TONES: Final = {Activity.RUNNING: Tone.NEUTRAL, Activity.WAITING: Tone.WARNING}


class SessionDelegate(QStyledItemDelegate):
    """Draws ``SessionModel``'s rows."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """See ``QStyledItemDelegate``."""
        height = QFontMetrics(_bold(option.font)).height() + QFontMetrics(option.font).height()
        return QSize(240, height + _LINES_APART + 2 * (_PADDING + _GAP))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """See ``QStyledItemDelegate``."""
        record = index.data(Role.RECORD)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        card = option.rect.adjusted(_GAP, _GAP, -_GAP, -_GAP)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        text, faint = self._draw_card(painter, option, card, selected=selected)
        inner = card.adjusted(_PADDING, _PADDING, -_PADDING, -_PADDING)
        first, second = self._lines(option, inner)
        activity = index.data(Role.ACTIVITY)
        marker = [] if activity is None else [Badge(activity_text(activity), _TONES[activity])]
        badges = badges_of(record, self.tr("{0} files"), self.tr("{0} file"))
        if self._width(option, marker + badges) + _LEAST_TITLE > first.width():
            badges = []
        first.setRight(self._draw_badges(painter, option, first, marker + badges))
        _draw_text(painter, first, _bold(option.font), text, index.data())
        times = index.data(Role.TIMES)
        _draw_text(painter, second, option.font, faint, f"{times}  ·  {record.id}")
        painter.restore()

    def _draw_card(
        self, painter: QPainter, option: QStyleOptionViewItem, card: QRect, *, selected: bool
    ) -> tuple[QColor, QColor]:
        """Draw what is behind the text, and return the text's two colours."""
        palette = option.palette
        active = bool(option.state & QStyle.StateFlag.State_Active)
        group = QPalette.ColorGroup.Active if active else QPalette.ColorGroup.Inactive
        border = secondary(palette)
        border.setAlphaF(0.35)
        background = palette.color(QPalette.ColorRole.Base)
        text, faint = palette.color(QPalette.ColorRole.Text), secondary(palette)
        if selected:
            background = palette.color(group, QPalette.ColorRole.Highlight)
            text = palette.color(group, QPalette.ColorRole.HighlightedText)
            border, faint = background, text
        elif option.state & QStyle.StateFlag.State_MouseOver:
            border = palette.color(QPalette.ColorRole.Highlight)
        painter.setPen(QPen(border, 1))
        painter.setBrush(background)
        painter.drawRoundedRect(card, _ROUND, _ROUND)
        if option.state & QStyle.StateFlag.State_HasFocus and not selected:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(palette.color(QPalette.ColorRole.Highlight), 2))
            painter.drawRoundedRect(card, _ROUND, _ROUND)
        return text, faint

    @staticmethod
    def _width(option: QStyleOptionViewItem, badges: list[Badge]) -> int:
        metrics = QFontMetrics(option.font)
        return sum(metrics.horizontalAdvance(each.text) + 3 * _BADGE_PADDING for each in badges)

    def _draw_badges(
        self, painter: QPainter, option: QStyleOptionViewItem, line: QRect, badges: list[Badge]
    ) -> int:
        """Draw the badges at the line's end, and return where they begin."""
        metrics = QFontMetrics(option.font)
        right = line.right()
        for badge in reversed(badges):
            width = metrics.horizontalAdvance(badge.text) + 2 * _BADGE_PADDING
            frame = QRect(right - width, line.top(), width, line.height())
            colours = colours_of(badge.tone, option.palette)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colours.background)
            painter.drawRoundedRect(frame, _ROUND, _ROUND)
            painter.setPen(colours.text)
            painter.setFont(option.font)
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, badge.text)
            right = frame.left() - _BADGE_PADDING
        return right

    @staticmethod
    def _lines(option: QStyleOptionViewItem, inner: QRect) -> tuple[QRect, QRect]:
        height = QFontMetrics(_bold(option.font)).height()
        first = QRect(inner.left(), inner.top(), inner.width(), height)
        top = first.bottom() + 1 + _LINES_APART
        return first, QRect(inner.left(), top, inner.width(), inner.bottom() + 1 - top)

    # --- Renaming ---

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: _Index) -> QWidget:
        """See ``QStyledItemDelegate``."""
        editor = QLineEdit(parent)
        editor.setMaxLength(MOST_TITLE)
        editor.setFont(_bold(option.font))
        editor.setTextMargins(0, 0, 0, 0)
        editor.setAutoFillBackground(True)  # nothing of the card shows through
        editor.setAccessibleName(self.tr("New title"))
        return editor

    def setEditorData(self, editor: QWidget, index: _Index) -> None:
        """See ``QStyledItemDelegate``."""
        super().setEditorData(editor, index)
        # Not that of the model: the field may have cut it.
        editor.setProperty(_AS_GIVEN, editor.property("text"))

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: _Index) -> None:
        """See ``QStyledItemDelegate``: a title that nobody has changed is left alone."""
        if editor.property("text") != editor.property(_AS_GIVEN):
            super().setModelData(editor, model, index)

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: _Index
    ) -> None:
        """See ``QStyledItemDelegate``: over the title, beside which nothing else is on its line."""
        inside = _GAP + _PADDING
        inner = option.rect.adjusted(inside, inside, -inside, -inside)
        title, _ = self._lines(option, inner)
        edge = _FIELD_EDGE
        editor.setGeometry(title.adjusted(-edge, -edge, edge, edge))


def _bold(font: QFont) -> QFont:
    bold = QFont(font)
    bold.setBold(True)
    return bold


def _draw_text(painter: QPainter, line: QRect, font: QFont, colour: QColor, text: str) -> None:
    painter.setFont(font)
    painter.setPen(colour)
    shown = text[:_MOST_DRAWN]
    shown = QFontMetrics(font).elidedText(shown, Qt.TextElideMode.ElideRight, line.width())
    painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
