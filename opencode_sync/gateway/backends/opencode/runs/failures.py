"""Why a run failed, in the words of ``IpcRunFailure``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from opencode_sync.gateway.backends.opencode.errors import one_line
from opencode_sync.gateway.backends.opencode.mapping.message_errors import (
    error_object,
    without_secrets,
)
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.runs.events import BROKEN_OFF
from opencode_sync.gateway.backends.opencode.runs.stop import Stop, Why
from opencode_sync.wire import ext_event_pb2
from opencode_sync.wire import ext_prompt_pb2 as pb

__all__ = ["failure", "failure_of_error", "failure_of_message", "failure_of_stop"]

_KINDS = {
    "APIError": "api",
    "ContentFilterError": "content_filter",
    "ContextOverflowError": "context_overflow",
    "MessageAbortedError": "aborted",
    "MessageOutputLengthError": "output_length",
    "ProviderAuthError": "provider_auth",
    "ProviderModelNotFoundError": "unknown_model",
    "StructuredOutputError": "structured_output",
}
_BY_STATUS = {401: "provider_auth", 403: "provider_auth", 429: "rate_limited"}
_BY_WORDS = (  # of an UnknownError, which is all that OpenCode makes of these
    (re.compile(r"(model|provider) not found", re.IGNORECASE), "unknown_model"),
    (re.compile(r"agent not found", re.IGNORECASE), "unknown_agent"),
    (re.compile(r"session not found", re.IGNORECASE), "unknown_session"),
)
_WORDS = {
    "aborted": "the run was aborted",
    "output_length": "the answer reached the model's limit of output tokens",
    "structured_output": "the model gave no result that fits the schema",
    "permission_rejected": "the run ended because what it asked was refused",
}
_LATER = frozenset({"incomplete", "rate_limited", "server", "timeout"})
"""Kinds of failure of which the same prompt may know nothing a while later."""

_LONGEST = 2000


def failure(
    kind: str, message: str = "", *, provider_id: str = "", later: bool = False
) -> pb.IpcRunFailure:
    """Return a failure.

    Args:
        kind: See ``IpcRunFailure``.
        message: For people; "" for what is always said of this kind.
        provider_id: Whose model it was, if that is known.
        later: Whether the same prompt may succeed later, whatever is thought of the kind.
    """
    return pb.IpcRunFailure(
        kind=kind,
        message=clean(message) or _WORDS.get(kind, kind),
        retryable=later or kind in _LATER,
        provider_id=clean(provider_id),
    )


def failure_of_error(
    error: Mapping[str, Any], secrets: Iterable[str], provider_id: str = ""
) -> pb.IpcRunFailure:
    """Return the failure that an error of OpenCode's (``{"name": ..., "data": ...}``) means.

    Args:
        error: From a message, or from a ``session.error`` event.
        secrets: Keys that the provider may have quoted.
        provider_id: Whose model it was, where the error does not say.
    """
    name, data = error.get("name"), error.get("data")
    data = data if isinstance(data, dict) else {}
    words = data.get("message")
    words = one_line(words, _LONGEST) if isinstance(words, str) else ""
    kind = _KINDS.get(name, "unknown") if isinstance(name, str) else "unknown"
    status = data.get("statusCode")
    if kind == "unknown":
        kind = next((each for pattern, each in _BY_WORDS if pattern.match(words)), kind)
        words = words or str(name or "")
    elif kind == "api" and isinstance(status, int):
        kind = _BY_STATUS.get(status, kind)
    provider = data.get("providerID")
    result = failure(
        kind,
        without_secrets(words, secrets),
        provider_id=provider if isinstance(provider, str) and provider else provider_id,
        later=data.get("isRetryable") is True,
    )
    if isinstance(status, int) and 0 < status < 1000:
        result.status = status
    return result


def failure_of_message(
    document: Mapping[str, Any] | None,
    secrets: Iterable[str],
    *,
    rejected: bool,
    structured: bool,
) -> pb.IpcRunFailure | None:
    """Return why a run failed that ended with this message, None if it did not.

    Args:
        document: The run's last message; None if the model did not even begin one.
        secrets: Keys that the provider may have quoted.
        rejected: Whether something that the run asked was refused.
        structured: Whether the result has to fit a schema.
    """
    info = document.get("info") if document is not None else None
    if not isinstance(info, dict):
        return failure("aborted", "the run ended before the model began to answer: it was aborted")
    provider_id = info.get("providerID")
    provider_id = provider_id if isinstance(provider_id, str) else ""
    error, finish = error_object(info.get("error")), info.get("finish")
    if error is not None:
        return failure_of_error(error, secrets, provider_id)
    kind = None
    if not finish:
        # As OpenCode leaves it when a run is aborted between two tries.
        kind = "aborted"
    elif finish == "length":
        kind = "output_length"
    elif info.get("structured") is not None:
        return None
    elif finish == "tool-calls" and rejected:
        kind = "permission_rejected"
    elif structured:
        kind = "structured_output"
    return None if kind is None else failure(kind, provider_id=provider_id)


def failure_of_stop(
    stop: Stop, why: Why, outcome: str, retries: Iterable[ext_event_pb2.IpcRetry] = ()
) -> pb.IpcRunFailure:
    """Return the failure of a run that was ended from here.

    Args:
        stop: What watched over it.
        why: Why it was ended.
        outcome: What became of it: "the run was aborted".
        retries: What OpenCode had tried again meanwhile.
    """
    if why is Why.CLOSING:
        return failure("server", f"the gateway is closing; {outcome}")
    if why is Why.CANCELLED:
        return failure("cancelled", f"the request was cancelled ({stop.reason}); {outcome}")
    if why is Why.INCOMPLETE:
        return failure(
            "incomplete",
            f"the provider ended its answers in the middle, {BROKEN_OFF} times in a row and "
            f"without saying why; {outcome}; send the prompt again later, choose another model, or "
            f"see whether a proxy on the way to the provider cuts its answers",
        )
    last = list(retries)[-1:]
    tried = f" (OpenCode was trying again after: {last[0].message})" if last else ""
    seconds = round(stop.allowed or 0.0, 1)
    return failure(
        "timeout",
        f"the answer took longer than {seconds:g} s{tried}; {outcome}; allow more time, or ask for "
        f"less at once",
    )
