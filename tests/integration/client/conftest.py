"""A scripted backend for each test, a log to search, and proof that nothing is left behind."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from loguru import logger

from opencode_sync import IpcClient, IpcClientOptions, IpcConfig, ReconnectPolicy
from tests.support.ipcserver import TOKEN, IpcServer, Peer
from tests.support.leaks import no_leaks


def client_threads() -> list[str]:
    """Return the names of the threads that clients have now."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("opencode-sync-") and "gateway" not in thread.name
    ]


def assert_no_token(error: BaseException, token: str = TOKEN) -> None:
    """The token is in no error of the chain: not in its texts, arguments or attributes."""
    seen: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        each = queue.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        queue += [each.__cause__, each.__context__]
        shown = [str(each), repr(each), repr(each.args), repr(vars(each))]
        assert token not in "".join(shown), f"{type(each).__name__} shows the token"
    assert token not in "".join(traceback.format_exception(error))


class Log(list[str]):
    """What was logged, at every level."""

    @property
    def text(self) -> str:
        return "".join(self)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After the test there are the threads and descriptors that there were before."""
    with no_leaks():
        yield


@pytest.fixture(autouse=True)
def log(nothing_left_behind: None) -> Iterator[Log]:
    """Everything the package logs, at TRACE, with values; the token must never be in it."""
    lines = Log()
    handler = logger.add(lines.append, level="TRACE", diagnose=True, format="{message} {extra}")
    logger.enable("opencode_sync")
    try:
        yield lines
    finally:
        logger.disable("opencode_sync")
        logger.remove(handler)
    assert TOKEN not in lines.text, "the log shows the token"


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides a gateway, settings and proxies of the user who runs the tests."""
    for name in list(os.environ):
        if name.startswith(("OPENCODE_SYNC_", "OPENCODE_IPC_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def stack(log: Log) -> Iterator[ExitStack]:
    """Things to close before the check for what is left behind."""
    with ExitStack() as exits:
        yield exits


@pytest.fixture
def serve(stack: ExitStack) -> Callable[..., IpcServer]:
    """Starts a server that runs a script for each connection, until the test's end."""

    def start(script: Callable[[Peer], None], **settings: int) -> IpcServer:
        return stack.enter_context(IpcServer(script, **settings))

    return start


@pytest.fixture
def make_client(stack: ExitStack) -> Callable[..., IpcClient]:
    """Makes a client with short time-outs that does not reconnect; it is closed at the end."""

    def make(
        config: IpcConfig, *, reconnect: ReconnectPolicy | None = None, **options: float | None
    ) -> IpcClient:
        short: dict[str, float | None] = {
            "connection_timeout": 5.0,
            "authentication_timeout": 5.0,
            "default_request_timeout": 5.0,
            "shutdown_timeout": 2.0,
        }
        client = IpcClient(
            config,
            options=IpcClientOptions(**(short | options)),  # type: ignore[arg-type]
            reconnect=reconnect,
        )
        stack.callback(client.close)
        return client

    return make
