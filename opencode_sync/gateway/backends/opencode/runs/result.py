"""What a run has produced, from the session's messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.history import message_documents
from opencode_sync.gateway.backends.opencode.http.client import RefusedError, quote_id
from opencode_sync.gateway.backends.opencode.mapping.message_errors import (
    hide_secrets,
    without_secrets,
)
from opencode_sync.gateway.backends.opencode.mapping.messages import read_message
from opencode_sync.gateway.backends.opencode.mapping.parts import fill_diffs
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.mapping.tables import Oddities
from opencode_sync.gateway.backends.opencode.runs.answers import answers, answers_to, has_ended
from opencode_sync.gateway.backends.opencode.runs.events import RunEvents
from opencode_sync.gateway.backends.opencode.runs.failures import (
    failure,
    failure_of_error,
    failure_of_message,
    failure_of_stop,
)
from opencode_sync.gateway.backends.opencode.runs.run import Outcome, SessionGoneError
from opencode_sync.gateway.backends.opencode.runs.stop import Stop
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.logger import logger
from opencode_sync.wire import ext_prompt_pb2 as pb
from opencode_sync.wire import oc_message_pb2

__all__ = ["explained", "read_message_of", "read_result"]

_FIRST_LOOK = 50
"""Messages that are read first: a run is the last of its session, and a session may be long."""
_MORE = 8
_GOING_ON = frozenset({None, "", "tool-calls", "unknown"})
"""What a message's end is called after which OpenCode calls the model again."""
_READ_TIMEOUT = 5.0
"""Seconds for reading what an ended run has left, whatever was left of its own time."""


def read_result(
    binding: Binding,
    session_id: str,
    message_id: str,
    outcome: Outcome,
    events: RunEvents,
    stop: Stop,
    *,
    secrets: tuple[str, ...],
    structured: bool,
) -> pb.IpcRunResult:
    """Return what came of a run that was sent. Sends what its events lacked of the texts.

    Args:
        binding: The server; need not live any longer.
        session_id: Where the prompt went.
        message_id: What it became.
        outcome: How the run ended.
        events: What followed it; the subscription has been closed.
        stop: What watched over it.
        secrets: Keys that a provider may have quoted.
        structured: Whether the result has to fit a schema.
    """
    deadline = Deadline.after(_READ_TIMEOUT)
    try:
        documents = _messages_of(binding, session_id, message_id, deadline)
    except BackendError as error:
        logger.info("The messages of a run are those that its events showed: {}", error.message)
        documents = events.documents()
        last = outcome.document
        if isinstance(last, dict) and answers(last, message_id):
            documents = [each for each in documents if _id_of(each) != _id_of(last)]
            documents.append(last)
    events.catch_up(documents)
    result = pb.IpcRunResult(
        session_id=session_id,
        user_message_id=message_id,
        messages=_read_answers(binding, session_id, message_id, documents, secrets, deadline),
        retries=events.retries,
    )
    final = documents[-1] if documents else None
    for each in documents:
        value = each["info"].get("structured")
        if value is not None:
            result.structured_json = clean(json.dumps(value, ensure_ascii=False))
    if final is not None and isinstance(final["info"].get("finish"), str):
        result.finish = clean(final["info"]["finish"])
    failed = failure_of_message(final, secrets, rejected=events.rejected, structured=structured)
    if outcome.error is not None:
        failed = _failure_of_refusal(binding, session_id, outcome.error, events, secrets)
    elif outcome.stopped is not None and not (failed is None and _is_complete(result)):
        failed = failure_of_stop(stop, outcome.stopped, outcome.told, events.retries)
    elif final is None and _role_of(outcome.document) == "assistant":
        failed = failure("server", _not_ours(session_id).message)
    if failed is not None:
        result.failure.CopyFrom(failed)
    return result


def read_message_of(
    binding: Binding,
    session_id: str,
    message_id: str,
    outcome: Outcome,
    secrets: tuple[str, ...],
) -> oc_message_pb2.OcMessage | None:
    """Return the last message of a run that was sent, None if it is not there, or not complete.

    Raises:
        BackendError: it cannot be read; somebody else's prompt got the answer.
    """
    deadline = Deadline.after(_READ_TIMEOUT)
    document = outcome.document
    role = _role_of(document)
    if role != "assistant" and (role == "user" or outcome.stopped is not None):
        return None  # the run was aborted before the model began
    if not answers(document, message_id):
        # That of the call need not be ours.
        documents = _messages_of(binding, session_id, message_id, deadline)
        if not documents:
            raise _not_ours(session_id)
        document = documents[-1]
    if outcome.stopped is not None and not _is_finished(document):
        return None
    messages = _read_answers(binding, session_id, message_id, [document], secrets, deadline)
    if not messages:
        raise binding.misshapen("POST /session/{id}/message", "an assistant's message")
    return messages[0]


