"""Checks of a prompt's words before OpenCode gets them.

OpenCode answers an unknown model or agent with status 500 and no cause, and has stored the prompt
by then. So they are looked up first, and the answer names the field and the nearest known names.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import one_line
from opencode_sync.wire import ipc_pb2

__all__ = [
    "MAX_TEXT_BYTES",
    "Provider",
    "UnknownNameError",
    "check_agent",
    "check_file",
    "check_model",
    "check_schema",
    "check_size",
    "check_texts",
    "invalid",
    "providers",
]

MAX_TEXT_BYTES = 8_000_000
"""OpenCode 1.18 takes 8 MB of a prompt; at 9 MB it begins an answer that never ends."""

_SHORTEST_SECRET = 8
_SUGGESTIONS = 3
_LISTED = 10


class UnknownNameError(BackendError):
    """INVALID_MESSAGE: a session, model or agent that does not exist.

    Attributes:
        kind: The kind of ``IpcRunFailure`` that this is, where a run has one.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, message)
        self.kind = kind


class Provider(NamedTuple):
    """What a prompt has to know of a provider."""

    models: tuple[str, ...]
    secrets: tuple[str, ...]
    """Its keys: a provider's own error may quote them."""


def check_texts(**texts: str) -> None:
    """Refuse blank ones.

    Raises:
        BackendError: INVALID_MESSAGE, naming the field.
    """
    for field, value in texts.items():
        if not value.strip():
            raise invalid(f"{field} is {'blank' if value else 'empty'}; it is required")
    check_size(text=texts.get("text", ""))


def check_size(**texts: str) -> None:
    """Refuse what would be too much for OpenCode, all of it together.

    Raises:
        BackendError: INVALID_MESSAGE, naming the field that has most of it.
    """
    sizes = {field: len(value.encode("utf-8", "replace")) for field, value in texts.items()}
    total = sum(sizes.values())
    if total > MAX_TEXT_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        of_all = f" of {total}" if sizes[largest] < total else ""
        raise invalid(
            f"{largest} has {sizes[largest]}{of_all} bytes, more than the {MAX_TEXT_BYTES} that "
            f"OpenCode can take; put it into a file of the project and have the agent read that"
        )


def check_file(number: int, url: str, mime: str) -> None:
    """Refuse a file that OpenCode could not make anything of.

    Args:
        number: Its place among the prompt's files, from 0.
        url: Where it is, or its content.
        mime: Its type.

    Raises:
        BackendError: INVALID_MESSAGE, naming the field.
    """
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower() if colon else ""
    if scheme not in ("file", "data"):
        raise invalid(f"files[{number}].url begins with neither file:// nor data:")
    if scheme == "file" and not rest.startswith("///"):
        raise invalid(f"files[{number}].url is not file:// and an absolute path (file:///...)")
    if scheme == "data" and "," not in rest:
        raise invalid(f"files[{number}].url has no comma, after which the data would begin")
    if not mime.strip():
        raise invalid(f"files[{number}].mime is empty; it is required (text/plain, image/png, ...)")


def check_schema(text: str) -> Mapping[str, Any]:
    """Return a JSON schema.

    Raises:
        BackendError: INVALID_MESSAGE: it is no JSON object.
    """
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"schema_json is not JSON: {one_line(str(error), 200)}") from error
    if not isinstance(schema, dict):
        raise invalid("schema_json is JSON, but not an object; a JSON schema is one")
    return schema


def providers(document: object) -> dict[str, Provider] | None:
    """Return the connected providers by id, None if this is not what OpenCode answers.

    Args:
        document: The answer to ``GET /config/providers``, which holds keys.
    """
    listed = document.get("providers") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return None
    found = {}
    for each in listed:
        if isinstance(each, dict) and isinstance(each.get("id"), str):
            models = each.get("models")
            found[each["id"]] = Provider(
                models=tuple(models) if isinstance(models, dict) else (),
                secrets=tuple(_secrets(each)),
            )
    return found


def _secrets(provider: Mapping[str, Any]) -> Iterable[str]:
    options = provider.get("options")
    for key in (provider.get("key"), options.get("apiKey") if isinstance(options, dict) else None):
        if isinstance(key, str) and len(key) >= _SHORTEST_SECRET:
            yield key


def check_model(
    known: Mapping[str, Provider], provider_id: str, model_id: str, *, stale: bool
) -> Provider:
    """Return the provider if it has the model.

    Args:
        known: The connected providers.
        provider_id: The provider asked for.
        model_id: The model asked for.
        stale: Whether OpenCode has not read the newest keys yet.

    Raises:
        UnknownNameError: naming the field, with the nearest known names.
    """
    provider = known.get(provider_id)
    if provider is None:
        remedy = (
            "the key that was set for it is read when no run is going on in this project"
            if stale
            else "set a key for it, or configure it in OpenCode"
        )
        raise UnknownNameError(
            "unknown_model",
            f"provider_id: OpenCode has no connected provider {_shown(provider_id)} ({remedy})"
            f"{_nearest(provider_id, known)}",
        )
    if model_id not in provider.models:
        raise UnknownNameError(
            "unknown_model",
            f"model_id: {provider_id} has no model {_shown(model_id)}"
            f"{_nearest(model_id, provider.models)}",
        )
    return provider


def check_agent(documents: object, agent: str) -> None:
    """Refuse an agent that OpenCode does not list.

    Args:
        documents: The answer to ``GET /agent``.
        agent: The agent asked for.

    Raises:
        UnknownNameError: naming the field, with the nearest known names.
    """
    names = [
        each["name"]
        for each in (documents if isinstance(documents, list) else [])
        if isinstance(each, dict) and isinstance(each.get("name"), str)
    ]
    if agent not in names:
        raise UnknownNameError(
            "unknown_agent",
            f"agent: OpenCode has no agent {_shown(agent)}{_nearest(agent, names)}",
        )


def _nearest(wanted: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(wanted[:100], names, _SUGGESTIONS)
    if close:
        return f"; did you mean {' or '.join(map(_shown, close))}?"
    if not names:
        return ", nor any other"
    more = ", ..." if len(names) > _LISTED else ""
    return f"; it has {', '.join(map(_shown, names[:_LISTED]))}{more}"


def _shown(name: str) -> str:
    return f'"{one_line(name, 60)}"'


def invalid(message: str) -> BackendError:
    """Return the error for a field that cannot be right."""
    return BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, message)
