"""The two JSON documents that clients ask for: the application's settings, and the models.

The settings are the client application's own; the gateway only keeps them, in ``config.json`` in
the user's configuration folder. The models document comes with the package, and a ``models.json``
beside the settings takes its place. Neither holds a secret: API keys are named by the variable
they are in.

Nothing is cached, so two gateways, or an editor, may share the files: every ``get`` reads them and
every ``update`` replaces the whole file in one step, so that readers see the old settings or the
new ones and the last writer wins.
"""

from __future__ import annotations

import contextlib
import math
import threading
from importlib import resources
from pathlib import Path
from typing import Any

import platformdirs

from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcConfigError
from opencode_sync.gateway.atomic_file import replace_file
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.json_document import (
    FLAG,
    OPTIONAL_TEXT,
    TEXT,
    DocumentError,
    ListOf,
    Object,
    Value,
    check,
    parse_json,
    to_json,
)
from opencode_sync.gateway.provider_keys import KEY_VARIABLES
from opencode_sync.logger import logger
from opencode_sync.runtime_file import MAX_FILE_SIZE, read_small_file
from opencode_sync.wire import ipc_pb2

__all__ = ["AppConfigStore", "default_config_file"]

_NEVER = Deadline(None)


def _default(value: Value, default: Any) -> Value:
    return Value(value.words, value.accepts, default)


