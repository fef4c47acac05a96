"""``client.futures``: the operations for callers who do not want to wait."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, Protocol, TypeVar

from opencode_sync import operations
from opencode_sync.answering import OnPermission, OnQuestion
from opencode_sync.cancel import CancelToken
from opencode_sync.operations import PromptFiles, Request
from opencode_sync.prompting import prompt_request
from opencode_sync.prompts import PromptResult
from opencode_sync.wire.ext_operations_pb2 import IpcBackendInfo, IpcModelList
from opencode_sync.wire.ipc_pb2 import (
    IpcAuthSyncResponse,
    IpcGetConfigResponse,
    IpcOAuthStatusResponse,
    IpcServerInfo,
    IpcUpdateConfigResponse,
)
from opencode_sync.wire.oc_agent_pb2 import OcAgentInfo
from opencode_sync.wire.oc_auth_pb2 import OcAuth
from opencode_sync.wire.oc_message_pb2 import OcMessage
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["IpcFutures"]

R = TypeVar("R")


class _Begin(Protocol):
    def __call__(
        self, request: Request[R], timeout: float | None, cancel: CancelToken | None
    ) -> Future[R]: ...


class IpcFutures:
    """The operations of ``IpcClient``, each returning a ``concurrent.futures.Future`` at once.

    One thread can have any number of requests on their way: ``concurrent.futures.wait`` and
    ``as_completed`` take these futures. They end in time without anybody waiting, with the errors
    the blocking calls raise; wrong arguments raise at once. ``cancel()`` works until the answer is
    there. Done-callbacks run on the client's notifier thread, one after another. Requests made in
    one go leave together, which takes a fraction of the time; one on its own leaves at once.
    """

    def __init__(self, begin: _Begin) -> None:
        self._begin = begin

    def health_check(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[bool]:
        """See ``IpcClient.health_check``."""
        return self._begin(operations.health_check(), timeout, cancel)

    def check_server_health(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[bool]:
        """See ``IpcClient.check_server_health``."""
        return self._begin(operations.check_health(), timeout, cancel)

    def discover_server(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[IpcServerInfo | None]:
        """See ``IpcClient.discover_server``."""
        return self._begin(operations.discover_server(), timeout, cancel)

    def spawn_server(
        self,
        port: int | None = None,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[IpcServerInfo]:
        """See ``IpcClient.spawn_server``."""
        return self._begin(operations.spawn_server(port), timeout, cancel)

    def stop_server(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[bool]:
        """See ``IpcClient.stop_server``."""
        return self._begin(operations.stop_server(), timeout, cancel)

    def list_sessions(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[Sequence[OcSessionInfo]]:
        """See ``IpcClient.list_sessions``."""
        return self._begin(operations.list_sessions(directory), timeout, cancel)

    def create_session(
        self,
        title: str | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[OcSessionInfo]:
        """See ``IpcClient.create_session``."""
        return self._begin(operations.create_session(title, directory), timeout, cancel)

    def delete_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[bool]:
        """See ``IpcClient.delete_session``."""
        return self._begin(operations.delete_session(session_id), timeout, cancel)

    def send_message(
        self,
        session_id: str,
        text: str,
        *,
        model_id: str,
        provider_id: str,
        agent: str | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[OcMessage]:
        """See ``IpcClient.send_message``."""
        request = operations.send_message(
            session_id, text, model_id=model_id, provider_id=provider_id, agent=agent
        )
        return self._begin(request, timeout, cancel)

    def list_agents(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[Sequence[OcAgentInfo]]:
        """See ``IpcClient.list_agents``."""
        return self._begin(operations.list_agents(directory), timeout, cancel)

    def get_provider_status(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[Sequence[str]]:
        """See ``IpcClient.get_provider_status``."""
        return self._begin(operations.get_provider_status(directory), timeout, cancel)

    def list_models(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[IpcModelList]:
        """See ``IpcClient.list_models``."""
        return self._begin(operations.list_models(directory), timeout, cancel)

    def set_auth(
        self,
        provider_id: str,
        auth: OcAuth,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[OcAuth]:
        """See ``IpcClient.set_auth``."""
        return self._begin(operations.set_auth(provider_id, auth), timeout, cancel)

    def get_auth(
        self,
        provider_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[OcAuth]:
        """See ``IpcClient.get_auth``."""
        return self._begin(operations.get_auth(provider_id), timeout, cancel)

    def get_oauth_status(
        self,
        provider_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[IpcOAuthStatusResponse]:
        """See ``IpcClient.get_oauth_status``."""
        return self._begin(operations.get_oauth_status(provider_id), timeout, cancel)

    def sync_auth_keys(
        self,
        skip_oauth_providers: bool = True,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[IpcAuthSyncResponse]:
        """See ``IpcClient.sync_auth_keys``."""
        return self._begin(operations.sync_auth_keys(skip_oauth_providers), timeout, cancel)

    def get_config(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[IpcGetConfigResponse]:
        """See ``IpcClient.get_config``."""
        return self._begin(operations.get_config(), timeout, cancel)

    def update_config(
        self,
        config: str | Mapping[str, Any],
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[IpcUpdateConfigResponse]:
        """See ``IpcClient.update_config``."""
        return self._begin(operations.update_config(config), timeout, cancel)

    # --- Extensions: where the backend has none, IpcUnsupportedOperationError ---

    def get_backend_info(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[IpcBackendInfo]:
        """See ``IpcClient.get_backend_info``."""
        return self._begin(operations.get_backend_info(), timeout, cancel)

    def get_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[OcSessionInfo]:
        """See ``IpcClient.get_session``."""
        return self._begin(operations.get_session(session_id), timeout, cancel)

    def update_session(
        self,
        session_id: str,
        *,
        title: str | None = None,
        archived: bool | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[OcSessionInfo]:
        """See ``IpcClient.update_session``."""
        request = operations.update_session(session_id, title=title, archived=archived)
        return self._begin(request, timeout, cancel)

    def list_messages(
        self,
        session_id: str,
        *,
        limit: int | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[Sequence[OcMessage]]:
        """See ``IpcClient.list_messages``."""
        return self._begin(operations.list_messages(session_id, limit=limit), timeout, cancel)

    def abort_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[bool]:
        """See ``IpcClient.abort_session``."""
        return self._begin(operations.abort_session(session_id), timeout, cancel)

    def reply_permission(
        self,
        permission_id: str,
        reply: Literal["once", "always", "reject"],
        *,
        message: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[None]:
        """See ``IpcClient.reply_permission``."""
        request = operations.reply_permission(
            permission_id, reply, message=message, directory=directory
        )
        return self._begin(request, timeout, cancel)

    def reply_question(
        self,
        question_id: str,
        answers: Sequence[Sequence[str]] | None,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[None]:
        """See ``IpcClient.reply_question``."""
        request = operations.reply_question(question_id, answers, directory=directory)
        return self._begin(request, timeout, cancel)

    def prompt(
        self,
        session_id: str,
        text: str,
        *,
        model: str | None = None,
        agent: str | None = None,
        files: PromptFiles = (),
        system: str | None = None,
        schema: Mapping[str, Any] | None = None,
        on_permission: OnPermission = None,
        on_question: OnQuestion = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[PromptResult]:
        """See ``IpcClient.prompt``."""
        request = prompt_request(
            session_id,
            text,
            model=model,
            agent=agent,
            files=files,
            system=system,
            schema=schema,
            on_permission=on_permission,
            on_question=on_question,
        )
        return self._begin(request, timeout, cancel)
