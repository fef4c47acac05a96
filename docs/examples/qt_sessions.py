"""OpenCode's sessions in a Qt window that never waits. Start ``opencode-sync gateway`` first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from opencode_sync import ConnectionState, IpcClient, StateChange
from opencode_sync.desktop.dispatch import QtDispatcher
from opencode_sync.types import OcSessionInfo


class Window(QWidget):
    def __init__(self, client: IpcClient, background: Executor) -> None:
        super().__init__()
        self.setWindowTitle("Sessions")
        self.client, self.background = client, background
        self.titles = QListWidget()
        self.status = QLabel("Connecting...", wordWrap=True)
        self.refresh_button = QPushButton("Refresh")
        self.refresh_button.clicked.connect(self.refresh)
        self.create_button = QPushButton("New session")
        self.create_button.clicked.connect(self.create_session)
        layout = QVBoxLayout(self)
        for widget in (self.titles, self.status, self.refresh_button, self.create_button):
            layout.addWidget(widget)
        self.ui = QtDispatcher(self)  # closes when the window is destroyed
        self.ui.watch_state(client, self.show_state)
        self.refresh()

    def refresh(self) -> None:
        connecting = self.background.submit(self.client.connect)  # done at once where it is
        self.ui.deliver(connecting, lambda _: self.list_sessions(), self.show_error)

    def list_sessions(self) -> None:
        self.ui.deliver(self.client.futures.list_sessions(), self.show_sessions, self.show_error)

    def create_session(self) -> None:
        creating = self.client.futures.create_session("From a Qt window")
        self.ui.deliver(creating, lambda _: self.list_sessions(), self.show_error)

    def show_sessions(self, sessions: Sequence[OcSessionInfo]) -> None:
        self.titles.clear()
        self.titles.addItems([session.title for session in sessions])

    def show_state(self, change: StateChange) -> None:
        if change.new is ConnectionState.CONNECTED:
            self.status.setText("Connected")
            self.list_sessions()
        elif change.old is ConnectionState.CONNECTED:
            self.status.setText("The connection was lost; it is being restored")

    def show_error(self, error: BaseException) -> None:
        self.status.setText(str(error))


if __name__ == "__main__":
    application = QApplication(sys.argv)
    with ThreadPoolExecutor(1) as background:
        client = IpcClient()
        window = Window(client, background)
        window.show()
        try:
            status = application.exec()
        finally:
            window.ui.close()
            client.close()  # also ends an attempt to connect, for which the block would wait
    sys.exit(status)
