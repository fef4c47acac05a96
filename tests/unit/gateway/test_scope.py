"""Requests about a project folder: taken out of their wrapping, or refused."""

from __future__ import annotations

import pytest

from opencode_sync.gateway import BackendError
from opencode_sync.gateway.scope import unwrap
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import request, scoped


def refusal(message: ipc_pb2.IpcClientMessage) -> str:
    with pytest.raises(BackendError) as caught:
        unwrap(message)
    assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
    assert caught.value.__cause__ is None
    return caught.value.message


def test_others_are_left_as_they_are() -> None:
    message = request(7, "create_session", title="t")
    assert unwrap(message) == (message, "")
    assert unwrap(message)[0] is message


@pytest.mark.parametrize("directory", ["/", "/a b/ц", "C:\\project", "\\\\host\\share\\x"])
def test_inner_request_gets_the_id_of_the_message(directory: str) -> None:
    message = scoped(7, directory, request(99, "create_session", title="t"))
    assert unwrap(message) == (request(7, "create_session", title="t"), directory)


def test_inner_request_without_a_payload_is_for_others_to_refuse() -> None:
    assert unwrap(scoped(7, "/", request(0, None))) == (request(7, None), "/")


@pytest.mark.parametrize("directory", ["", " ", "\t\n"])
def test_blank_directory(directory: str) -> None:
    assert "but is blank" in refusal(scoped(7, directory, request(2, "list_sessions")))


@pytest.mark.parametrize("directory", [".", "a/b", "~/x", "C:relative", "\\x"])
def test_relative_directory(directory: str) -> None:
    text = refusal(scoped(7, directory, request(2, "list_sessions")))
    assert f"must be an absolute path, but is {directory!r}" in text


@pytest.mark.parametrize("directory", ["/a\0b", "/" + "x" * 4096])
def test_directory_that_no_system_has(directory: str) -> None:
    text = refusal(scoped(7, directory, request(2, "list_sessions")))
    assert "at most 4096 characters without NUL" in text


def test_a_long_wrong_directory_is_not_shown_whole() -> None:
    assert len(refusal(scoped(7, "x" * 5000, request(2, "list_sessions")))) < 300


def test_undecodable_request() -> None:
    message = ipc_pb2.IpcClientMessage(request_id=7)
    message.scoped.directory = "/"
    message.scoped.request = b"\xff\xff\xff"
    assert "not an encoded IpcClientMessage" in refusal(message)


def test_nested_scope() -> None:
    inner = scoped(8, "/other", request(9, "list_sessions"))
    assert "must not be scoped itself" in refusal(scoped(7, "/", inner))
