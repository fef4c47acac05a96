"""The line at the bottom: the connection's state, the server, and how fast it answers."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QStatusBar, QWidget

from opencode_sync import ConnectionState, StateChange
from opencode_sync.desktop.plain import plain_label, plain_tooltip
from opencode_sync.desktop.service import Service
from opencode_sync.printable import printable

__all__ = ["StatusLine"]

_LONGEST: Final = 300
"""Characters of what a backend says of itself."""


class _Shortened(QLabel):
    """Plain text that ends in an ellipsis where there is no room for it, and has no least width."""

    def __init__(self) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    @property
    def seen(self) -> str:
        """As much of the text as there is room for."""
        room = self.contentsRect().width() - self.indent()
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room)

    def paintEvent(self, event: QPaintEvent) -> None:
        """See ``QWidget``."""
        painter = QPainter(self)
        self.style().drawItemText(
            painter,
            self.contentsRect().adjusted(self.indent(), 0, 0, 0),
            self.alignment(),
            self.palette(),
            self.isEnabled(),
            self.seen,
            self.foregroundRole(),
        )
        painter.end()


class StatusLine(QStatusBar):
    """Says how the connection is."""

    def __init__(self, service: Service, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self.state = plain_label()
        self.state.setAccessibleName(self.tr("Connection"))
        self.server = _Shortened()  # a long description gives way, for the window may be narrow
        self.server.setAccessibleName(self.tr("Server"))
        self.latency = plain_label()
        self.latency.setAccessibleName(self.tr("Time an answer takes"))
        self.latency.setToolTip(self.tr("How long the backend took for its newest answer"))
        self.setContentsMargins(8, 0, 8, 0)
        self.server.setIndent(12)
        self.addWidget(self.state)
        self.addWidget(self.server, 1)
        self.addPermanentWidget(self.latency)
        self._coming_back = False
        self._changing = False
        self._show_state(service.state)
        service.state_changed.connect(self._on_change)
        service.latency_changed.connect(self._show_latency)
        service.backend_identified.connect(self._show_server)

    def _on_change(self, change: StateChange) -> None:
        connected = change.new is ConnectionState.CONNECTED
        if connected or change.new in (ConnectionState.FAILED, ConnectionState.DISCONNECTED):
            self._coming_back = change.retry_in is not None
        self._show_state(change.new)
        if not connected:
            self.latency.clear()
        self._show_server("")

    def show_changing(self, changing: bool) -> None:
        """Say that another backend is being gone to, whatever becomes of the one before."""
        self._changing = changing
        self._show_state(self._service.state)
        self.server.setVisible(not changing)
        self.latency.setVisible(not changing)

    def _show_state(self, state: ConnectionState) -> None:
        if self._changing:
            self.state.setText(self.tr("Changing the backend..."))
            return
        if self._coming_back:
            # The same text through all attempts, which would flicker otherwise.
            self.state.setText(self.tr("Disconnected, trying again"))
            return
        self.state.setText(
            {
                ConnectionState.DISCONNECTED: self.tr("Disconnected"),
                ConnectionState.CONNECTING: self.tr("Connecting..."),
                ConnectionState.AUTHENTICATING: self.tr("Authenticating..."),
                ConnectionState.CONNECTED: self.tr("Connected"),
                ConnectionState.DISCONNECTING: self.tr("Disconnecting..."),
                ConnectionState.FAILED: self.tr("Disconnected"),
            }[state]
        )

    def _show_server(self, description: str) -> None:
        endpoint = self._service.endpoint
        text = f"{description} ({endpoint})" if description and endpoint else endpoint
        self.server.setText(printable(text, _LONGEST))
        self.server.setToolTip(plain_tooltip(text))

    def _show_latency(self, seconds: float) -> None:
        self.latency.setText(self.tr("{0} ms").format(f"{seconds * 1000:.1f}"))
