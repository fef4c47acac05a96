"""OpenCode's sessions in a Tk window that never waits. Start ``opencode-sync gateway`` first."""

import tkinter
from concurrent.futures import Executor, ThreadPoolExecutor

from opencode_sync import IpcClient
from opencode_sync.desktop.dispatch import TkDispatcher


class Window(tkinter.Tk):
    def __init__(self, client: IpcClient, background: Executor) -> None:
        super().__init__(className="Sessions")
        self.bind("<Control-q>", lambda event: self.destroy())
        self.backend, self.background, self.ui = client, background, TkDispatcher(self)
        self.titles, self.status = tkinter.Listbox(self), tkinter.Label(self, wraplength=380)
        self.refresh_button = tkinter.Button(self, text="Refresh", command=self.refresh)
        self.create_button = tkinter.Button(self, text="New session", command=self.create)
        for widget in (self.titles, self.status, self.refresh_button, self.create_button):
            widget.pack(fill="x")
        self.say = lambda news: self.status.config(text=str(news))
        self.ui.watch_state(client, lambda change: self.say(change.cause or change.new.value))
        self.refresh()

    def refresh(self) -> None:
        self.ui.deliver(self.background.submit(self.backend.connect), self.read, self.say)

    def read(self, _: object) -> None:
        self.ui.deliver(self.backend.futures.list_sessions(), self.show, self.say)

    def show(self, sessions: list) -> None:
        self.titles.delete(0, "end")
        self.titles.insert("end", *(session.title for session in sessions))

    def create(self) -> None:
        self.ui.deliver(self.backend.futures.create_session("From a window"), self.read, self.say)


if __name__ == "__main__":
    Window(client := IpcClient(), ThreadPoolExecutor(1)).mainloop()
    client.close()  # or Python would wait for the end of an attempt to connect
