"""Setting and looking up the credentials that an OpenCode server uses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.auth_sync import KeyPushError, sync_auth_keys
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.auth.file import auth_entry
from opencode_sync.gateway.backends.opencode.auth.mapping import (
    auth_json,
    check_provider_id,
    oauth_state,
    read_auth,
    without_secrets,
)
from opencode_sync.gateway.backends.opencode.http.client import RefusedError, quote_id
from opencode_sync.gateway.backends.opencode.mapping.tables import Oddities
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.gateway.provider_keys import KEY_VARIABLES
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2, oc_auth_pb2

__all__ = ["get_auth", "oauth_status", "set_auth", "sync_keys"]


def set_auth(
    binding: Binding, provider_id: str, auth: oc_auth_pb2.OcAuth, deadline: Deadline
) -> oc_auth_pb2.OcAuth:
    """See ``OpenCodeBackend.set_auth``."""
    _put(binding, check_provider_id(provider_id), auth_json(auth), deadline)
    return without_secrets(auth)


def get_auth(binding: Binding, provider_id: str) -> oc_auth_pb2.OcAuth | None:
    """See ``OpenCodeBackend.get_auth``."""
    odd = Oddities()
    auth = read_auth(auth_entry(binding, check_provider_id(provider_id)), odd)
    if odd:
        logger.debug("OpenCode's credentials held what the schema cannot carry: {}", dict(odd))
    return auth


def oauth_status(binding: Binding, provider_id: str) -> ipc_pb2.IpcOAuthStatusResponse:
    """See ``OpenCodeBackend.oauth_status``."""
    check_provider_id(provider_id)
    return oauth_state(auth_entry(binding, provider_id), provider_id)


def sync_keys(
    binding: Binding,
    *,
    environ: Mapping[str, str],
    dotenv: Path | None,
    skip_oauth_providers: bool,
    deadline: Deadline,
) -> ipc_pb2.IpcAuthSyncResponse:
    """See ``OpenCodeBackend.sync_auth_keys``."""

    @functools.cache
    def oauth(provider_id: str) -> bool:
        entry = auth_entry(binding, provider_id)
        return isinstance(entry, dict) and entry.get("type") == "oauth"

    def push(provider_id: str, key: str, until: Deadline) -> None:
        try:
            _put(binding, provider_id, {"type": "api", "key": str(key)}, until)
        except RefusedError as error:
            raise KeyPushError(
                error.message, status=error.refusal.status, code=error.code
            ) from error

    return sync_auth_keys(
        push,
        environ=environ,
        dotenv=dotenv,
        known=KEY_VARIABLES,
        skip_oauth_providers=skip_oauth_providers,
        oauth=oauth,
        deadline=deadline,
    )


def _put(binding: Binding, provider_id: str, entry: dict[str, Any], deadline: Deadline) -> None:
    try:
        known = auth_entry(binding, provider_id) == entry
    except BackendError:  # it cannot be looked up
        known = False
    path = f"/auth/{quote_id(provider_id)}"
    if binding.call("PUT", path, {}, deadline, entry) is not True:
        raise binding.misshapen("PUT /auth/{id}", "true")
    if not known:  # or every start of a program that sets its keys would cost OpenCode a restart
        binding.keys.note(provider_id)
