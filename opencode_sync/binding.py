"""Keeping the backend bound to an OpenCode server, so that callers need not know of it.

In the reference backend the binding belongs to the connection: after each connect somebody has to
discover or spawn a server before any session operation works. So when the backend says that it has
no server, the client binds one the way its user last did, and asks again.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from opencode_sync.call import Call, FutureCall
from opencode_sync.errors import IpcConnectionError, IpcError, IpcServerError
from opencode_sync.logger import logger
from opencode_sync.operations import Request, discover_server
from opencode_sync.wire import ipc_pb2

__all__ = ["ServerBinder", "ServerBinding"]

_NO_SERVER_TEXTS: Final = ("no opencode server connected", "no server connected")


class ServerBinding:
    """How this client's user wants the backend bound; outlives connections. Thread-safe."""

    def __init__(self) -> None:
        # Replaced as a whole, never changed. None: the user stopped the server, so leave it so.
        self._request: Request[Any] | None = discover_server()

    @property
    def request(self) -> Request[Any] | None:
        """What to send to bind again, or None when nothing should be bound."""
        return self._request

    def watch(self, call: Call[Any]) -> None:
        """Learn from a call of the user's that binds or unbinds."""
        call.on_success = self._learn

    def _learn(self, call: Call[Any], result: Any) -> None:
        if call.operation == "stop_server":
            if result:
                self._request = None
        elif result is not None and not (call.operation == "discover_server" and result.owned):
            # To find what the backend itself has started is no wish for somebody else's, should
            # that one end.
            self._request = call.request


class ServerBinder:
    """Holds calls that need a server while one is bound, then asks again.

    Works on the reader and keeper threads and never blocks.
    """

    def __init__(
        self,
        binding: ServerBinding,
        *,
        submit: Callable[[Call[Any]], None],
        make_call: Callable[[Request[Any]], FutureCall[Any]],
    ) -> None:
        """Make a client's binder.

        Args:
            binding: How to bind.
            submit: Sends a call on the client's connection of the moment, without blocking.
            make_call: Makes a call of our own, with a deadline.
        """
        self._binding = binding
        self._submit = submit
        self._make_call = make_call
        self._lock = threading.Lock()  # guards _held and _busy
        self._held: list[tuple[Call[Any], IpcServerError]] = []
        self._busy = False

    def rescue(self, call: Call[Any], error: IpcServerError) -> bool:
        """Take charge of a call that was refused for want of a server.

        Returns:
            False when that was not the reason, or nothing more can be done about it.
        """
        request = self._binding.request
        if not call.request.operation.needs_server or not _lacks_server(error) or request is None:
            return False
        call.bindings += 1
        if call.bindings > 2:
            return False
        if call.bindings == 2:
            # Bound, and still told so. The reference backend queues what it has announced, so the
            # very next request may come too early; the one after that does not.
            self._submit(call)
            return True
        with self._lock:
            self._held.append((call, error))
            if self._busy:
                return True
            self._busy = True
        logger.bind(operation=request.operation.name).info("binding the backend to a server")
        attempt = self._make_call(request)
        attempt.when_done(self._bound)
        self._submit(attempt)
        return True

    def _bound(self, attempt: Future[Any]) -> None:
        with self._lock:
            held, self._held = self._held, []
            self._busy = False
        failure = attempt.exception()
        bound = failure is None and attempt.result() is not None
        for call, error in held:
            if bound:
                self._submit(call)
            elif call.claim():
                call.fail(_why_not_bound(error, failure))


def _why_not_bound(refusal: IpcServerError, failure: BaseException | None) -> IpcError:
    """Return the error of a call that was held for nothing; each caller gets its own."""
    if not isinstance(failure, IpcConnectionError):
        if isinstance(failure, IpcError):
            refusal.args = (f"{refusal.message}; binding one did not work: {failure.message}",)
        refusal.__cause__ = failure
        return refusal
    lost = copy.copy(failure)
    lost.request_sent = False  # the backend has said that it did not act on this one
    lost.__cause__ = failure
    return lost


def _lacks_server(error: IpcServerError) -> bool:
    if error.code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER:
        return True
    # The reference backend has no code of its own for it.
    return error.code == ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR and any(
        text in error.message.lower() for text in _NO_SERVER_TEXTS
    )
