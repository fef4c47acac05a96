"""Reading a ``.env`` file, with the usual rules for quotes, comments and ``export``."""

from __future__ import annotations

import io
import os
from pathlib import Path

from dotenv import dotenv_values

from opencode_sync.errors import IpcConfigError
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.provider_keys import Secret
from opencode_sync.runtime_file import read_small_file
from opencode_sync.wire import ipc_pb2

__all__ = ["read_dotenv"]


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables a ``.env`` file sets; nothing is expanded and nothing is exported.

    ``NAME=value``, ``export NAME=value``, quotes of both kinds, comments. A name alone is not set,
    a name set twice has its last value, and lines that cannot be understood are passed over, with
    their number in the log. ``${OTHER}`` stays as it is: it is a template's gap as often as it is
    meant, and a key that was put together by accident is worse than one that is reported.

    Args:
        path: The file. One that does not exist sets nothing, nor does a folder: many a Python
            environment has that name.

    Raises:
        BackendError: AUTH_SYNC_FAILED if it cannot be read, is not UTF-8 text or is larger than
            64 KiB. The message never shows what is in it.
    """
    try:
        if os.path.isdir(path):  # which never raises, as Path.is_dir may
            return {}
        content = read_small_file(path, private=False)
    except IpcConfigError as error:
        raise _failure(error.message.rstrip(".")) from error
    if content is None:
        return {}
    text = _decoded(content)
    if text is None:
        # Outside of the handler: the decoder's error carries the whole file.
        raise _failure(f"{path} is not UTF-8 text; save it as UTF-8")
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: Secret(value) for name, value in values.items() if value is not None}


def _decoded(content: bytes) -> str | None:
    try:
        return Secret(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None


def _failure(message: str) -> BackendError:
    return BackendError(ipc_pb2.IPC_ERROR_CODE_AUTH_SYNC_FAILED, f"API keys: {message}")
