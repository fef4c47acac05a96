"""One prompt and its answer, over OpenCode's blocking call.

The prompts of one session go to OpenCode one after another: at once, it would run some of them
together and answer several with one message. OpenCode sends nothing until the run has ended, which
takes minutes when the model's server fails and OpenCode tries again, so the deadline is the only
time-out. When it comes the run is aborted; going away would not stop it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from loguru import logger

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError, check_session_id
from opencode_sync.gateway.backends.message_ids import MessageIds
from opencode_sync.gateway.backends.opencode_checks import (
    Provider,
    check_agent,
    check_model,
    check_texts,
    providers,
)
from opencode_sync.gateway.backends.opencode_errors import server_error
from opencode_sync.gateway.backends.opencode_http import RefusedError, quote_id
from opencode_sync.gateway.backends.opencode_message_errors import hide_secrets
from opencode_sync.gateway.backends.opencode_messages import read_message
from opencode_sync.gateway.backends.opencode_parts import fill_diffs
from opencode_sync.gateway.backends.opencode_runs import answer_to, answers, has_ended
from opencode_sync.gateway.backends.opencode_servers import Binding
from opencode_sync.gateway.backends.opencode_tables import Oddities
from opencode_sync.wire import ipc_pb2, oc_message_pb2

__all__ = ["Prompt", "Prompts", "refresh_keys"]

_ABORT_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 2.0
_ALMOST_NOW = 0.05
"""Seconds before the deadline in which a failure counts as the deadline's: clocks are coarse."""


class Prompt(NamedTuple):
    """What is asked, of whom."""

    session_id: str
    text: str
    model_id: str
    provider_id: str
    agent: str | None


class _Turns:
    """A lock per session, kept as long as somebody holds or wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _turns
        self._turns: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def of(self, session_id: str, deadline: Deadline) -> Iterator[None]:
        """Wait for the session's turn, and hold it."""
        with self._lock:
            # Each session's own: held while one of its prompts runs.
            turn, users = self._turns.get(session_id, (threading.Lock(), 0))
            self._turns[session_id] = turn, users + 1
        left = deadline.remaining()
        taken = False
        try:
            taken = turn.acquire(timeout=-1 if left is None else min(left, threading.TIMEOUT_MAX))
            if not taken:
                raise server_error(
                    f"another prompt of session {session_id} was still running when the time for "
                    f"this one was over; it was not sent"
                )
            yield
        finally:
            if taken:
                turn.release()
            with self._lock:
                turn, users = self._turns[session_id]
                if users > 1:
                    self._turns[session_id] = turn, users - 1
                else:
                    del self._turns[session_id]


