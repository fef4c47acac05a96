"""What holds for every operation alike: its bytes, its answer, and the ways it can fail."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from opencode_sync import (
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    IpcProtocolError,
    IpcServerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    ReconnectPolicy,
    operations,
)
from opencode_sync.blocking import BlockingOperations
from opencode_sync.futures import IpcFutures
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend
from tests.support.operations import SAMPLES, Sample

every = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.method)
every_that_raises = pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if sample.method != "health_check"],
    ids=lambda sample: sample.method,
)


def public(cls: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(cls, inspect.isfunction) if name[0] != "_"}


def test_none_is_missing() -> None:
    """Client, futures, wire schema and the table of samples have the same operations."""
    names = {sample.method for sample in SAMPLES}
    assert names == public(BlockingOperations) == public(IpcFutures)
    payloads = {
        field.name: field.number
        for field in ipc_pb2.IpcClientMessage.DESCRIPTOR.oneofs_by_name["payload"].fields
    }
    reference = {name for name, number in payloads.items() if number < 200} - {"auth_handshake"}
    assert reference <= {sample.operation for sample in SAMPLES} <= set(payloads)
    made = {
        name
        for name in operations.__all__
        if inspect.isfunction(inspect.unwrap(getattr(operations, name)))
    }
    # What streams are made of, and checks; all other functions make a request each.
    assert len(made - {"subscribe", "cancel", "check_directory"}) == len(SAMPLES)


@every
def test_blocking_and_future_take_the_same_arguments(sample: Sample) -> None:
    blocking = inspect.signature(getattr(IpcClient, sample.method))
    future = inspect.signature(getattr(IpcFutures, sample.method))
    assert list(blocking.parameters.values()) == list(future.parameters.values())
    for name in ("timeout", "cancel"):
        assert blocking.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert blocking.parameters[name].default is None


@every
def test_the_answer_reaches_the_caller_either_way(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.rule(sample.operation, sample.payload)
    assert sample.call(client) == sample.result
    assert sample.call(client.futures).result(WAIT) == sample.result
    assert backend.link().operations() == [sample.operation] * 2


@every
def test_the_bytes_are_those_that_protobuf_itself_writes(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.rule(sample.operation, sample.payload)
    sample.call(client)
    expected = ipc_pb2.IpcClientMessage(request_id=2, **{sample.operation: sample.request})
    assert backend.link().raw[1] == expected.SerializeToString()


WRONG: list[tuple[str, b.Payload]] = [
    ("no payload", {}),
    ("the handshake's", b.accept(ipc_pb2.IpcClientMessage())),
    ("another's", {"get_config_response": ipc_pb2.IpcGetConfigResponse()}),
    ("an empty session list", b.sessions()),
]


@every_that_raises
@pytest.mark.parametrize(
    "wrong", [payload for _, payload in WRONG], ids=[name for name, _ in WRONG]
)
def test_an_answer_to_something_else_is_a_protocol_error(
    backend: ScriptedBackend, client: IpcClient, sample: Sample, wrong: b.Payload
) -> None:
    if set(wrong) == set(sample.payload):
        wrong = b.deleted()
    backend.rule(sample.operation, wrong)
    with pytest.raises(IpcProtocolError, match=sample.operation) as caught:
        sample.call(client)
    assert (caught.value.request_id, caught.value.operation) == (2, sample.operation)
    assert isinstance(sample.call(client.futures).exception(WAIT), IpcProtocolError)
    backend.rule(sample.operation, sample.payload)
    assert sample.call(client) == sample.result  # and nobody else was disturbed


UNSUPPORTED = [
    b.error(ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, "not here"),
    b.error(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "No payload in message"),
]


@every_that_raises
@pytest.mark.parametrize("refusal", UNSUPPORTED, ids=["not implemented", "unknown payload"])
def test_a_backend_without_it_is_told_apart(
    backend: ScriptedBackend, client: IpcClient, sample: Sample, refusal: b.Payload
) -> None:
    backend.rule(sample.operation, refusal)
    with pytest.raises(IpcUnsupportedOperationError, match=sample.operation) as caught:
        sample.call(client)
    assert caught.value.operation == sample.operation
    error = sample.call(client.futures).exception(WAIT)
    assert isinstance(error, IpcUnsupportedOperationError)


NUMBERS = {
    field.name: field.number
    for field in ipc_pb2.IpcClientMessage.DESCRIPTOR.oneofs_by_name["payload"].fields
}


@every
def test_the_reference_backend_refuses_the_extensions_and_nothing_else(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.extensions = False
    backend.rule(sample.operation, sample.payload)
    if NUMBERS[sample.operation] < 200:
        assert sample.call(client) == sample.result
        return
    with pytest.raises(IpcUnsupportedOperationError, match=sample.operation):
        sample.call(client)
    error = sample.call(client.futures).exception(WAIT)
    assert isinstance(error, IpcUnsupportedOperationError)
    assert client.check_server_health() is True


@every_that_raises
def test_an_error_of_the_backends_keeps_its_code(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.rule(sample.operation, b.error(77, "the disk is full"))
    with pytest.raises(IpcServerError, match="the disk is full") as caught:
        sample.call(client)
    assert (caught.value.code, caught.value.operation) == (77, sample.operation)
    assert not isinstance(caught.value, IpcUnsupportedOperationError)


@every_that_raises
def test_no_answer_in_time_is_a_time_out(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.rule(sample.operation, HOLD)
    with pytest.raises(IpcTimeoutError) as caught:
        sample.call(client, timeout=0.02)
    error = caught.value
    assert (error.request_id, error.timeout, error.operation) == (2, 0.02, sample.operation)
    assert error.request_sent is True
    assert isinstance(sample.call(client.futures, timeout=0.02).exception(WAIT), IpcTimeoutError)


@every
def test_its_default_time_out_is_the_right_option(backend: ScriptedBackend, sample: Sample) -> None:
    options = IpcClientOptions(default_request_timeout=11.0, default_prompt_timeout=22.0)
    backend.rule(sample.operation, HOLD)
    with backend.client(options=options) as client:
        future = sample.call(client.futures)
        expected = 22.0 if sample.operation in ("send_message", "prompt") else 11.0
        assert 0 < expected - future.deadline.remaining() < 5
        future.cancel()


@every
def test_what_is_lost_is_repeated_only_where_that_is_harmless(
    backend: ScriptedBackend, sample: Sample
) -> None:
    backend.script(sample.operation, HOLD, sample.payload)
    with backend.client(reconnect=ReconnectPolicy(initial_delay=0.001)) as client:
        future = sample.call(client.futures)
        backend.link().request()
        backend.link().peer.drop()
        if sample.repeatable:
            assert future.result(WAIT) == sample.result
            assert backend.link(1).operations() == [sample.operation]
        else:
            error = future.exception(WAIT)
            assert isinstance(error, IpcConnectionError)
            assert error.request_sent is True


@every
def test_a_backend_that_lost_its_server_is_bound_again_where_one_is_needed(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.script(sample.operation, b.NO_SERVER, sample.payload)
    if sample.needs_server:
        assert sample.call(client) == sample.result
        names = [sample.operation, "discover_server", sample.operation]
        assert backend.link().operations() == names
    else:
        with pytest.raises(IpcServerError):
            sample.call(client)


@every
def test_a_request_never_shows_what_it_carries(sample: Sample) -> None:
    """A key may be among it."""
    requests: list[Any] = []

    class Recorder(BlockingOperations):
        def _run(self, request: Any, timeout: Any, cancel: Any) -> Any:
            requests.append(request)

    sample.call(Recorder())
    (request,) = requests
    assert "sk-of" not in repr(request)
    assert "body" not in repr(request)
