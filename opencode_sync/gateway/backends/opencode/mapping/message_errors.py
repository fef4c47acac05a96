"""Why a run failed, in OpenCode's JSON (``info.error``), as the schema's message.

OpenCode has more names for errors than the schema has messages: those without one of their own
become an ``OcUnknownError`` that keeps the name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf import struct_pb2
from google.protobuf.message import Message

from opencode_sync.gateway.backends.opencode.errors import one_line
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    flag,
    int32,
    struct,
    text,
)
from opencode_sync.masking import mask_keys
from opencode_sync.wire import oc_message_error_pb2 as pb

__all__ = ["error_object", "hide_secrets", "message_error", "read_error", "without_secrets"]

_HIDDEN = "[key]"
_NAMELESS = "UnknownError"
"""OpenCode's own name for what it has no name for."""


class _Error(NamedTuple):
    """One name: its field in the schema's OcMessageError, and the table of its ``data``."""

    name: str
    table: Table
    words: str = ""
    """The message, where OpenCode gives none."""


def _error(
    name: str, fields: Mapping[str, Field], left_out: Iterable[str] = (), words: str = ""
) -> _Error:
    table = Table({"message": Field("message", text), **fields}, frozenset(left_out))
    return _Error(name, table, words)


_ERRORS: Mapping[str, _Error] = {
    "APIError": _error(
        "api",
        {
            "statusCode": Field("status", int32),  # absent when the model cannot be reached
            "responseHeaders": Field("headers", struct),
            "responseBody": Field("cause", text),  # and the code in it: _code_of
            "isRetryable": Field("retryable", flag),
        },
        left_out=("metadata",),
    ),
    "ProviderAuthError": _error("provider_auth", {"providerID": Field("provider_id", text)}),
    "MessageOutputLengthError": _error(
        "output_length",
        {"maxTokens": Field("max_tokens", int32)},  # not in OpenCode's JSON; the schema has it
        words="the answer reached the model's limit of output tokens",
    ),
    "MessageAbortedError": _error("aborted", {}, words="the run was aborted"),
    "UnknownError": _error("unknown", {"ref": Field("cause", text)}),
    "ContextOverflowError": _error("unknown", {"responseBody": Field("cause", text)}),
    "StructuredOutputError": _error("unknown", {}, left_out=("retries",)),
    "ContentFilterError": _error("unknown", {}),
}
_OTHER = _error("unknown", {"ref": Field("cause", text), "responseBody": Field("cause", text)})


def error_object(value: object) -> Mapping[str, Any] | None:
    """Return an error as ``{"name": ..., "data": {...}}``, None if there is none.

    Of another version's shape at least the words are kept: a run that failed must never look like
    one that succeeded.
    """
    if not value:
        return None
    fields: Mapping[str, Any] = value if isinstance(value, dict) else {}
    name, data = fields.get("name"), fields.get("data")
    named = isinstance(name, str) and name != ""
    words = value if isinstance(value, str) else fields.get("message")
    if named and (data or not isinstance(words, str)):
        return fields
    return {
        "name": name if named else _NAMELESS,
        "data": {"message": words, **(data if isinstance(data, dict) else {})},
    }


def read_error(document: object, odd: Oddities, path: str = "error") -> pb.OcMessageError | None:
    """Return an error, or None if there is none.

    Args:
        document: As ``error_object`` takes it.
        odd: Gets a count for everything that could not be carried.
        path: What to count it under.
    """
    error_json = error_object(document)
    if error_json is None:
        return None
    if error_json is not document:
        odd[path] += 1
    name: str = error_json["name"]
    known = _ERRORS.get(name)
    if known is None:
        odd[f"{path}.name={one_line(name, 40)}"] += 1
        known = _OTHER
    error = pb.OcMessageError()
    target = getattr(error, known.name)
    target.name = clean(name)
    data = error_json.get("data")
    if isinstance(data, dict):
        fill(target, known.table, data, odd, f"{path}.{one_line(name, 40)}")
    else:
        odd[f"{path}.data"] += data is not None
    target.message = target.message or known.words or target.name
    if isinstance(target, pb.OcApiError):
        code = _code_of(target.cause)
        if code:
            target.code = clean(code)
    return error


def message_error(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    """A failed run's error, told apart by its ``name``."""
    error = read_error(value, odd, path)
    if error is None:
        return False
    getattr(target, name).CopyFrom(error)
    return True


def _code_of(body: str) -> str | None:
    """Return the provider's own code (``"insufficient_quota"``) in its answer's body."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = document.get("error") if isinstance(document, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, bool) or not isinstance(code, (str, int)):
        return None
    return str(code)


def hide_secrets(error: pb.OcMessageError, secrets: Iterable[str]) -> None:
    """Take a provider's keys out of its own words, in which it may have quoted them."""
    secrets = tuple(secrets)
    kind = error.WhichOneof("error")
    if kind is None:
        return
    target = getattr(error, kind)
    for field, value in target.ListFields():
        if isinstance(value, str):
            setattr(target, field.name, without_secrets(value, secrets))
        elif isinstance(value, struct_pb2.Struct):
            for each in value.fields.values():
                if each.WhichOneof("kind") == "string_value":
                    each.string_value = without_secrets(each.string_value, secrets)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a provider's words without the keys in them, known or of a key's shape."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return mask_keys(text)
