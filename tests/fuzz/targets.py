"""All targets by name. A target takes bytes and raises what should never be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.fuzz import (
    client_targets,
    document_targets,
    gateway_targets,
    run_targets,
    store_targets,
    stream_targets,
)

__all__ = ["TARGETS", "opened"]

Target = Callable[[bytes], None]


def _plain(target: Target) -> Callable[[], Target]:
    return lambda: target


TARGETS: dict[str, Callable[[], Target]] = {
    "frames": _plain(client_targets.frames),
    "handshake": _plain(client_targets.handshake),
    "client_bytes": client_targets.ClientBytes,
    "client_messages": client_targets.ClientMessages,
    "gateway_before_token": gateway_targets.BeforeToken,
    "gateway_after_token": gateway_targets.AfterToken,
    "gateway_bytes": gateway_targets.Bytes,
    "opencode_json": _plain(document_targets.opencode_json),
    "opencode_events": _plain(document_targets.opencode_events),
    "opencode_chunks": _plain(document_targets.opencode_chunks),
    "opencode_stream": stream_targets.Stream,
    "opencode_runs": run_targets.Runs,
    "opencode_refusals": _plain(document_targets.opencode_refusals),
    "auth_file": _plain(document_targets.auth_file),
    "ipc_config": _plain(document_targets.ipc_config),
    "app_config": _plain(document_targets.app_config),
    "environment_options": _plain(document_targets.environment_options),
    "files": document_targets.Files,
    "session_store": store_targets.Store,
}


@contextmanager
def opened(name: str) -> Iterator[Target]:
    """Make a target, and free what it holds."""
    target = TARGETS[name]()
    try:
        yield target
    finally:
        close = getattr(target, "close", None)
        if close is not None:
            close()
