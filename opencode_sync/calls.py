"""How a client makes its calls: those that wait, those that do not, and its own."""

from __future__ import annotations

from threading import get_ident
from time import monotonic
from typing import Any, Final, TypeVar

from opencode_sync.binding import ServerBinding
from opencode_sync.call import BlockingCall, Call, FutureCall
from opencode_sync.cancel import CancelToken
from opencode_sync.deadline import Deadline
from opencode_sync.deadlines import DeadlineSweep
from opencode_sync.errors import IpcArgumentError, IpcUsageError
from opencode_sync.forks import Process, this_process
from opencode_sync.metered import metered_calls
from opencode_sync.metrics import Metrics
from opencode_sync.notifier import Notifier
from opencode_sync.operations import Request
from opencode_sync.options import IpcClientOptions
from opencode_sync.own_threads import OwnThreads
from opencode_sync.supervisor import Supervisor
from opencode_sync.uninterrupted import uninterrupted

__all__ = ["Calls", "checked_timeout"]

R = TypeVar("R")

_LONGEST: Final = 30 * 24 * 3600.0
_SETTLED: Final = 5.0  # for a step that does not wait


class Calls:
    """Makes calls and hands them to the supervisor. Any thread may call any method."""

    def __init__(
        self,
        *,
        options: IpcClientOptions,
        directory: str | None,
        metrics: Metrics | None,
        notifier: Notifier,
        own_threads: OwnThreads,
        sweep: DeadlineSweep,
        supervisor: Supervisor,
        binding: ServerBinding,
    ) -> None:
        """Make a client's calls possible.

        Args:
            options: Time-outs.
            directory: The project folder of requests that name none.
            metrics: Told of each call.
            notifier: Runs callbacks.
            own_threads: Who must not wait for a call.
            sweep: Minds the deadlines of calls that nobody waits for.
            supervisor: Sends them.
            binding: Learns from calls that bind the backend to a server.
        """
        self.options = options
        self._directory = directory
        self._new_blocking_call: type[BlockingCall[Any]] = BlockingCall
        self._new_future_call: type[FutureCall[Any]] = FutureCall
        if metrics is not None:
            self._new_blocking_call, self._new_future_call = metered_calls(metrics)
        self._notifier = notifier
        self._own_threads = own_threads.ids
        self._sweep = sweep
        self._supervisor = supervisor
        self._binding = binding
        self._connected_in = Process()  # until then none that anybody could leave

    def run(self, request: Request[R], timeout: float | None, cancel: CancelToken | None) -> R:
        """Make a blocking call."""
        self.check_caller(request.operation.name)
        seconds = self._seconds(request, timeout)
        call: BlockingCall[R] = self._new_blocking_call(
            self._completed(request, seconds),
            timeout=seconds,
            deadline=Deadline(monotonic() + seconds),
        )
        self._introduce(call)
        try:
            if cancel is None:
                self._supervisor.submit(call)
                return call.wait()
            if cancel.cancelled:
                call.cancel_by_token()
            else:
                self._supervisor.submit(call)
            return call.wait_or_cancel(cancel)
        except Exception:
            call.drop()
            raise
        except BaseException:  # an interrupt leaves nothing behind, nor does a second one
            uninterrupted(call.drop, _SETTLED)
            raise

    def begin(
        self, request: Request[R], timeout: float | None, cancel: CancelToken | None
    ) -> FutureCall[R]:
        """Make a call for somebody who does not wait; never blocks."""
        self.check_process()
        call = self._make(request, self._seconds(request, timeout))
        call.may_wait_for_others = request.sink is None
        self._watch(call, cancel)
        return call

    def open(
        self, request: Request[R], timeout: float | None, cancel: CancelToken | None
    ) -> FutureCall[R]:
        """Make a call that has no end in time; never blocks.

        What its time-out says is up to the caller, who has to end the call by it.
        """
        self.check_process()
        call = self._make(request, self._seconds(request, timeout), endless=True)
        self._watch(call, cancel)
        return call

    def make_own(self, request: Request[Any]) -> FutureCall[Any]:
        """Make a call of the client's own, which its user does not know of; it is not sent."""
        call = self._make(request, self._seconds(request, None))
        self._sweep.watch(call)
        return call

    def begin_own(self, request: Request[Any]) -> FutureCall[Any]:
        """Make a call of the client's own and send it; never blocks."""
        call = self.make_own(request)
        self._supervisor.submit(call)
        return call

    def _make(self, request: Request[R], seconds: float, *, endless: bool = False) -> FutureCall[R]:
        call: FutureCall[R] = self._new_future_call(
            self._completed(request, seconds),
            timeout=seconds,
            deadline=Deadline.after(None if endless else seconds),
            notifier=self._notifier,
        )
        self._introduce(call)
        return call

    def _completed(self, request: Request[R], seconds: float) -> Request[R]:
        """Return the request with what it has to say of this client and this call."""
        if request.timed is not None:
            request = request.within(seconds)
        if request.operation.scoped:
            request = request.in_folder(self._directory)
        return request

    def _introduce(self, call: Call[Any]) -> None:
        """Make a call known to those who want to know before it is sent."""
        request = call.request
        if request.operation.binds:
            self._binding.watch(call)
        sink = request.sink
        if sink is not None:
            sink.attach(call, self.begin_own, self._notifier.post)

    def _watch(self, call: FutureCall[Any], cancel: CancelToken | None) -> None:
        """Send a call and see to it that it ends in time, or when it is cancelled."""
        if cancel is not None:
            if not cancel.attach(call, call.cancel_by_token):
                call.cancel_by_token()
                return
            call.when_done(lambda _: cancel.detach(call))
        try:
            self._sweep.watch(call)
            self._supervisor.submit(call)
        except Exception:
            call.cancel()
            raise
        except BaseException:
            uninterrupted(call.cancel, _SETTLED)
            raise

    def _seconds(self, request: Request[Any], timeout: float | None) -> float:
        if timeout is not None:
            return checked_timeout(timeout)
        seconds: float = getattr(self.options, request.operation.default_timeout)
        return seconds

    # --- Who may call ---

    def check_caller(self, what: str) -> None:
        """See to it that the caller may block.

        Raises:
            IpcUsageError: it runs in a callback of this client's, or in a forked child.
        """
        self.check_process()
        if get_ident() in self._own_threads:
            raise IpcUsageError(
                f"{what} blocks and was called from a callback of this client's, which would stop "
                "all its callbacks; use client.futures there, or hand over to another thread"
            )

    def may_block(self) -> bool:
        """Return whether the caller is on a thread that may wait for this client."""
        return get_ident() not in self._own_threads

    def check_process(self) -> None:
        """See to it that the caller is in the process that has connected.

        Raises:
            IpcUsageError: it is in a forked child.
        """
        if self._connected_in.left:
            raise IpcUsageError(
                "this client was connected before a fork and belongs to the parent process; make a "
                "client of its own in the child"
            )

    def settle(self) -> None:
        """Note that it is this process that connects; a fork of it must not use the connection."""
        self._connected_in = this_process()

    def is_forked(self) -> bool:
        """Return whether this is another process than the one that has connected."""
        return self._connected_in.left


def checked_timeout(timeout: float) -> float:
    """Return a time-out that is one.

    Raises:
        IpcArgumentError: it is none.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise IpcArgumentError(
            f"timeout is of type {type(timeout).__name__}; give seconds as a number, or None for "
            "the default",
            field="timeout",
        )
    if not 0 < timeout <= _LONGEST:
        raise IpcArgumentError(
            f"timeout is {timeout!r}; give a number of seconds above 0 and at most "
            f"{_LONGEST:.0f}, or None for the default",
            field="timeout",
        )
    return timeout
