"""What one peer's session needs of the way its messages travel, and the way inside one process."""

from __future__ import annotations

from abc import ABC, abstractmethod

from opencode_sync.deadline import Deadline
from opencode_sync.transport.base import TransportProtocolError
from opencode_sync.transport.memory import MemoryPeer

__all__ = [
    "GOING_AWAY",
    "INTERNAL_ERROR",
    "POLICY_VIOLATION",
    "TOO_BIG",
    "TRY_AGAIN_LATER",
    "Link",
    "MemoryLink",
]

# The WebSocket close codes a gateway gives.
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
TOO_BIG = 1009
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013


class Link(ABC):
    """One peer's whole messages, both ways.

    The session's own thread (the reader) calls ``open``, ``receive`` and ``dispose``; any thread
    may call the rest. Only ``TransportError`` and its kinds leave a link.
    """

    @abstractmethod
    def open(self, deadline: Deadline) -> None:
        """Do what comes before the first message. Reader only, once."""

    @abstractmethod
    def trust(self) -> None:
        """Learn that the peer is authenticated, so that full-sized messages are welcome."""

    @abstractmethod
    def receive(self, deadline: Deadline) -> bytes | None:
        """Wait for the peer's next message; None stands for one in text. Reader only."""

    @abstractmethod
    def wait_for_room(self) -> None:
        """Wait until the peer has taken most of what it was sent, or the link has ended."""

    @abstractmethod
    def send(self, message: bytes) -> bool:
        """Send a message; returns False when the link has ended, which it does if that stalls."""

    @abstractmethod
    def offer(self, message: bytes, *, urgent: bool = False) -> bool:
        """Send a message without waiting for the peer, if there is room for it.

        Args:
            message: The whole message.
            urgent: Find room for it in any case. For what is small, seldom, and must not be lost.

        Returns:
            Whether it was taken: not when the peer has left too much unread, or the link has ended.
        """

    def reply(self, message: bytes) -> bool:
        """Send an answer as ``offer`` does, perhaps together with those that follow. Reader only.

        It leaves when the reader calls ``receive`` and there is no other message yet, or ``push``.
        """
        return self.offer(message)

    def push(self) -> None:
        """Send what ``reply`` still has, without waiting for the peer. Reader only."""
        return

    @abstractmethod
    def nudge(self) -> bool:
        """Show the peer a sign of life, without waiting; returns False when the link has ended."""

    @abstractmethod
    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        """Say goodbye after what was sent before. The reader sees the end. Never raises."""

    @abstractmethod
    def abort(self) -> None:
        """End the link at once and wake whoever waits in it. More than once is fine."""

    @abstractmethod
    def dispose(self) -> None:
        """End the link and free what it holds. Reader only, as its last act."""


_OFFERED_SIZE = 4 << 20


class MemoryLink(Link):
    """The backend's end of ``memory_link``.

    A client that does not read costs only its own process's memory, and of answers only as much as
    it asked for. What it did not ask for, message by message, has a bound.

    Args:
        peer: The end to serve.
        max_message_size: Bytes a message from the client may have.
    """

    def __init__(self, peer: MemoryPeer, *, max_message_size: int) -> None:
        self._peer = peer
        self._max_message_size = max_message_size

    def open(self, deadline: Deadline) -> None:
        """Nothing to do: a link in memory is open from the start."""

    def trust(self) -> None:
        """Nothing to do: the messages are in memory already."""

    def receive(self, deadline: Deadline) -> bytes | None:
        message = self._peer.receive(deadline.remaining())
        if len(message) > self._max_message_size:
            reason = f"{len(message)} bytes are more than {self._max_message_size}"
            self._peer.close(TOO_BIG, reason)
            # Not what came after it: that would be served behind the goodbye.
            raise TransportProtocolError(f"a message is too large: {reason}", code=TOO_BIG)
        return message

    def wait_for_room(self) -> None:
        """Nothing to do: what a client does not read is in its own process's memory."""

    def send(self, message: bytes) -> bool:
        return self._peer.send(message)

    def offer(self, message: bytes, *, urgent: bool = False) -> bool:
        unread = self._peer.unread
        if unread and unread + len(message) > _OFFERED_SIZE and not urgent:
            return False
        return self._peer.send(message)

    def nudge(self) -> bool:
        # Nothing to show: a link in memory lives as long as the process.
        return not self._peer.ended

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        self._peer.close(code, reason)

    def abort(self) -> None:
        self._peer.drop()

    def dispose(self) -> None:
        self._peer.drop()
