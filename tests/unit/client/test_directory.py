"""The project folder: per client, per call, and around the whole request on the wire."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import IpcArgumentError, IpcClient, IpcUnsupportedOperationError
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend
from tests.support.operations import SAMPLES, Sample

SCOPED = [sample for sample in SAMPLES if sample.scoped]
scoped = pytest.mark.parametrize("sample", SCOPED, ids=lambda sample: sample.method)


def sent(backend: ScriptedBackend, index: int = 0) -> ipc_pb2.IpcClientMessage:
    return backend.link().request(index)


def test_these_depend_on_it() -> None:
    assert {sample.method for sample in SCOPED} == {
        "list_sessions",
        "create_session",
        "list_agents",
        "get_provider_status",
        "list_models",
    }


@scoped
def test_the_folder_of_a_call_goes_around_its_request(
    backend: ScriptedBackend, client: IpcClient, sample: Sample, tmp_path: Path
) -> None:
    backend.rule(sample.operation, sample.payload)
    assert sample.call(client, directory=tmp_path) == sample.result
    assert sample.call(client.futures, directory=str(tmp_path)).result(WAIT) == sample.result
    for index in range(2):
        message = sent(backend, index)
        assert message.WhichOneof("payload") == "scoped"
        assert message.scoped.directory == str(tmp_path)
        inner = ipc_pb2.IpcClientMessage.FromString(message.scoped.request)
        assert inner == ipc_pb2.IpcClientMessage(**{sample.operation: sample.request})
        # The bytes are those that protobuf itself writes.
        assert backend.link().raw[1 + index] == message.SerializeToString()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.method)
def test_the_clients_folder_goes_around_what_depends_on_it_and_nothing_else(
    backend: ScriptedBackend, sample: Sample
) -> None:
    backend.rule(sample.operation, sample.payload)
    with backend.client(directory="/the/project") as client:
        assert sample.call(client) == sample.result
    message = sent(backend)
    if sample.scoped:
        assert message.scoped.directory == os.path.abspath("/the/project")
    else:
        assert message.WhichOneof("payload") == sample.operation


@scoped
def test_a_calls_own_folder_comes_first(backend: ScriptedBackend, sample: Sample) -> None:
    backend.rule(sample.operation, sample.payload)
    with backend.client(directory="/the/project") as client:
        sample.call(client, directory="/another")
        sample.call(client)
    folders = [sent(backend, index).scoped.directory for index in range(2)]
    assert folders == [os.path.abspath("/another"), os.path.abspath("/the/project")]


def test_events_are_those_of_the_folder(backend: ScriptedBackend) -> None:
    with backend.client(directory="/the/project") as client:
        for arguments in ({}, {"directory": "/another"}):
            with client.events(types=["x"], **arguments) as stream:
                link = backend.link()
                request = [each for each in link.requests if each.HasField("scoped")][-1]
                link.answer(request, b.event("x"))
                assert next(stream).type == "x"
                inner = ipc_pb2.IpcClientMessage.FromString(request.scoped.request)
                assert list(inner.subscribe.types) == ["x"]


def test_a_relative_folder_starts_at_the_current_one(
    backend: ScriptedBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with backend.client(directory=".") as client:
        monkeypatch.chdir("/")  # when the client was made is what counts
        client.list_sessions()
        client.list_sessions(directory=Path("sub") / ".." / "other")
    assert sent(backend, 0).scoped.directory == str(tmp_path)
    assert sent(backend, 1).scoped.directory == os.path.abspath("/other")


@pytest.mark.parametrize("directory", ["", "  ", 5, b"/x", ["/x"], "a\0b", "a\ud800b", True])
def test_what_is_no_folder_is_refused(
    backend: ScriptedBackend, client: IpcClient, directory: Any
) -> None:
    calls: list[Any] = [
        lambda: backend.client(directory=directory),
        lambda: client.reply_permission("per_1", "once", directory=directory),
        lambda: client.reply_question("que_1", None, directory=directory),
        *(functools.partial(sample.call, client, directory=directory) for sample in SCOPED),
    ]
    for call in calls:
        with pytest.raises(IpcArgumentError, match="directory") as caught:
            call()
        assert caught.value.field == "directory"
    client.check_server_health()
    assert backend.link().operations() == ["check_health"]


@scoped
def test_a_backend_without_folders_does_not_answer_for_the_wrong_one(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.extensions = False
    with pytest.raises(IpcUnsupportedOperationError, match=sample.operation):
        sample.call(client, directory="/the/project")
    if sample.operation != "list_models":
        sample.call(client)


@scoped
def test_what_is_repeated_is_about_the_same_folder(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.script(sample.operation, b.NO_SERVER, sample.payload)
    assert sample.call(client, directory="/the/project") == sample.result
    assert backend.link().operations() == ["scoped", "discover_server", "scoped"]
    assert sent(backend, 0).scoped == sent(backend, 2).scoped


def test_the_answer_to_a_question_names_its_own_folder(backend: ScriptedBackend) -> None:
    with backend.client(directory="/the/project") as client:
        client.reply_permission("per_1", "once", directory="/another")
        client.reply_question("que_1", None)
    assert sent(backend, 0).reply_permission.directory == os.path.abspath("/another")
    assert sent(backend, 1).reply_question.directory == ""


def test_a_future_about_a_folder_ends_in_time(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions(directory="/x", timeout=0.02)
    assert isinstance(future.exception(WAIT), TimeoutError)
