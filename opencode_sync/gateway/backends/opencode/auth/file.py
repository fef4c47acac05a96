"""Where an OpenCode server keeps its credentials, and what is in there.

OpenCode has no call that reads them, so they are read where it reads them: the variable
OPENCODE_AUTH_CONTENT of its environment, else ``auth.json`` in its data folder. Which folder that
is the server's environment decides: ours to know if we spawned it, and the system's to tell if it
is a process of the same user on this machine. Of any other server nothing can be known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.server.discovery import environment_of
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.wire import ipc_pb2

__all__ = ["auth_entry", "read_auth_file"]

_CONTENT = "OPENCODE_AUTH_CONTENT"
_LARGEST = 16 * 1024 * 1024


def auth_entry(binding: Binding, provider_id: str) -> object:
    """Return a provider's entry, as OpenCode wrote it, secrets and all; None if there is none.

    Raises:
        BackendError: as ``read_auth_file`` says; NOT_IMPLEMENTED: it cannot be known where the
            server keeps them.
    """
    entries = read_auth_file(_environment(binding))
    # OpenCode strips the slashes from the end of an address before it looks it up.
    return entries.get(provider_id, entries.get(provider_id.rstrip("/")))


def read_auth_file(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return all credentials of a server with this environment, by provider.

    Raises:
        BackendError: SERVER_ERROR: they are there, and cannot be read.
    """
    content = environ.get(_CONTENT)
    if content:
        return _parsed(content, f"the server's variable {_CONTENT}")
    path = _data_folder(environ) / "opencode" / "auth.json"
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise server_error(
            f"OpenCode's credentials in {path} cannot be read ({error.strerror or error}); run the "
            f"gateway as the user who runs OpenCode"
        ) from error
    if len(data) > _LARGEST:
        raise server_error(f"{path} is too large for OpenCode's credentials; look what is in it")
    return _parsed(data, str(path))


def _parsed(content: str | bytes, source: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None  # the parser's words could quote a key
    if not isinstance(document, dict):
        raise server_error(
            f"{source} does not hold OpenCode's credentials as a JSON object; repair it, or log in "
            f"again with `opencode auth login`"
        )
    return document


def _data_folder(environ: Mapping[str, str]) -> Path:
    # The same on every system: OpenCode follows the XDG rules on macOS and Windows, too.
    folder = environ.get("XDG_DATA_HOME")
    if folder:
        return Path(folder)
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return (Path(home) if home else Path.home()) / ".local" / "share"


def _environment(binding: Binding) -> Mapping[str, str]:
    if binding.environ is not None:
        return binding.environ
    parts = urlsplit(binding.http.base_url)
    environ = environment_of(binding.pid, parts.hostname or "", parts.port)
    if environ is None:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
            f"the credentials of OpenCode at {binding.http.base_url} cannot be looked up: it is no "
            f"process of this user on this machine; run the gateway where OpenCode runs, or have "
            f"it spawn a server",
        )
    return environ
