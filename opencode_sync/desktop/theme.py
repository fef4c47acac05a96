"""Colours that go with the system's palette, light or dark."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from PySide6.QtGui import QColor, QPalette

__all__ = ["Colours", "Tone", "colours_of", "is_dark", "secondary"]


class Tone(Enum):
    """What a coloured surface says."""

    SUCCESS = auto()
    DANGER = auto()
    WARNING = auto()
    INFO = auto()
    NEUTRAL = auto()


@dataclass(frozen=True)
class Colours:
    """A surface and what is written on it; their contrast is at least 7 to 1."""

    background: QColor
    text: QColor


_LIGHT: Final = {
    Tone.SUCCESS: ("#d6f0dc", "#0f4a22"),
    Tone.DANGER: ("#fbdcdc", "#6d1414"),
    Tone.WARNING: ("#fcefc9", "#5c3a06"),
    Tone.INFO: ("#dce8fb", "#163672"),
    Tone.NEUTRAL: ("#e4e6ea", "#2b303a"),
}

_DARK: Final = {
    Tone.SUCCESS: ("#173d22", "#c2efce"),
    Tone.DANGER: ("#4c1b1e", "#fbd2d2"),
    Tone.WARNING: ("#463410", "#fbe5b0"),
    Tone.INFO: ("#1b2f52", "#cfe0fb"),
    Tone.NEUTRAL: ("#3a3f48", "#e6e9ee"),
}


def is_dark(palette: QPalette) -> bool:
    """Return whether light is written on dark."""
    background = palette.color(QPalette.ColorRole.Window).lightness()
    return background < palette.color(QPalette.ColorRole.WindowText).lightness()


def colours_of(tone: Tone, palette: QPalette) -> Colours:
    """Return the colours of a tone on this palette."""
    background, text = (_DARK if is_dark(palette) else _LIGHT)[tone]
    return Colours(QColor(background), QColor(text))


def secondary(palette: QPalette) -> QColor:
    """Return the colour of text that matters less, readable on the palette's base."""
    text = palette.color(QPalette.ColorRole.Text)
    base = palette.color(QPalette.ColorRole.Base)
    share = 0.68
    return QColor.fromRgbF(
        text.redF() * share + base.redF() * (1 - share),
        text.greenF() * share + base.greenF() * (1 - share),
        text.blueF() * share + base.blueF() * (1 - share),
    )
