"""Those parts of a client that tell a recorder what they do.

The messages that come in are counted where they are read, in ``connection``. The rest are
subclasses, so that a client without metrics runs not one instruction more for them. They call
their bases by name, for ``super()`` takes longer than all that they do themselves.
"""

from __future__ import annotations

from concurrent.futures import Future
from time import monotonic
from typing import Any, Final

from opencode_sync.call import BlockingCall, Call, FutureCall
from opencode_sync.errors import IpcCancelledError
from opencode_sync.metrics import Metrics
from opencode_sync.sender import Sender

__all__ = ["MeteredSender", "metered_calls"]

_SUBSCRIBE: Final = "subscribe"


def metered_calls(
    metrics: Metrics,
) -> tuple[type[BlockingCall[Any]], type[FutureCall[Any]]]:
    """Return the two kinds of call for clients of this recorder: those that tell it of their end.

    The recorder is in the classes, so that to make a call takes no longer than without.
    """
    record = metrics.record_request_completed

    class MeteredBlockingCall(BlockingCall[Any]):
        """See ``BlockingCall``."""

        def _note_end(self, *, success: bool) -> None:
            # It is made with its deadline, so that tells when; and nobody watches over that.
            began = (self.deadline.at or 0.0) - (self.timeout or 0.0)
            try:
                record(self.request.operation.name, monotonic() - began, success)
            except KeyboardInterrupt:
                # Nobody else can end it any more, and it may be another thread that waits for it.
                self.set_exception(self._cancelled_error(""))
                raise

    class MeteredFutureCall(FutureCall[Any]):
        """See ``FutureCall``."""

        _was_given_up = False

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._began = monotonic()  # it may have no deadline
            FutureCall.__init__(self, *args, **kwargs)

        def fail(self, error: BaseException) -> None:
            self._was_given_up = isinstance(error, IpcCancelledError)
            FutureCall.fail(self, error)

        def _note_end(self, *, success: bool) -> None:
            FutureCall._note_end(self, success=success)
            if self.request.operation.name == _SUBSCRIBE:
                # Closing is how a subscription ends; its answer says that the backend ended it.
                success = self._was_given_up
            try:
                record(self.request.operation.name, monotonic() - self._began, success)
            except KeyboardInterrupt:
                # Nobody else can end it any more, and it may be another thread that waits for it.
                Future.cancel(self)
                self.set_running_or_notify_cancel()
                raise

    return MeteredBlockingCall, MeteredFutureCall


class MeteredSender(Sender):
    """Tells of each request written."""

    def __init__(self, metrics: Metrics, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._record = metrics.record_request_sent

    def _next_batch(self) -> tuple[list[Call[Any]], list[bytes]]:
        batch = Sender._next_batch(self)
        for call in batch[0]:
            self._record(call.request.operation.name)
        return batch
