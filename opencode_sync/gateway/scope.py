"""Requests about a project folder: what is in the wrapping, and whether it may be."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from google.protobuf.message import DecodeError

from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.wire import ipc_pb2

__all__ = ["unwrap"]

_LONGEST_DIRECTORY = 4096
_SHOWN_CHARACTERS = 80


def unwrap(request: ipc_pb2.IpcClientMessage) -> tuple[ipc_pb2.IpcClientMessage, str]:
    """Return the request that is meant, as the message's own, and its folder, "" for none.

    What the message says about the request (its id, its trace) is the request's then.

    Raises:
        BackendError: INVALID_MESSAGE, saying what is wrong with the wrapping.
    """
    if request.WhichOneof("payload") != "scoped":
        return request, ""
    directory = request.scoped.directory
    _check_directory(directory)
    try:
        inner = ipc_pb2.IpcClientMessage.FromString(request.scoped.request)
    except DecodeError:
        raise _invalid("scoped.request is not an encoded IpcClientMessage") from None
    if inner.WhichOneof("payload") == "scoped":
        raise _invalid("scoped.request must not be scoped itself; name one directory")
    inner.request_id = request.request_id
    inner.traceparent, inner.tracestate = request.traceparent, request.tracestate
    return inner, directory


def _check_directory(directory: str) -> None:
    if not directory.strip():
        raise _invalid(
            "scoped.directory must be an absolute path, but is blank; send the request without "
            "scoped to leave the project to the backend"
        )
    # Of either kind: the server that has to know it need not run on this machine.
    if not (PurePosixPath(directory).is_absolute() or PureWindowsPath(directory).is_absolute()):
        shown = ascii(directory[:_SHOWN_CHARACTERS])
        raise _invalid(
            f"scoped.directory must be an absolute path, but is {shown}; the backend does not know "
            f"the client's working directory"
        )
    if "\0" in directory or len(directory) > _LONGEST_DIRECTORY:
        raise _invalid(
            f"scoped.directory must be a path of at most {_LONGEST_DIRECTORY} characters without "
            f"NUL"
        )


def _invalid(text: str) -> BackendError:
    return BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, text)
