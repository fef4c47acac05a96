"""What is pushed to a client for one of its requests: events, as they come and as far as they fit.

The thread that brings an event serves every client, so it must never wait for one. It offers the
push to the client's link, which takes it or does not; what was not taken is counted, and the next
push that is taken says how many are missing before it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from google.protobuf.message import EncodeError

from opencode_sync.gateway.link import Link
from opencode_sync.varint import varint
from opencode_sync.wire import ext_event_pb2, ipc_pb2

__all__ = ["EventEncoder", "Pushes"]

_KEPT_SIZE = 1 << 20


class EventEncoder:
    """Encodes events, one and the same for many subscribers only once. Any thread may call it."""

    def __init__(self) -> None:
        # Replaced as a whole, so it needs no lock: who comes in between encodes once more.
        self._newest: tuple[ext_event_pb2.IpcEvent, bytes] | None = None

    def __call__(self, event: ext_event_pb2.IpcEvent) -> bytes | None:
        """Return the encoded event, None if protobuf cannot hold it."""
        newest = self._newest
        if newest is not None and newest[0] is event:
            return newest[1]
        try:
            encoded = event.SerializeToString()
        except (EncodeError, ValueError):
            return None
        if len(encoded) <= _KEPT_SIZE:
            self._newest = event, encoded
        return encoded


class Pushes:
    """The pushes of one request: the ``EventSink`` that its backend is given.

    Any thread may call any method; none of them waits for the client.

    Args:
        link: Where they go.
        request_id: Of the request they belong to.
        encode: Encodes an event.
        max_message_size: Bytes a message may have; a larger push counts as missed.
        on_end: Gets the reason when the backend has no more. It must say so to the client, by
            ``end``, if nobody else has.
    """

    def __init__(
        self,
        link: Link,
        request_id: int,
        *,
        encode: Callable[[ext_event_pb2.IpcEvent], bytes | None],
        max_message_size: int,
        on_end: Callable[[str], object],
    ) -> None:
        self._link = link
        self._encode = encode
        self._max_message_size = max_message_size
        self._on_end = on_end
        self._request_id = request_id
        self._head = ipc_pb2.IpcServerMessage(request_id=request_id).SerializeToString()
        # Guards the rest, and is held while something is offered: no push overtakes another, and
        # none comes after the end.
        self._lock = threading.Lock()
        self._opened = False
        self._shut = False
        self._missed = 0

    # The backend's side

    def opened(self) -> None:
        """Tell the client that the subscription has begun."""
        answer = ipc_pb2.IpcServerMessage(request_id=self._request_id)
        answer.subscribed.SetInParent()
        with self._lock:
            if not self._shut:
                self._opened = True
                self._link.offer(answer.SerializeToString(), urgent=True)

    def event(self, event: ext_event_pb2.IpcEvent) -> None:
        """Push an event, or count it as missed."""
        encoded = self._encode(event)
        with self._lock:
            if self._shut:
                return
            if encoded is not None:
                message = self._head + _push(encoded, self._missed)
                if len(message) <= self._max_message_size and self._link.offer(message):
                    self._missed = 0
                    return
            self._missed += 1

    def ended(self, reason: str) -> None:
        """Have the client told that there will be no more."""
        self._on_end(reason)

    # The gateway's side

    def shut(self) -> int:
        """Push nothing from now on; returns how many events the client missed since the last."""
        with self._lock:
            self._shut = True
            return self._missed

    def end(self, reason: str) -> bool:
        """Push nothing from now on, and tell the client why; False if it was not told of a begin.

        To be called once at most.
        """
        with self._lock:
            self._shut = True
            if not self._opened:
                return False
            if self._missed:
                reason = f"{reason} ({self._missed} events before the end were dropped)"
            answer = ipc_pb2.IpcServerMessage(request_id=self._request_id)
            answer.subscription_end.reason = reason
            self._link.offer(answer.SerializeToString(), urgent=True)
            return True


def _tag(message: type, field: str, wire_type: int) -> bytes:
    number: int = message.DESCRIPTOR.fields_by_name[field].number  # type: ignore[attr-defined]
    return varint(number << 3 | wire_type)


# A push is put together by hand, since protobuf would copy and encode the event for each subscriber
# anew. 0 stands for a number, 2 for something with a length.
_PUSH_TAG = _tag(ipc_pb2.IpcServerMessage, "event", 2)
_EVENT_TAG = _tag(ext_event_pb2.IpcEventPush, "event", 2)
_MISSED_TAG = _tag(ext_event_pb2.IpcEventPush, "missed", 0)


def _push(event: bytes, missed: int) -> bytes:
    """Return an encoded ``IpcServerMessage`` with nothing but a push of this encoded event."""
    push = _EVENT_TAG + varint(len(event)) + event
    if missed:
        push += _MISSED_TAG + varint(missed)
    return _PUSH_TAG + varint(len(push)) + push
