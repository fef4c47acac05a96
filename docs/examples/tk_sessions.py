"""OpenCode's sessions in a Tk window that never waits. Start ``opencode-sync gateway`` first."""

from __future__ import annotations

import tkinter
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from opencode_sync import ConnectionState, IpcClient, StateChange
from opencode_sync.desktop.dispatch import TkDispatcher
from opencode_sync.types import OcSessionInfo


class Window(tkinter.Tk):
    def __init__(self, client: IpcClient, background: Executor) -> None:
        super().__init__()
        self.title("Sessions")
        self.backend, self.background = client, background
        self.titles = tkinter.Listbox(self, width=48)
        self.status = tkinter.Label(self, text="Connecting...", anchor="w", wraplength=380)
        self.refresh_button = tkinter.Button(self, text="Refresh", command=self.refresh)
        self.create_button = tkinter.Button(self, text="New session", command=self.create)
        for widget in (self.titles, self.status, self.refresh_button, self.create_button):
            widget.pack(fill="x")
        self.bind("<Control-q>", lambda event: self.destroy())
        self.ui = TkDispatcher(self)  # closes when the window does
        self.ui.watch_state(client, self.show_state)
        self.refresh()

    def refresh(self) -> None:
        connecting = self.background.submit(self.backend.connect)  # done at once where it is
        self.ui.deliver(connecting, lambda _: self.list_sessions(), self.show_error)

    def list_sessions(self) -> None:
        self.ui.deliver(self.backend.futures.list_sessions(), self.show_sessions, self.show_error)

    def create(self) -> None:
        creating = self.backend.futures.create_session("From a Tk window")
        self.ui.deliver(creating, lambda _: self.list_sessions(), self.show_error)

    def show_sessions(self, sessions: Sequence[OcSessionInfo]) -> None:
        self.titles.delete(0, "end")
        self.titles.insert("end", *(session.title for session in sessions))

    def show_state(self, change: StateChange) -> None:
        if change.new is ConnectionState.CONNECTED:
            self.status["text"] = "Connected"
            self.list_sessions()
        elif change.old is ConnectionState.CONNECTED:
            self.status["text"] = "The connection was lost; it is being restored"

    def show_error(self, error: BaseException) -> None:
        self.status["text"] = str(error)


if __name__ == "__main__":
    with ThreadPoolExecutor(1) as background:
        client = IpcClient()
        try:
            Window(client, background).mainloop()
        finally:
            client.close()  # also ends an attempt to connect, for which the block would wait
