"""Messages that belong to no waiting call: counted, logged, dropped, disturbing nobody."""

from __future__ import annotations

import pytest

from opencode_sync import IpcClient, IpcConnectionError, IpcProtocolError, IpcTimeoutError
from opencode_sync.answers import StrayCounters
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import HOLD, ScriptedBackend


def _settle(client: IpcClient) -> StrayCounters:
    """Return the counters once everything sent until now was dealt with: answers keep order."""
    assert client.check_server_health() is True
    return client.strays


def test_a_fresh_client_has_seen_none(client: IpcClient) -> None:
    assert _settle(client) == StrayCounters()


def test_an_answer_after_the_time_out_is_late(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("list_sessions", HOLD)
    with pytest.raises(IpcTimeoutError):
        client.list_sessions(timeout=0.02)
    backend.link().answer(backend.link().request(), b.sessions())
    assert _settle(client) == StrayCounters(late=1)


def test_an_answer_after_cancel_is_late_and_a_second_one_a_duplicate(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    request = backend.link().request()
    assert future.cancel()
    backend.link().answer(request, b.sessions())
    backend.link().answer(request, b.sessions())
    assert _settle(client) == StrayCounters(late=1, duplicate=1)


def test_a_second_answer_is_a_duplicate_and_the_first_one_counts(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    request = backend.link().request()
    backend.link().answer(request, b.sessions("first"))
    backend.link().answer(request, b.sessions("second"))
    assert _settle(client) == StrayCounters(duplicate=1)
    assert future.result(0)[0].title == "first"


@pytest.mark.parametrize("request_id", [4, 77, 2**32, 2**64 - 1])
def test_an_id_that_was_never_given_out_is_unknown(
    backend: ScriptedBackend, client: IpcClient, request_id: int
) -> None:
    backend.rule("list_sessions", HOLD)
    pending = client.futures.list_sessions()  # id 2
    backend.link().request()
    backend.link().send(request_id, b.sessions("not yours"))
    assert _settle(client) == StrayCounters(unknown=1)
    assert not pending.done()


def test_the_handshakes_id_belongs_to_no_request(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.link().send(1, b.healthy())
    strays = _settle(client)
    assert strays.duplicate + strays.unknown == 1


def test_id_0_is_counted_with_or_without_an_error(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.link().send(0, b.error(1, "Invalid protobuf message"))
    backend.link().send(0, b.healthy())
    backend.link().send(0, {})
    assert _settle(client) == StrayCounters(without_request=3)


@pytest.mark.parametrize(
    "rubbish",
    [b"\xff", b"\x08", b"\x0a\xff\xff\xff\xff\x0f", b"\x08\x02\xa2\x01\x05abc", b"<html>" * 100],
    ids=["tag", "no varint", "length", "cut", "html"],
)
def test_what_does_not_decode_is_counted_and_the_connection_goes_on(
    backend: ScriptedBackend, client: IpcClient, rubbish: bytes
) -> None:
    backend.rule("list_sessions", HOLD)
    pending = client.futures.list_sessions()
    link = backend.link()
    link.request()
    link.peer.send(rubbish)
    assert _settle(client) == StrayCounters(undecodable=1)
    assert not pending.done()
    link.answer(link.request(), b.sessions("mine"))
    assert pending.result(5)[0].title == "mine"


def test_an_empty_message_belongs_to_no_request(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.link().peer.send(b"")  # protobuf for a message with nothing set
    assert _settle(client) == StrayCounters(without_request=1)


def test_the_counters_are_a_copy(client: IpcClient) -> None:
    client.strays.late = 5
    assert client.strays.late == 0


# --- The backend's last error without a request ---


def _report(backend: ScriptedBackend, text: str) -> None:
    backend.link().send(0, b.error(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, text))


def test_an_error_with_id_0_is_shown_in_the_next_time_out(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    _report(backend, "Invalid protobuf message")
    _settle(client)
    with pytest.raises(IpcTimeoutError, match=r"INVALID_MESSAGE: Invalid protobuf message"):
        client.list_sessions(timeout=0.02)


def test_an_error_with_id_0_is_shown_when_the_connection_is_lost(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    backend.link().request()
    _report(backend, "I give up")
    backend.link().peer.drop()
    error = future.exception(5)
    assert isinstance(error, IpcConnectionError)
    assert "I give up" in str(error)


def test_an_error_with_id_0_is_shown_when_the_framing_breaks(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    backend.link().request()
    _report(backend, "I give up")
    backend.link().peer.violate("a masked frame")
    error = future.exception(5)
    assert isinstance(error, IpcConnectionError)
    assert isinstance(error.__cause__, IpcProtocolError)
    assert "I give up" in str(error.__cause__)
    assert "a masked frame" in str(error)


def test_only_the_newest_error_with_id_0_is_shown(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    _report(backend, "older words")
    _report(backend, "newer words")
    _settle(client)
    with pytest.raises(IpcTimeoutError, match="newer words") as caught:
        client.list_sessions(timeout=0.02)
    assert "older words" not in str(caught.value)


def test_a_new_connection_does_not_repeat_the_last_ones_error(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    _report(backend, "old news")
    _settle(client)
    client.close()
    client.connect()
    backend.rule("list_sessions", HOLD)
    with pytest.raises(IpcTimeoutError) as caught:
        client.list_sessions(timeout=0.02)
    assert "old news" not in str(caught.value)
