"""One authenticated connection, from looking up the backend to its end; never used again."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, NoReturn, Protocol

from opencode_sync.answers import Answers, StrayCounters
from opencode_sync.call import Call, FutureCall
from opencode_sync.config import IpcConfig, IpcConfigProvider
from opencode_sync.deadline import Deadline
from opencode_sync.errors import (
    IpcConfigError,
    IpcConnectionError,
    IpcError,
    IpcProtocolError,
    IpcServerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    IpcUsageError,
)
from opencode_sync.forks import this_process
from opencode_sync.handshake import authenticate
from opencode_sync.keeper import Keeper
from opencode_sync.liveness import Liveness
from opencode_sync.logger import logger
from opencode_sync.metered import MeteredSender
from opencode_sync.metrics import Metrics
from opencode_sync.operations import Request, cancel
from opencode_sync.options import IpcClientOptions
from opencode_sync.own_threads import OwnThreads
from opencode_sync.pending import PendingRequests
from opencode_sync.redact import Redactor
from opencode_sync.sender import Sender
from opencode_sync.transport.base import (
    Transport,
    TransportClosed,
    TransportError,
    TransportFactory,
    TransportProtocolError,
    TransportTimeout,
)

__all__ = ["Connection", "ConnectionEvents"]

_FAREWELL: Final = 1.0
"""Seconds at most that a close waits for the peer to say goodbye as well."""

_LAST_WORD: Final = 0.05
"""Seconds at most for a close that we owe a peer whose connection is over."""

_numbers = itertools.count(1)


class ConnectionEvents(Protocol):
    """Whom a connection tells what becomes of it; called on its own thread, in this order."""

    def authenticating(self, connection: Connection) -> None:
        """The link is open."""

    def opened(self, connection: Connection) -> None:
        """The backend accepted the token: calls may be submitted."""

    def ended(self, connection: Connection, cause: Exception, calls: list[Call[Any]]) -> None:
        """It is over. The calls were waiting on it; to end them is up to the listener now."""


class Connection:
    """One attempt to connect and, if it succeeds, the connection until its end.

    All of it, from asking the provider to freeing the link, happens on one thread of its own; the
    other methods may be called from any thread.
    """

    def __init__(
        self,
        *,
        provider: IpcConfigProvider,
        options: IpcClientOptions,
        transport_factory: TransportFactory,
        events: ConnectionEvents,
        keeper: Keeper,
        metrics: Metrics | None,
        strays: StrayCounters,
        own_threads: OwnThreads,
        rescue: Callable[[Call[Any], IpcServerError], bool],
        make_call: Callable[[Request[Any]], FutureCall[Any]],
    ) -> None:
        self._provider = provider
        self._options = options
        self._transport_factory = transport_factory
        self._events = events
        self._keeper = keeper
        self._metrics = metrics
        self._make_call = make_call
        self._made_in = this_process()
        self._may_cancel = True  # until the backend says that it does not know how
        self._pending = PendingRequests(
            options.max_pending_requests, self._remark, self._tell_given_up
        )
        self._answers = Answers(self._pending, strays=strays, rescue=rescue)
        # Set once by the connection's thread, in this order, before anybody else gets to see them.
        self._transport: Transport | None = None
        self._sender: Sender | None = None
        self._liveness: Liveness | None = None
        self._authenticated = False
        self._redact = Redactor("")
        self._lock = threading.Lock()  # guards _cause
        self._cause: Exception | None = None
        self._number = next(_numbers)
        self._thread = threading.Thread(
            target=own_threads.run,
            args=(self._run,),
            name=f"opencode-sync-reader-{self._number}",
            daemon=True,
        )

    # --- Any thread ---

    def start(self) -> None:
        """Begin to connect. When there is no thread to be had, end right here."""
        try:
            self._thread.start()
        except RuntimeError as error:
            cause = IpcConnectionError(f"could not start a thread to connect: {error}")
            cause.__cause__ = error
            self._events.ended(self, cause, [])

    def is_current_thread(self) -> bool:
        """Return whether the caller runs on this connection's own thread."""
        return self._thread is threading.current_thread()

    def submit(self, call: Call[Any]) -> bool:
        """Send a call; its answer will end it. Only after ``opened``. Never blocks.

        Returns:
            False when the connection has ended: the call is as it was before.

        Raises:
            IpcUsageError: too many requests are in flight.
        """
        if not self._pending.register(call):
            return False
        if call.claimed:  # ended while it was not in any table, so nobody has released it
            self._pending.release(call)
            return True
        sender = self._sender
        assert sender is not None  # it was opened
        message = call.request.encode(call.request_id)
        if call.may_wait_for_others:
            call.hurry = self._send_what_waits
            sender.submit_with_others(call, message)
        else:
            sender.submit(call, message)
        return True

    def _send_what_waits(self) -> None:
        if not self._made_in.left:  # a fork must not write to its parent's link
            assert self._sender is not None  # it was opened
            self._sender.drain()

    def doom(self, cause: Exception) -> None:
        """End the connection now, for this reason unless there was one before. Never blocks."""
        self._set_cause(cause)
        if self._transport is not None:
            try:
                self._transport.abort()
            except Exception:  # noqa: BLE001 - not the fault of whoever happens to end it
                logger.opt(exception=True).error("the transport failed to abort")

    def close(self, cause: Exception, deadline: Deadline) -> list[Call[Any]]:
        """Take no more calls and begin to end, politely if the peer lets us.

        Returns:
            The calls that were waiting; it is the caller's turn to end them. Then call ``join``.
        """
        self._set_cause(cause)
        if self._sender is not None:
            self._sender.drain()  # what was begun before the close goes out before it
        return self._pending.close()

    def join(self, deadline: Deadline) -> bool:
        """Say goodbye, then end the connection and wait for its thread.

        Returns:
            False when the deadline came first, or when this is that thread.
        """
        if self.is_current_thread():
            return False
        if self._sender is not None and self._authenticated:
            left = deadline.remaining()
            # At most half of what is left, so that there is time to see the thread end.
            patience = Deadline.after(_FAREWELL if left is None else min(_FAREWELL, left / 2))
            self._sender.say_goodbye(1000, "", patience)
            self._thread.join(patience.remaining())
        self.doom(IpcConnectionError("the connection was closed"))
        self._thread.join(deadline.remaining())
        return not self._thread.is_alive()

    def wait_ended(self, deadline: Deadline) -> bool:
        """Wait for the thread of a connection that is ending by itself; returns whether it has."""
        if self._thread.is_alive() and not self.is_current_thread():
            self._thread.join(deadline.remaining())
        return not self._thread.is_alive()

    def disown(self) -> None:
        """Free the descriptor in a forked child, where the link belongs to the parent."""
        if self._transport is not None:
            self._transport.dispose()

    # --- The connection's thread ---

    def _run(self) -> None:
        cause: Exception
        try:
            self._open()
            self._events.opened(self)
            self._read()
        except (TransportError, IpcError) as error:
            cause = error
        except BaseException as error:  # noqa: BLE001 - a bug here must not leave callers waiting
            logger.opt(exception=True).error("the connection's thread failed; this is a bug")
            cause = IpcConnectionError(f"the connection's thread failed: {error!r}")
            cause.__cause__ = error
        try:
            self._clean_up(cause)
        except Exception:  # noqa: BLE001 - a transport that cannot even be freed: calls still end
            logger.opt(exception=True).error("the transport failed while it was freed")
        self._events.ended(self, self._explain(cause), self._pending.close())

    def _open(self) -> None:
        options = self._options
        deadline = Deadline.after(options.connection_timeout)
        config = self._find_backend()
        transport = self._transport_factory(config, options)
        metrics = self._metrics
        new_sender = Sender if metrics is None else partial(MeteredSender, metrics)
        sender = new_sender(
            transport,
            name=f"opencode-sync-writer-{self._number}",
            keeper=self._keeper,
            on_broken=self.doom,
        )
        transport.on_output_due = sender.drain
        self._redact = self._answers.redact = Redactor(config.auth_token)
        self._sender, self._transport = sender, transport
        if self._cause is not None:  # doomed before there was a link to abort
            raise TransportClosed("the connection attempt was given up")
        try:
            transport.connect(deadline)
        except TransportTimeout as error:
            raise IpcTimeoutError(
                f"{error} (after {options.connection_timeout:g} s, option connection_timeout)",
                timeout=options.connection_timeout,
                operation="connect",
            ) from error
        self._events.authenticating(self)
        authenticate(transport, config, options.authentication_timeout, self._redact)
        self._authenticated = True
        if options.ping_interval is not None:
            self._liveness = Liveness(
                keeper=self._keeper,
                transport=transport,
                sender=sender,
                interval=options.ping_interval,
                timeout=options.ping_timeout,
                on_dead=self.doom,
                on_silence=self._answers.forget,
            )
            self._liveness.start()

    def _find_backend(self) -> IpcConfig:
        try:
            config = self._provider.get_config()
        except IpcError:
            raise
        except Exception as error:
            raise IpcConfigError(
                f"the config provider {type(self._provider).__name__} raised "
                f"{type(error).__name__}; it should return an IpcConfig or raise IpcConfigError"
            ) from error
        if not isinstance(config, IpcConfig):
            raise IpcConfigError(
                f"the config provider {type(self._provider).__name__} returned a "
                f"{type(config).__name__}; it should return an IpcConfig"
            )
        return config

    def _read(self) -> NoReturn:
        assert self._transport is not None  # opened
        accept = self._answers.accept
        if self._metrics is None:  # asked once, and not for each message
            self._transport.receive_all(accept)
        record = self._metrics.record_message_received

        def count_and_accept(message: bytes) -> None:
            record(len(message))
            accept(message)

        self._transport.receive_all(count_and_accept)

    def _clean_up(self, error: Exception) -> None:
        if self._liveness is not None:
            self._liveness.stop()
        if self._sender is None or self._transport is None:
            return
        patience = Deadline.after(_LAST_WORD)
        if isinstance(error, TransportProtocolError):
            self._sender.say_goodbye(error.code, "", patience)
        elif isinstance(error, TransportClosed) and error.clean:
            self._sender.say_goodbye(1000 if error.code is None else error.code, "", patience)
        self._transport.abort()
        if self._sender.retire(Deadline.after(_FAREWELL)):
            self._transport.dispose()

    def _explain(self, error: Exception) -> Exception:
        """Return what to tell callers: the first reason given, or what the reader ran into."""
        with self._lock:
            known = self._cause
        said_goodbye = isinstance(error, TransportClosed) and error.clean
        if known is None or (isinstance(known, TransportError) and said_goodbye):
            known = error  # a peer's goodbye says more than the write that failed because of it
        if isinstance(known, TransportError):
            known = self._redact.clean(known)
        return _as_ipc_error(known, self.endpoint, self._answers.remark())

    @property
    def endpoint(self) -> str | None:
        """Where the connection goes; None until that is known."""
        return None if self._transport is None else self._transport.endpoint

    # --- Inner steps ---

    def _set_cause(self, cause: Exception) -> None:
        with self._lock:
            if self._cause is None:
                self._cause = cause

    def _tell_given_up(self, call: Call[Any]) -> None:
        """Have the backend end a request that nobody waits for any more. Never blocks.

        Here and not in the client: the id means that request on this connection only.
        """
        if not self._may_cancel or self._made_in.left:
            return  # a fork has no say in what its parent asked for
        telling = self._make_call(cancel(call.request_id))
        telling.when_done(self._learn_to_cancel)
        call.cancelling = telling
        try:
            if self.submit(telling):
                return
        except IpcUsageError as error:
            logger.bind(request_id=call.request_id).warning("could not cancel: {}", error)
        telling.cancel()  # a connection that has ended has ended the request as well

    def _learn_to_cancel(self, telling: Future[Any]) -> None:
        unsupported = not telling.cancelled() and isinstance(
            telling.exception(), IpcUnsupportedOperationError
        )
        if unsupported:
            self._may_cancel = False

    def _remark(self) -> str:
        return self._answers.remark()


def _as_ipc_error(error: Exception, endpoint: str | None, remark: str) -> Exception:
    if not isinstance(error, TransportError):
        return error
    translated: IpcError
    if isinstance(error, TransportProtocolError):
        where = endpoint or "the backend"
        translated = IpcProtocolError(
            f"{where} broke the protocol: {error}{remark}; is another program using this port, or "
            "an IPC backend of another version?"
        )
    elif isinstance(error, TransportClosed):
        translated = IpcConnectionError(
            f"{error}{remark}", endpoint=endpoint, close_code=error.code, close_reason=error.reason
        )
    else:
        translated = IpcConnectionError(f"{error}{remark}", endpoint=endpoint)
    translated.__cause__ = error
    return translated
