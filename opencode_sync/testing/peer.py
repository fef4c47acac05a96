"""The backend's ends of links in memory: a thread for each, which reads, and sends what is due."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError, Message

from opencode_sync.deadline import Deadline
from opencode_sync.logger import logger
from opencode_sync.testing.envelope import encode, error_answer
from opencode_sync.transport.base import Transport, TransportClosed, TransportTimeout
from opencode_sync.transport.memory import MemoryPeer, memory_link
from opencode_sync.wire import ipc_pb2

if TYPE_CHECKING:
    from opencode_sync.config import IpcConfig
    from opencode_sync.options import IpcClientOptions

__all__ = ["Links", "ServedLink"]

_LOOK_AGAIN: Final = 0.01
"""Seconds between two looks at a user's event. It cannot be waited for together with a message and
the link's end, and a thread that waited for it alone could not be ended while nobody sets it."""

_FIRST_MESSAGE: Final = 30.0
_JOINED: Final = 5.0

Take = Callable[["ServedLink", ipc_pb2.IpcClientMessage], None]
"""Deals with one request, on the link's thread."""


class ServedLink:
    """One link. ``later`` is for its own thread; any thread may call the rest."""

    def __init__(
        self, number: int, peer: MemoryPeer, take: Take, ended: Callable[[ServedLink], None]
    ) -> None:
        """Make a link that is not served yet.

        Args:
            number: Counts the links from 1.
            peer: The backend's end.
            take: Deals with a request.
            ended: Told when it is over.
        """
        self.number = number
        self.error: BaseException | None = None
        """What ended it that should not have; to be read when it is over."""
        self._peer = peer
        self._take = take
        self._ended = ended
        # The thread's own: when, or once what is set, and what to do then.
        self._due: list[tuple[Deadline, threading.Event | None, Callable[[], None]]] = []
        self.thread = threading.Thread(
            target=self._run, name=f"opencode-sync-testing-link-{number}", daemon=True
        )

    def send(self, request_id: int, message: Message) -> bool:
        """Send an answer, or a push; returns False when the link has ended."""
        return self._peer.send(encode(request_id, message))

    def send_raw(self, data: bytes) -> bool:
        """Send bytes as they are; returns False when the link has ended."""
        return self._peer.send(data)

    def close(self, code: int, reason: str) -> None:
        """End the link politely."""
        self._peer.close(code, reason)

    def drop(self) -> None:
        """End the link without a word."""
        self._peer.drop()

    def later(self, after: float | threading.Event, action: Callable[[], None]) -> None:
        """Have something done after so many seconds, or once an event is set."""
        if isinstance(after, threading.Event):
            self._due.append((Deadline(None), after, action))
        else:
            self._due.append((Deadline.after(after), None, action))

    # --- Its thread ---

    def _run(self) -> None:
        try:
            self._shake_hands()
            while True:
                self._do_what_is_due()
                try:
                    data = self._peer.receive(self._patience())
                except TransportTimeout:
                    continue
                self._read(data)
        except TransportClosed as end:
            if end.clean:
                self._peer.close(end.code or 1000)
        except TransportTimeout:
            logger.debug("a link in memory got no handshake")
        # Whoever waits for an answer has to get to know, and who verifies in the end. pytest.fail
        # is no Exception.
        except BaseException as error:  # noqa: BLE001
            self.error = error
            logger.exception("a link in memory is dropped for a reason it does not know")
        finally:
            self._peer.drop()
            self._ended(self)

    def _shake_hands(self) -> None:
        hello = ipc_pb2.IpcClientMessage.FromString(self._peer.receive(_FIRST_MESSAGE))
        self.send(hello.request_id, ipc_pb2.IpcAuthHandshakeResponse(success=True))

    def _read(self, data: bytes) -> None:
        try:
            message = ipc_pb2.IpcClientMessage.FromString(data)
        except DecodeError:
            self.send(0, error_answer("INVALID_MESSAGE", "Invalid protobuf message"))
            return
        self._take(self, message)

    def _do_what_is_due(self) -> None:
        due = [each for each in self._due if each[0].passed() or (each[1] and each[1].is_set())]
        for each in due:
            self._due.remove(each)
            each[2]()

    def _patience(self) -> float | None:
        soonest = Deadline(None)
        for moment, event, _ in self._due:
            soonest = soonest.earlier(Deadline.after(_LOOK_AGAIN) if event is not None else moment)
        return soonest.remaining()


class Links:
    """Makes links and serves them. Any thread may call any method."""

    def __init__(self, take: Take, on_end: Callable[[ServedLink], None] | None = None) -> None:
        """Make a factory of links.

        Args:
            take: Deals with a request, on its link's thread.
            on_end: Told of a link's end, on its thread.
        """
        self._take = take
        self._on_end = on_end
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # guards the three below
        self._links: dict[ServedLink, None] = {}
        self._errors: list[BaseException] = []
        self._refusal: str | None = None

    def transport(self, config: IpcConfig, options: IpcClientOptions) -> Transport:
        """Make a link, serve its one end and return the other; a ``transport_factory``."""
        with self._lock:
            transport, peer = memory_link(refuse=self._refusal)
            if self._refusal is None:
                link = ServedLink(next(self._numbers), peer, self._take, self._note_end)
                self._links[link] = None
                link.thread.start()
        return transport

    def refuse(self, reason: str | None) -> None:
        """Refuse new links from now on, with these words; None: take them again."""
        with self._lock:
            self._refusal = reason

    @property
    def refusing(self) -> bool:
        """Whether new links are refused."""
        return self._refusal is not None

    @property
    def errors(self) -> list[BaseException]:
        """What ended links that should not have."""
        with self._lock:
            return list(self._errors)

    def drop(self) -> None:
        """End all links without a word."""
        for link in self._all():
            link.drop()

    def join(self) -> None:
        """Wait until the threads of links that have ended are over."""
        for link in self._all():
            if link.thread is not threading.current_thread():
                link.thread.join(_JOINED)

    def close(self) -> None:
        """End all links and wait for their threads. More may be made afterwards."""
        links = self._all()
        for link in links:
            link.close(1001, "the test is over")
        self.join()

    def _all(self) -> list[ServedLink]:
        with self._lock:
            return list(self._links)

    def _note_end(self, link: ServedLink) -> None:
        try:
            if self._on_end is not None:
                self._on_end(link)
        finally:
            with self._lock:
                self._links.pop(link, None)
                if link.error is not None:
                    self._errors.append(link.error)
