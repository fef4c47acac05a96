"""The seam between a connection and the wire: few methods, and who may call each.

A transport carries whole messages (bytes) both ways over one link and is used for one link only: a
new attempt makes a new transport. Two threads work on it at a time, one in each direction:

============  =========================================================================
the reader    ``connect``, then ``receive`` in a loop; it alone reads
the writer    whoever holds the connection's sender lock: ``send``, ``flush``, ``ping``, ``close``
any thread    ``abort``, and the read-only attributes
============  =========================================================================

Writing never blocks by surprise: ``send`` only puts messages into the transport's own output, and
``flush`` writes until all is out or its deadline comes, keeping what is left for the next one. So a
writer out of patience leaves no half message behind, and the reader may flush with a deadline that
has passed, which does not wait at all.

Nothing but the errors of this module leaves a transport, each chained to its cause.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from opencode_sync.deadline import Deadline

if TYPE_CHECKING:
    from opencode_sync.config import IpcConfig
    from opencode_sync.options import IpcClientOptions

__all__ = [
    "Transport",
    "TransportClosed",
    "TransportError",
    "TransportFactory",
    "TransportProtocolError",
    "TransportTimeout",
]


class TransportError(Exception):
    """The link cannot be used any more; throw the transport away."""


class TransportClosed(TransportError):
    """The link ended: the peer closed it, it broke, or ``abort`` was called.

    Attributes:
        code: The close code the peer gave, or None when the link ended without one.
        reason: The peer's reason text, "" if none.
        clean: Whether the peer said goodbye as the protocol asks.
    """

    def __init__(
        self, message: str, *, code: int | None = None, reason: str = "", clean: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.clean = clean


class TransportTimeout(TransportError):
    """The deadline of ``connect`` or ``receive`` came first."""


class TransportProtocolError(TransportError):
    """The peer broke the framing rules, or one of our limits.

    Attributes:
        code: The close code we owe the peer for it (1002, 1003, 1009, ...).
    """

    def __init__(self, message: str, *, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code


class Transport(ABC):
    """One link to a backend. See the module's text for who may call what."""

    endpoint: str
    """Where the link goes, for people: ``"ws://127.0.0.1:4096/"``. Never holds a secret."""

    last_received_at: float
    """``time.monotonic()`` of the newest byte that came in; of ``connect`` before the first."""

    on_output_due: Callable[[], None]
    """Set by the owner before ``connect``. Called on the reader when the transport owes the peer
    something (a pong): the owner should ``flush`` soon. Must not block."""

    @abstractmethod
    def connect(self, deadline: Deadline) -> None:
        """Open the link. Reader only, once.

        Raises:
            TransportTimeout: the deadline came first.
            TransportError: the link could not be opened; the text says why.
        """

    @abstractmethod
    def receive(self, deadline: Deadline | None = None) -> bytes:
        """Wait for the next whole message and return it. Reader only.

        Raises:
            TransportClosed: the link ended.
            TransportTimeout: the deadline came first; None waits as long as the link lives.
            TransportProtocolError: the peer broke the rules.
        """

    def receive_all(self, accept: Callable[[bytes], None]) -> NoReturn:
        """Hand every message from now on to ``accept``, one at a time, in order. Reader only.

        Args:
            accept: Must not block. Called on this thread, or where the peer's messages come from
                threads of this process, on theirs.

        Raises:
            TransportError: see ``receive``.
        """
        while True:
            accept(self.receive())

    @abstractmethod
    def send(self, messages: Sequence[bytes]) -> None:
        """Put whole messages into the output, in order, without writing. Writer only.

        After ``close`` or the link's end, this or the next ``flush`` raises ``TransportClosed``.
        """

    @abstractmethod
    def flush(self, deadline: Deadline) -> bool:
        """Write the output, what is owed to the peer first. Writer only.

        Returns:
            True when nothing is left; False when the deadline came first and the rest is kept.

        Raises:
            TransportError: the link has ended. If the reader saw it first, this is what it saw.
        """

    @property
    @abstractmethod
    def output_due(self) -> bool:
        """Whether ``flush`` has anything to do. Any thread."""

    @abstractmethod
    def ping(self) -> None:
        """Put a sign-of-life request into the output, if the link has such. Writer only."""

    @abstractmethod
    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        """Say goodbye: write the output and a close, without waiting for the peer's. Writer only.

        The reader sees the peer's own close as ``TransportClosed``. A second time only what is left
        of the first is written. Call ``abort`` afterwards in any case. Never raises.
        """

    @abstractmethod
    def abort(self) -> None:
        """End the link at once and wake whoever waits in it. Any thread; more than once is fine."""

    @abstractmethod
    def dispose(self) -> None:
        """Free what the link holds. Reader only, as its last act."""


TransportFactory = Callable[["IpcConfig", "IpcClientOptions"], Transport]
"""Makes the transport of one connection attempt. Does no I/O."""
