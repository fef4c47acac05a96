"""A column of any number of widgets, to which adding one costs about the same at any length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from PySide6.QtWidgets import QVBoxLayout, QWidget

__all__ = ["Column"]

_GROUP: Final = 40
"""Widgets that are laid out again when one of them comes or changes."""


class Column(QVBoxLayout):
    """Widgets one below the other, in groups.

    Each widget that is shown has Qt lay out all that its parent has. So they have several parents.
    """

    def __init__(self, spacing: int) -> None:
        """Make an empty one.

        Args:
            spacing: Between two widgets, in device-independent pixels.
        """
        super().__init__()
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)
        self._groups: list[tuple[QWidget, QVBoxLayout]] = []

    def append(self, widget: QWidget) -> None:
        """Put a widget below the others."""
        if not self._groups or self._groups[-1][1].count() >= _GROUP:
            holder = QWidget()
            group = QVBoxLayout(holder)
            group.setContentsMargins(0, 0, 0, 0)
            group.setSpacing(self.spacing())
            self._groups.append((holder, group))
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
