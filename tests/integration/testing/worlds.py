"""A client with something behind it that answers alike: a fake, or a gateway in one of two ways.

The model behind each knows four prompts:

===========  ==============================================================
``hold``     says "Half", then waits until it is aborted
``allow``    asks for permission to run ``rm -rf build``, and says the reply
``fail``     says "Half", and fails
else         says "You said: ..."
===========  ==============================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opencode_sync import IpcClient, IpcClientOptions, IpcConfig, ReconnectPolicy
from opencode_sync.gateway import Gateway
from opencode_sync.gateway.app_config import AppConfigStore
from opencode_sync.testing import AskPermission, Fail, FakeIpcClient, Gate, Pause
from opencode_sync.types import IpcEvent
from tests.integration.cli.talking import TalkingBackend

__all__ = ["WORLDS", "MakeWorld", "World"]

_WAIT: Final = 20.0
_POLICY: Final = ReconnectPolicy(initial_delay=0.0, maximum_delay=0.0, jitter=0.0)


@dataclass
class World:
    """A client that is not connected yet, and what a test can do behind its back."""

    client: IpcClient
    wait_held: Callable[[], None]
    """Waits until the prompt ``hold`` has said its half."""
    emit: Callable[[IpcEvent], object]
    """Lets an event happen, once somebody has subscribed."""
    lose: Callable[[], None]
    """Ends the connection; the next one works."""


MakeWorld = Callable[[Path, IpcClientOptions], AbstractContextManager[World]]


@contextmanager
def _fake(folder: Path, options: IpcClientOptions) -> Iterator[World]:
    fake = FakeIpcClient(options=options, reconnect=_POLICY)
    gate = Gate()
    fake.answer_prompt("Half", Pause(gate), to="hold", repeat=True)
    fake.answer_prompt(
        AskPermission("bash", ["rm -rf build"], ["Reply ALLOW"], ["Reply DENY"]),
        to="allow",
        repeat=True,
    )
    fake.answer_prompt(
        "Half", Fail("provider_auth", "it was provider_auth"), to="fail", repeat=True
    )

    def lose() -> None:
        fake.go_down()
        fake.come_back()

    try:
        yield World(
            fake,
            lambda: gate.wait_reached(timeout=_WAIT),
            lambda event: fake.emit(event.type, event=event),
            lose,
        )
    finally:
        fake.close()


def _backend(folder: Path) -> TalkingBackend:
    config = AppConfigStore(folder / "config.json")
    return TalkingBackend(folder / "sessions.db", config=config)


def _behind(backend: TalkingBackend, client: IpcClient, lose: Callable[[], None]) -> World:
    def wait_held() -> None:
        assert backend.holding.acquire(timeout=_WAIT)

    def emit(event: IpcEvent) -> None:
        assert backend.subscribed.acquire(timeout=_WAIT)
        backend.sinks[-1].event(event)

    return World(client, wait_held, emit, lose)


@contextmanager
def _in_memory(folder: Path, options: IpcClientOptions) -> Iterator[World]:
    backend = _backend(folder)
    gateway = Gateway(backend)
    links = []

    def connect(config: object, options: object) -> object:
        links.append(gateway.connect_in_memory())
        return links[-1]

    client = IpcClient(
        IpcConfig(65535, gateway.auth_token),
        options=options,
        reconnect=_POLICY,
        transport_factory=connect,  # type: ignore[arg-type]
    )
    try:
        yield _behind(backend, client, lambda: links[-1].abort())
    finally:
        client.close()
        gateway.stop()


@contextmanager
def _websocket(folder: Path, options: IpcClientOptions) -> Iterator[World]:
    backend = _backend(folder)
    with Gateway(backend) as gateway:
        from opencode_sync.transport.websocket import WebSocketTransport

        links = []

        def connect(config: IpcConfig, options: IpcClientOptions) -> WebSocketTransport:
            links.append(WebSocketTransport(config, options))
            return links[-1]

        client = IpcClient(
            IpcConfig(gateway.port, gateway.auth_token),
            options=options,
            reconnect=_POLICY,
            transport_factory=connect,
        )
        try:
            yield _behind(backend, client, lambda: links[-1].abort())
        finally:
            client.close()


WORLDS: Final[dict[str, MakeWorld]] = {
    "fake": _fake,
    "in-memory": _in_memory,
    "websocket": _websocket,
}
"""By their names."""
