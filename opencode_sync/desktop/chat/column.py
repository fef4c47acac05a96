"""A column of any number of widgets, to which adding one costs about the same at any length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from PySide6.QtCore import QRect
from PySide6.QtWidgets import QVBoxLayout, QWidget

__all__ = ["Column", "Stack"]

_GROUP: Final = 40
"""Widgets that are laid out again when one of them comes or changes."""


class Stack(QVBoxLayout):
    """Widgets one below the other, close together.

    For a page to which something is added again and again it spares Qt two things that would cost
    more with all that is there already:

    - It remembers its height at each width that it was asked for. Qt remembers one, asks for two
      by turns, and at each level of layouts within each other twice as often as at the one above.
    - It is as high as what is in it, if need be beyond the edge. Qt lays out from the inside to the
      outside: until the outermost has grown, all widgets would be squeezed a little, to get their
      old heights back a moment later.
    """

    def __init__(self, parent: QWidget | None = None, *, spacing: int) -> None:
        """Make an empty one.

        Args:
            parent: The widget that it lays out, if any yet.
            spacing: Between two widgets, in device-independent pixels.
        """
        super().__init__()
        self._heights: dict[int, int] = {}
        if parent is not None:
            parent.setLayout(self)
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)

    def heightForWidth(self, width: int) -> int:
        """See ``QLayout``."""
        height = self._heights.get(width)
        if height is None:
            height = self._heights[width] = super().heightForWidth(width)
        return height

    def setGeometry(self, place: QRect) -> None:
        """See ``QLayout``."""
        wide = self.hasHeightForWidth()
        needed = self.heightForWidth(place.width()) if wide else self.sizeHint().height()
        super().setGeometry(place.adjusted(0, 0, 0, max(0, needed - place.height())))

    def invalidate(self) -> None:
        """See ``QLayout``."""
        self._heights.clear()
        super().invalidate()


class Column(Stack):
    """Widgets one below the other, in groups.

    Each widget that is shown has Qt lay out all that its parent has. So they have several parents.
    """

    def __init__(self, spacing: int) -> None:
        """Make an empty one.

        Args:
            spacing: Between two widgets, in device-independent pixels.
        """
        super().__init__(spacing=spacing)
        self._groups: list[tuple[QWidget, Stack]] = []

    def append(self, widget: QWidget) -> None:
        """Put a widget below the others."""
        if not self._groups or self._groups[-1][1].count() >= _GROUP:
            holder = QWidget()
            self._groups.append((holder, Stack(holder, spacing=self.spacing())))
            self.addWidget(holder)
        self._groups[-1][1].addWidget(widget)

    def fill(self, widgets: Iterable[QWidget]) -> None:
        """Have these and no others, in this order. Others that it had before are deleted."""
        old, self._groups = self._groups, []
        for widget in widgets:
            self.append(widget)
        for holder, _ in old:
            self.removeWidget(holder)
            holder.hide()
            holder.deleteLater()
