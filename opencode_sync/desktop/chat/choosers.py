"""Which model and which agent: lists that are filled when they come, and a choice that stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QSettings,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

from opencode_sync.desktop.chat.words import hint, line
from opencode_sync.types import OcAgentInfo
from opencode_sync.wire.ext_operations_pb2 import IpcModelList

__all__ = ["Choice", "Chooser", "agent_choices", "model_choices"]

_Index = QModelIndex | QPersistentModelIndex
_NONE: Final = QModelIndex()
_CHARACTERS: Final = 18

_MARGIN: Final = 8
"""Of the field for typing, left and right together, in device-independent pixels."""


class Choice(NamedTuple):
    """Something to choose.

    Attributes:
        value: What is sent; None leaves it to OpenCode.
        label: For people.
        about: More of that; may be "".
    """

    value: str | None
    label: str
    about: str = ""


class _Choices(QAbstractListModel):
    """Rows as they are, so that thousands cost no more than one."""

    def __init__(self, rows: Sequence[Choice]) -> None:
        super().__init__()
        self.rows = list(rows)

    def reset(self, rows: Sequence[Choice]) -> None:
        """Have other rows."""
        self.beginResetModel()
        self.rows = list(rows)
        self.endResetModel()

    def rowCount(self, parent: _Index = _NONE) -> int:
        """See ``QAbstractListModel``."""
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """See ``QAbstractListModel``."""
        row = self.rows[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return row.label
        if role == Qt.ItemDataRole.ToolTipRole:
            return hint(row.about or row.label)
        return None


class Chooser(QComboBox):
    """A list to choose from, found by typing any part of a name; the first row means "any".

    What was chosen is remembered from window to window, also while the list is not there yet. A
    list that comes while the user looks at the old one or types waits until that is over.
    """

    chosen = Signal()
    """The user has chosen."""

    def __init__(
        self,
        key: str,
        name: str,
        automatic: str,
        settings: QSettings,
        parent: QWidget | None = None,
    ) -> None:
        """Make one that has nothing to choose from.

        Args:
            key: Under which the choice is remembered.
            name: For screen readers.
            automatic: The label of the first row.
            settings: Where the choice is remembered.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self._key = key
        self._settings = settings
        self._automatic = automatic
        kept = settings.value(key)
        self._value: str | None = kept if isinstance(kept, str) and kept else None
        self._choices: list[Choice] = []
        self._waiting: list[Choice] | None = None  # the newest, for when the user has finished
        self._soon = QTimer(self)  # after what Qt tells of a choice from the rows there are
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._take_waiting)
        self._rows = _Choices([])
        self.setModel(self._rows)
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setAccessibleName(name)
        self.setToolTip(name)
        # Looking at each of thousands of labels for the widest takes its time.
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(_CHARACTERS)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        completer = QCompleter(self._rows, self)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setCompleter(completer)
        self.activated.connect(self._activated)
        edit = self.lineEdit()
        assert edit is not None
        edit.editingFinished.connect(self._edited)
        self._show_rows()
        self.setMinimumWidth(self._least_width())

    def _least_width(self) -> int:
        """Return the width at which the first row's label can be read."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        metrics = self.fontMetrics()
        text = QSize(metrics.horizontalAdvance(self._automatic) + _MARGIN, metrics.height())
        kind = QStyle.ContentsType.CT_ComboBox
        return self.style().sizeFromContents(kind, option, text, self).width()

    @property
    def value(self) -> str | None:
        """What is chosen; None for the first row."""
        return self._value

    def set_choices(self, choices: Sequence[Choice]) -> None:
        """Offer these, as soon as the user is not choosing from others.

        A choice that is not among them is forgotten.
        """
        self._waiting = list(choices)
        self._take_waiting()

    def _take_waiting(self) -> None:
        if self._waiting is None or self._in_use:
            return
        choices, self._waiting = self._waiting, None
        self._choices = choices
        if choices and self._value not in {each.value for each in choices}:
            self._value = None
        self._show_rows()

    @property
    def _in_use(self) -> bool:
        """Whether a list is open, or something is typed that is no choice yet."""
        completer = self.completer()
        popup = None if completer is None else completer.popup()
        if self.view().isVisible() or (popup is not None and popup.isVisible()):
            return True
        return self.currentText() != self._rows.rows[self._row].label

    @property
    def _row(self) -> int:
        return [row.value for row in self._rows.rows].index(self._value)

    def hidePopup(self) -> None:
        """See ``QComboBox``."""
        super().hidePopup()
        self._soon.start(0)

    def _show_rows(self) -> None:
        rows = [Choice(None, self._automatic), *self._choices]
        if self._value is not None and not self._choices:
            rows.append(Choice(self._value, line(self._value)))
        self._rows.reset(rows)
        self._show_value()

    def _edited(self) -> None:
        completer = self.completer()
        popup = None if completer is None else completer.popup()
        if popup is None or not popup.isVisible():  # or the choice is only just being made
            self._show_value()
            self._soon.start(0)

    def _show_value(self) -> None:
        """Have the field say what is chosen, whatever was typed into it."""
        row = self._row
        self.setCurrentIndex(row)
        self.setEditText(self._rows.rows[row].label)
        edit = self.lineEdit()
        assert edit is not None
        edit.setCursorPosition(0)

    def _activated(self, row: int) -> None:
        self._value = self._rows.rows[row].value
        self._settings.setValue(self._key, self._value or "")
        self.chosen.emit()
        self._soon.start(0)


def model_choices(models: IpcModelList) -> list[Choice]:
    """Return the models that can be used, by provider and name."""
    choices = [
        Choice(
            f"{model.provider_id}/{model.id}",
            line(f"{model.name or model.id} ({model.provider_id})"),
            f"{model.provider_id}/{model.id}",
        )
        for model in models.models
        if model.provider_id.strip() and model.id.strip()
    ]
    return sorted(
        _once(choices), key=lambda each: (each.about.partition("/")[0], each.label.lower())
    )


def agent_choices(agents: Sequence[OcAgentInfo]) -> list[Choice]:
    """Return the agents that a user may choose, in OpenCode's order."""
    return _once(
        Choice(agent.name, line(agent.name), agent.description)
        for agent in agents
        if not agent.hidden and agent.mode != "subagent" and agent.name.strip()
    )


def _once(choices: Iterable[Choice]) -> list[Choice]:
    """Return the choices without those that would send the same as one before."""
    found: dict[str | None, Choice] = {}
    for each in choices:
        found.setdefault(each.value, each)
    return list(found.values())