class Prompts:
    """Sends prompts and returns their answers. Any thread may call any method."""

    def __init__(self) -> None:
        self._ids = MessageIds()
        self._turns = _Turns()
        self._lock = threading.Lock()  # guards the next two
        self._running: dict[str, tuple[Binding, str]] = {}
        self._closed = False

    def send(
        self, binding: Binding, prompt: Prompt, deadline: Deadline
    ) -> oc_message_pb2.OcMessage:
        """See ``OpenCodeBackend.send_message``."""
        allowed = deadline.remaining()
        session_id = check_session_id(prompt.session_id)
        check_texts(text=prompt.text, model_id=prompt.model_id, provider_id=prompt.provider_id)
        with self._turns.of(session_id, deadline):
            directory = _directory(binding, session_id, deadline)
            provider = _check(binding, prompt, directory, deadline)
            if deadline.passed():
                raise server_error("the time allowed was over before the prompt could be sent")
            message_id = self._ids.next()
            with (
                binding.keys.running(directory, deadline),
                self._noted(binding, session_id, message_id),
            ):
                try:
                    document = _run(binding, prompt, message_id, deadline)
                except BackendError as error:
                    left = deadline.remaining()
                    if left is not None and left < _ALMOST_NOW:
                        raise _late(binding, session_id, allowed) from error
                    raise _explained(binding, session_id, error, deadline) from error
                document = _own(binding, session_id, message_id, document, deadline)
        message = _message(binding, document, provider)
        if any(part.HasField("patch") for part in message.assistant.parts):
            diffs = _diffs(binding, session_id, message_id, deadline)
            fill_diffs(message.assistant.parts, diffs)
        return message

    def close(self) -> None:
        """Abort what runs, so that nobody waits for it any longer; takes no more prompts."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        deadline = Deadline.after(_CLOSE_TIMEOUT)
        for binding, session_id in running:
            problem = _abort(binding, session_id, deadline)
            if problem is not None:
                logger.warning("A run of {} may go on in OpenCode: {}", session_id, problem)

    @contextmanager
    def _noted(self, binding: Binding, session_id: str, message_id: str) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise server_error("the gateway is closing; start it again to go on")
            self._running[message_id] = binding, session_id
        try:
            yield
        finally:
            with self._lock:
                del self._running[message_id]


def refresh_keys(
    binding: Binding, directory: str, provider_id: str | None, deadline: Deadline
) -> bool:
    """Have a directory's instance read new keys if it is idle; returns whether it knows them all.

    Args:
        binding: The server.
        directory: The instance's.
        provider_id: Whose key matters; None for all.
        deadline: For all of it.
    """
    where = {"directory": directory}

    def dispose() -> bool:
        status = binding.call("GET", "/session/status", where, deadline)
        # Who is idle is not in it. What cannot be read is no reason to abort somebody's run.
        if not isinstance(status, dict) or status:
            logger.info("OpenCode is busy in {} and does not read its new keys yet", directory)
            return False
        binding.call("POST", "/instance/dispose", where, deadline)
        return True

    return binding.keys.refresh(directory, provider_id, dispose, deadline)


# The steps...


def _directory(binding: Binding, session_id: str, deadline: Deadline) -> str:
    """Return where the session runs: its own directory, whatever directory is asked for."""
    try:
        session = binding.call("GET", f"/session/{quote_id(session_id)}", {}, deadline)
    except RefusedError as error:
        if error.refusal.status in (404, 414, 431):
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
                f"session_id: OpenCode has no session {session_id[:100]}; use an id that "
                f"list_sessions or create_session returned",
            ) from error
        raise
    directory = session.get("directory") if isinstance(session, dict) else None
    if not isinstance(directory, str):
        raise binding.misshapen("GET /session/{id}", "a session with a directory")
    return directory


def _check(binding: Binding, prompt: Prompt, directory: str, deadline: Deadline) -> Provider:
    fresh = refresh_keys(binding, directory, prompt.provider_id, deadline)
    where = {"directory": directory}
    known = providers(binding.call("GET", "/config/providers", where, deadline))
    if known is None:
        raise binding.misshapen("GET /config/providers", "a list of providers")
    provider = check_model(known, prompt.provider_id, prompt.model_id, stale=not fresh)
    if prompt.agent:
        check_agent(binding.call("GET", "/agent", where, deadline), prompt.agent)
    return provider


def _run(binding: Binding, prompt: Prompt, message_id: str, deadline: Deadline) -> object:
    body = {
        "messageID": message_id,
        "parts": [{"type": "text", "text": prompt.text}],
        "model": {"providerID": prompt.provider_id, "modelID": prompt.model_id},
        # Without one OpenCode takes its default agent.
        **({"agent": prompt.agent} if prompt.agent else {}),
    }
    path = f"/session/{quote_id(prompt.session_id)}/message"
    # A connection of its own: minutes long, and never one that the server has already let go.
    answer: object = binding.call("POST", path, {}, deadline, body, fresh=True)
    return answer


def _own(
    binding: Binding, session_id: str, message_id: str, document: object, deadline: Deadline
) -> object:
    """Return the answer to our own prompt, which need not be the one that was returned."""
    if answers(document, message_id):
        return document
    path = f"/session/{quote_id(session_id)}/message"
    # The run has ended: this takes milliseconds, and should not fail for want of them.
    moment = Deadline.after(_ABORT_TIMEOUT) if deadline.passed() else deadline
    messages = binding.call("GET", path, {}, moment)
    if not isinstance(messages, list):
        raise binding.misshapen("GET /session/{id}/message", "a list of messages")
    own = answer_to(messages, message_id)
    if own is None:
        raise server_error(
            f"OpenCode answered another program's prompt in session {session_id} together with "
            f"this one, and has no answer to this one alone; read the session's messages"
        )
    return own


def _diffs(binding: Binding, session_id: str, message_id: str, deadline: Deadline) -> object:
    path = f"/session/{quote_id(session_id)}/diff"
    try:
        answer: object = binding.call("GET", path, {"messageID": message_id}, deadline)
    except BackendError as error:  # the answer is worth more than its diffs
        logger.warning("The changes of a run cannot be read: {}", error.message)
        return None
    return answer


def _message(binding: Binding, document: object, provider: Provider) -> oc_message_pb2.OcMessage:
    odd = Oddities()
    message = read_message(document, odd)
    if message is None or not message.HasField("assistant"):
        raise binding.misshapen("POST /session/{id}/message", "an assistant's message")
    if odd:
        logger.debug("OpenCode's answer held what the schema cannot carry: {}", dict(odd))
    assistant = message.assistant
    if not has_ended(document) and not assistant.parts:
        # As OpenCode leaves it when a run is aborted between two tries.
        assistant.error.aborted.name = "MessageAbortedError"
        assistant.error.aborted.message = "the run ended without an answer: it was aborted"
    if assistant.HasField("error"):
        hide_secrets(assistant.error, provider.secrets)
    return message


# When it fails...


def _late(binding: Binding, session_id: str, allowed: float | None) -> BackendError:
    problem = _abort(binding, session_id, Deadline.after(_ABORT_TIMEOUT))
    outcome = "the run was aborted" if problem is None else f"aborting the run failed: {problem}"
    return server_error(
        f"the answer took longer than {allowed or 0.0:.4g} s; {outcome}; allow more time, or ask "
        f"for less at once"
    )


def _abort(binding: Binding, session_id: str, deadline: Deadline) -> str | None:
    """Abort what runs in a session; returns what went wrong, None for nothing."""
    try:
        binding.call("POST", f"/session/{quote_id(session_id)}/abort", {}, deadline, fresh=True)
    except BackendError as error:
        return error.message
    return None


def _explained(
    binding: Binding, session_id: str, error: BackendError, deadline: Deadline
) -> BackendError:
    """Return a better error for a status 500, which has no cause of its own, if one is found."""
    if not isinstance(error, RefusedError) or error.refusal.status != 500:
        return error
    try:
        binding.call("GET", f"/session/{quote_id(session_id)}", {}, deadline)
    except RefusedError as gone:
        if gone.refusal.is_not_found:
            return server_error(f"session {session_id} was deleted while its prompt ran")
    except BackendError as other:
        logger.debug("Cannot find out why OpenCode refused a prompt: {}", other.message)
    return error
