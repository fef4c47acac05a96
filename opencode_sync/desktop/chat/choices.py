"""The two choosers together, and what their lists say of the backend."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSettings, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from opencode_sync.desktop.chat.choosers import Chooser, agent_choices, model_choices
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.errors import IpcUnsupportedOperationError
from opencode_sync.types import OcAgentInfo
from opencode_sync.wire.ext_operations_pb2 import IpcModelList

__all__ = ["Choices"]


class Choices(QWidget):
    """A model and an agent, from lists that are read in the background.

    Hidden while the backend is known to be one without models.
    """

    changed = Signal()
    """What is known of the backend."""

    def __init__(
        self, service: Service, settings: QSettings, parent: QWidget | None = None
    ) -> None:
        """Make choosers that have nothing to choose from; see ``fill``."""
        super().__init__(parent)
        self._service = service
        self._calls: list[Delivery] = []
        self.refused = False
        """Whether the backend is one without models."""
        self.empty = False
        """Whether it has none that can be used."""
        self.usable = False
        """Whether it is known to have some."""
        self.models = Chooser(
            "chat/model", self.tr("Model"), self.tr("Model: auto"), settings, self
        )
        self.agents = Chooser(
            "chat/agent", self.tr("Agent"), self.tr("Agent: auto"), settings, self
        )
        # Hidden, it leaves its room empty: what is beside it stays where and as wide as it is.
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.models, 2)
        row.addWidget(self.agents, 1)

    def fill(self) -> None:
        """Read the lists, again if they were read."""
        self.close_calls()
        self._calls = [
            self._service.list_models(self._got_models, self._failed),
            self._service.list_agents(self._got_agents, self._failed),
        ]

    def close_calls(self) -> None:
        """Hear of nothing that is on its way."""
        for call in self._calls:
            call.cancel()

    def _got_models(self, models: IpcModelList) -> None:
        choices = model_choices(models)
        self.models.set_choices(choices)
        self.refused, self.empty, self.usable = False, not choices, bool(choices)
        self._tell()

    def _got_agents(self, agents: Sequence[OcAgentInfo]) -> None:
        self.agents.set_choices(agent_choices(agents))

    def _failed(self, error: BaseException) -> None:
        # Without lists one can still talk, but not to a backend that has no model at all.
        if isinstance(error, IpcUnsupportedOperationError):
            self.refused, self.usable = True, False
            self._tell()

    def _tell(self) -> None:
        self.changed.emit()
        self.setHidden(self.refused)  # after others have taken the keyboard from where it was
