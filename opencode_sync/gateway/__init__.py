"""The gateway: this package's own backend of the IPC protocol.

It serves clients on the loopback address or in memory, and keeps their sessions in a store of its
own or in a real OpenCode server::

    from opencode_sync.gateway import EmbeddedBackend, Gateway

    with Gateway(EmbeddedBackend()) as gateway:
        print(gateway.endpoint)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from opencode_sync.extras import needs_gateway
from opencode_sync.gateway.backends.base import Backend, BackendError
from opencode_sync.gateway.gateway import Gateway, GatewayError
from opencode_sync.gateway.limits import GatewayLimits

if TYPE_CHECKING:
    from opencode_sync.gateway.backends.embedded import EmbeddedBackend
    from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend

__all__ = [
    "Backend",
    "BackendError",
    "EmbeddedBackend",
    "Gateway",
    "GatewayError",
    "GatewayLimits",
    "OpenCodeBackend",
]

# Each brings packages along that the other does without.
_HEAVY = {
    "EmbeddedBackend": "opencode_sync.gateway.backends.embedded",
    "OpenCodeBackend": "opencode_sync.gateway.backends.opencode.backend",
}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        with needs_gateway(name):
            return getattr(import_module(_HEAVY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