def explained(binding: Binding, session_id: str, error: BackendError) -> BackendError:
    """Return a better error for a status 500, which has no cause of its own, if one is found."""
    return SessionGoneError(session_id) if _is_deleted(binding, session_id, error) else error


# Failures...


def _failure_of_refusal(
    binding: Binding,
    session_id: str,
    error: BackendError,
    events: RunEvents,
    secrets: tuple[str, ...],
) -> pb.IpcRunFailure:
    if _is_deleted(binding, session_id, error):
        return failure("unknown_session", SessionGoneError(session_id).message)
    if isinstance(error, RefusedError) and events.errors:
        return failure_of_error(events.errors[-1], secrets)
    return failure("server", without_secrets(error.message, secrets))


def _is_deleted(binding: Binding, session_id: str, error: BackendError) -> bool:
    if not isinstance(error, RefusedError):
        return isinstance(error, SessionGoneError)
    if error.refusal.status != 500:
        return error.refusal.is_not_found
    try:
        path = f"/session/{quote_id(session_id)}"
        binding.call("GET", path, {}, Deadline.after(_READ_TIMEOUT))
    except RefusedError as gone:
        return gone.refusal.is_not_found
    except BackendError as other:
        logger.debug("Cannot find out why OpenCode refused a prompt: {}", other.message)
    return False


def _not_ours(session_id: str) -> BackendError:
    return server_error(
        f"OpenCode answered another program's prompt in session {session_id} together with this "
        f"one, and has no answer to this one alone; read the session's messages"
    )


def _is_complete(result: pb.IpcRunResult) -> bool:
    """Return whether a run that was to be ended had come to its end by itself."""
    return bool(result.structured_json) or result.finish not in _GOING_ON


def _is_finished(document: object) -> bool:
    info = document.get("info") if isinstance(document, dict) else None
    return isinstance(info, dict) and not info.get("error") and info.get("finish") not in _GOING_ON


def _role_of(document: object) -> object:
    info = document.get("info") if isinstance(document, dict) else None
    return info.get("role") if isinstance(info, dict) else None


# Messages...


def _messages_of(
    binding: Binding, session_id: str, message_id: str, deadline: Deadline
) -> list[Mapping[str, Any]]:
    """Return OpenCode's messages of the run that our message began, the oldest first.

    Raises:
        BackendError: as ``Binding.call`` does.
    """
    limit = _FIRST_LOOK
    while True:
        listed = message_documents(binding, session_id, limit, deadline)
        if len(listed) < limit or any(_id_of(each) == message_id for each in listed):
            return answers_to(listed, message_id)
        limit *= _MORE


def _id_of(document: object) -> object:
    info = document.get("info") if isinstance(document, dict) else None
    return info.get("id") if isinstance(info, dict) else None


def _read_answers(
    binding: Binding,
    session_id: str,
    message_id: str,
    documents: Iterable[object],
    secrets: Iterable[str],
    deadline: Deadline,
) -> list[oc_message_pb2.OcMessage]:
    """Return the model's messages as the schema's.

    Args:
        binding: Asked for what changed in files, if any did.
        session_id: Theirs.
        message_id: Of the prompt that they answer.
        documents: OpenCode's JSON; what is no message of a model's is passed over.
        secrets: Keys that a provider may have quoted.
        deadline: For asking.
    """
    odd = Oddities()
    messages = []
    secrets = tuple(secrets)
    for document in documents:
        message = read_message(document, odd)
        if message is None or not message.HasField("assistant"):
            odd["message"] += 1
            continue
        assistant = message.assistant
        if not has_ended(document) and not assistant.parts:
            # As OpenCode leaves it when a run is aborted between two tries.
            assistant.error.aborted.name = "MessageAbortedError"
            assistant.error.aborted.message = "the run ended without an answer: it was aborted"
        if assistant.HasField("error"):
            hide_secrets(assistant.error, secrets)
        messages.append(message)
    if odd:
        logger.debug("OpenCode's answer held what the schema cannot carry: {}", dict(odd))
    patched = [
        each.assistant
        for each in messages
        if any(part.HasField("patch") for part in each.assistant.parts)
    ]
    if patched:
        diffs = _diffs(binding, session_id, message_id, deadline)
        for each in patched:
            fill_diffs(each.parts, diffs)
    return messages


def _diffs(binding: Binding, session_id: str, message_id: str, deadline: Deadline) -> object:
    path = f"/session/{quote_id(session_id)}/diff"
    try:
        diffs: object = binding.call("GET", path, {"messageID": message_id}, deadline)
    except BackendError as error:  # the answer is worth more than what it changed
        logger.warning("OpenCode does not say what the answer changed: {}", error.message)
        return []
    return diffs
