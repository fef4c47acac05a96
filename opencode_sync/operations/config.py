"""The operations on the configuration of the backend's own application."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from opencode_sync.operations.base import Operation, Request, make_request
from opencode_sync.operations.checks import check_size, check_text, write_json
from opencode_sync.wire import ipc_pb2

__all__ = ["get_config", "update_config"]


def _config(answer: ipc_pb2.IpcGetConfigResponse) -> ipc_pb2.IpcGetConfigResponse:
    return answer


def _outcome(answer: ipc_pb2.IpcUpdateConfigResponse) -> ipc_pb2.IpcUpdateConfigResponse:
    return answer


_GET_CONFIG: Final = Operation("get_config", "get_config_response", _config, True, False)
_UPDATE_CONFIG: Final = Operation("update_config", "update_config_response", _outcome, False, False)


@cache
def get_config() -> Request[ipc_pb2.IpcGetConfigResponse]:
    """Ask for the two documents of the configuration."""
    message = ipc_pb2.IpcClientMessage(get_config=ipc_pb2.IpcGetConfigRequest())
    return make_request(_GET_CONFIG, message)


def update_config(
    config: str | Mapping[str, Any],
) -> Request[ipc_pb2.IpcUpdateConfigResponse]:
    """Replace the application document by this one."""
    # A text goes as it is: what it is worth is the backend's to say.
    document = write_json(config, "config") if isinstance(config, Mapping) else config
    check_text(document, "config", "which is a JSON document, or a mapping")
    check_size(document, "config", "leave out what is not configuration")
    request = ipc_pb2.IpcUpdateConfigRequest(config_json=document)
    return make_request(_UPDATE_CONFIG, ipc_pb2.IpcClientMessage(update_config=request))
