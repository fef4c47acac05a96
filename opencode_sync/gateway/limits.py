"""How much a gateway takes on, and how long it waits."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from opencode_sync.errors import IpcArgumentError

__all__ = ["GatewayLimits"]


@dataclass(frozen=True, kw_only=True)
class GatewayLimits:
    """The limits of one gateway.

    Raises:
        IpcArgumentError: a value is not usable; names the field.
    """

    handshake_timeout: float = 5.0
    """Seconds a client has from its connection to its token."""

    max_peers: int = 64
    """Authenticated connections at a time; one more is refused."""

    max_unauthenticated: int = 16
    """Connections without a token yet; one more soon pushes out the oldest of them."""

    max_in_flight: int = 64
    """Requests of one connection that are worked on at a time, but for those of the next kind."""

    max_runs: int = 256
    """Requests of one connection that wait for a model at a time."""

    max_queued: int = 1024
    """Requests of one connection that wait for their turn; then nothing more is read from it."""

    max_subscriptions: int = 1024
    """Subscriptions of one connection at a time."""

    max_message_size: int = 64 * 1024 * 1024
    """Bytes of one message, in either direction."""

    send_timeout: float = 10.0
    """Seconds a client may take nothing of what is written to it, before it is dropped."""

    ping_interval: float = 20.0
    """Seconds a client over a socket may send nothing before it is pinged. Any byte counts."""

    ping_timeout: float = 20.0
    """Seconds it may then go on to send nothing, not even the pong, before it is dropped."""

    request_timeout: float = 30.0
    """Seconds the backend has for one request, unless that waits for a model."""

    prompt_timeout: float = 600.0
    """Seconds a run may take until it is aborted, if the client does not say; runs take minutes."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "int":
                if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                    self._refuse(field.name, value, "a whole number from 1 up")
            elif (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not math.isfinite(value)
                or value <= 0
            ):
                self._refuse(field.name, value, "a finite number of seconds above 0")

    @staticmethod
    def _refuse(field: str, value: object, wanted: str) -> None:
        raise IpcArgumentError(f"{field} must be {wanted}, but is {value!r}", field=field)