def _is_version(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32


def _is_points(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 < value <= 1000


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable() and " " not in value


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


_NAME = Value("a text of printable characters without blanks", _is_name)

APPLICATION = Object(
    {
        "version": Value("a whole number from 0 to 4294967295", _is_version, 1),
        "server": Object(
            {
                "last_opencode_url": OPTIONAL_TEXT,
                "auto_start": _default(FLAG, True),
                "directory_override": OPTIONAL_TEXT,
            }
        ),
        "ui": Object(
            {
                "font_size": _default(TEXT, "Standard"),
                "base_font_points": Value("a number above 0 and up to 1000", _is_points, 14.0),
                "chat_density": _default(TEXT, "Normal"),
            }
        ),
        "audio": Object(
            {
                "push_to_talk_key": _default(TEXT, "AltRight"),
                "whisper_model_path": OPTIONAL_TEXT,
            }
        ),
    }
)
"""The settings: each key, what it must be, and what stands in when it is missing."""

MODELS = Object(
    {
        "providers": ListOf(
            Object(
                {
                    "name": _NAME,
                    "display_name": TEXT,
                    "api_key_env": _NAME,
                    "models_url": TEXT,
                    "auth_type": TEXT,
                    "auth_header": OPTIONAL_TEXT,
                    "auth_param": OPTIONAL_TEXT,
                    "extra_headers": Value("an object of texts", _is_headers, {}),
                    "response_format": Object(
                        {
                            "models_path": TEXT,
                            "model_id_field": TEXT,
                            "model_id_strip_prefix": OPTIONAL_TEXT,
                            "model_name_field": TEXT,
                        },
                        required=True,
                    ),
                }
            ),
            unique="name",
        ),
        "models": Object(
            {
                "default_model": _default(TEXT, ""),
                "curated": ListOf(Object({"name": TEXT, "provider": TEXT, "model_id": TEXT})),
            }
        ),
    }
)
"""Where each provider lists its models, how to ask it, and the models worth offering first."""


def default_config_file() -> Path:
    """Return where the settings are kept unless told otherwise."""
    return platformdirs.user_config_path("opencode-sync") / "config.json"


class AppConfigStore:
    """Keeps the application's settings. Any thread may call any method, and any other process too.

    Args:
        path: The settings' file, made by the first update; None means ``default_config_file()``.
            ``models.json`` in the same folder replaces the models document of the package.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path if path is not None else default_config_file()
        # Guards the file against two updates of this process at once; held while the disk works.
        self._writing = threading.Lock()

    def __repr__(self) -> str:
        return f"AppConfigStore({str(self._path)!r})"

    @property
    def path(self) -> Path:
        """The settings' file."""
        return self._path

    @property
    def models_path(self) -> Path:
        """The file that takes the place of the package's models document if it exists."""
        return self._path.with_name("models.json")

    def get(self) -> ipc_pb2.IpcGetConfigResponse:
        """Return both documents as JSON text: the files' contents, defaults where they are silent.

        Raises:
            BackendError: SERVER_ERROR if a file cannot be read or is wrong; nothing is changed.
        """
        return ipc_pb2.IpcGetConfigResponse(
            app_config_json=to_json(self._application()), models_config_json=to_json(self._models())
        )

    def update(
        self, config_json: str, *, deadline: Deadline = _NEVER
    ) -> ipc_pb2.IpcUpdateConfigResponse:
        """Replace the settings, all of them; once this returns success, they are on the disk.

        Keys that are missing get their defaults. Keys that are unknown are kept, since a newer
        application may have written them, and logged, since they may be typing errors.

        Args:
            config_json: The new settings.
            deadline: When to stop waiting for another update of this process.

        Returns:
            ``success``; without it, ``error`` says what is wrong with the document, and nothing was
            written.

        Raises:
            BackendError: SERVER_ERROR if the file cannot be written, or if the file that is there
                is broken: what its owner wrote by hand is not thrown away.
        """
        try:
            _check_size(len(config_json))  # first of all: checking a large one takes long
            document, unknown = check(APPLICATION, parse_json(config_json))
            content = (to_json(document) + "\n").encode()
            _check_size(len(content))
        except DocumentError as error:
            return ipc_pb2.IpcUpdateConfigResponse(
                success=False,
                error=f"config_json cannot be used: {error}; nothing was changed; "
                f"send a document as get_config returns it",
            )
        left = deadline.remaining()
        if not self._writing.acquire(timeout=-1 if left is None else left):
            raise _failure(f"{self._path} is still being written by another request; try again")
        try:
            self._application()
            self._write(content)
        finally:
            self._writing.release()
        if unknown:
            logger.bind(keys=unknown).warning("kept settings that this version does not know")
        return ipc_pb2.IpcUpdateConfigResponse(success=True)

    def key_variables(self) -> dict[str, tuple[str, ...]]:
        """Return the environment variables that may hold each provider's API key, best first.

        The models document's own come first, then those that this package knows.

        Raises:
            BackendError: As ``get`` does.
        """
        variables = dict(KEY_VARIABLES)
        for provider in self._models()["providers"]:
            name, first = provider["name"], provider["api_key_env"]
            others = (each for each in variables.get(name, ()) if each != first)
            variables[name] = (first, *others)
        return variables

    # Reading

    def _application(self) -> dict[str, Any]:
        return self._read(self._path, APPLICATION) or check(APPLICATION, {})[0]

    def _models(self) -> dict[str, Any]:
        own = self._read(self.models_path, MODELS)
        if own is not None:
            return own
        shipped = resources.files("opencode_sync.gateway").joinpath("models.json")
        return check(MODELS, parse_json(shipped.read_text("utf-8")))[0]

    def _read(self, path: Path, shape: Object) -> dict[str, Any] | None:
        try:
            content = read_small_file(path, private=False)
        except IpcConfigError as error:
            raise _failure(error.message.rstrip(".")) from error
        if content is None:
            return None
        try:
            return check(shape, parse_json(_decoded(content)))[0]
        except DocumentError as error:
            raise _failure(
                f"{path} is broken: {error}; correct it, or move it away to have the defaults"
            ) from error

    # Writing

    def _write(self, content: bytes) -> None:
        try:
            replace_file(self._path, content)
        except OSError as error:
            raise _failure(
                f"{self._path} cannot be written ({error.strerror or type(error).__name__}); "
                f"allow yourself to write it and its folder"
            ) from error


def _check_size(size: int) -> None:
    if size > MAX_FILE_SIZE:
        raise DocumentError(f"it has {size} bytes, more than the {MAX_FILE_SIZE} that are kept")


def _decoded(content: bytes) -> str:
    with contextlib.suppress(UnicodeDecodeError):
        return content.decode("utf-8")
    raise DocumentError("it is not UTF-8 text")


def _failure(message: str) -> BackendError:
    return BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, f"settings: {message}")
