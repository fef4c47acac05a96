"""The operation that runs a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations.base import Operation, PushSink, Request
from opencode_sync.operations.checks import (
    MAX_TEXT_BYTES,
    check_id,
    check_session_id,
    check_size,
    check_text,
    write_json,
)
from opencode_sync.operations.files import PromptFiles, encode_files
from opencode_sync.wire import ext_prompt_pb2, ipc_pb2

__all__ = ["AnswerPolicy", "prompt"]

R = TypeVar("R")

AnswerPolicy: TypeAlias = Literal["reject", "once", "always", "ask"]
"""What the backend does about a question: one of ``IpcAnswerPolicy``."""

_POLICIES: Final = {
    "reject": ext_prompt_pb2.IPC_ANSWER_POLICY_REJECT,
    "once": ext_prompt_pb2.IPC_ANSWER_POLICY_ONCE,
    "always": ext_prompt_pb2.IPC_ANSWER_POLICY_ALWAYS,
    "ask": ext_prompt_pb2.IPC_ANSWER_POLICY_ASK,
}


_PUSHES: Final = frozenset({"event"})

_LONGER: Final = 5.0
"""Seconds that the backend gets beyond the caller's own. The caller's time-out cancels the run;
were both the same, chance would decide which of the two the caller is told of."""


def prompt(
    session_id: str,
    text: str,
    *,
    model: str | None,
    agent: str | None,
    files: PromptFiles,
    system: str | None,
    schema: Mapping[str, Any] | None,
    permissions: AnswerPolicy,
    questions: AnswerPolicy,
    all_events: bool,
    result: Callable[[ext_prompt_pb2.IpcRunResult], R],
    sink: PushSink,
) -> Request[R]:
    """Run a prompt to its end.

    Args:
        session_id: Where.
        text: What to say.
        model: "provider/model"; None leaves it to OpenCode.
        agent: An agent's name; None leaves it to OpenCode.
        files: What goes with it.
        system: Instructions that come first.
        schema: A JSON schema that the result has to fit.
        permissions: What becomes of permission questions.
        questions: What becomes of the model's questions to the user.
        all_events: Whether all events of the run are pushed, or only those that call for attention.
        result: Turns the end of the run into what the caller gets, or raises why there is none.
        sink: Where the events go.
    """
    check_session_id(session_id)
    check_text(text, "text", "what the model shall do")
    check_size(text, "text", "send a part of it, or name a file for the model to read")
    encoded = encode_files(files)
    if not text.strip() and not encoded:
        raise IpcArgumentError(
            "text is blank and there are no files; give what the model shall do", field="text"
        )
    size = len(text.encode()) + sum(len(file.url) for file in encoded)
    if size > MAX_TEXT_BYTES:
        raise IpcArgumentError(
            f"files and text have {size} bytes together, and {MAX_TEXT_BYTES} is the most that can "
            "be sent; save large contents and give their paths",
            field="files",
        )
    if agent is not None:
        check_id(agent, "agent", "an agent's name", 'as list_agents gives it, or None for "build"')
    if system is not None:
        check_id(system, "system", "instructions", "or None for the agent's own")
        check_size(system, "system", "shorten it")
    provider_id, model_id = (None, None) if model is None else _split(model)
    request = ext_prompt_pb2.IpcPromptRequest(
        session_id=session_id,
        text=text,
        files=encoded,
        provider_id=provider_id,
        model_id=model_id,
        agent=agent,
        system=system,
        schema_json=None if schema is None else _checked_schema(schema),
        permissions=_POLICIES[permissions],
        questions=_POLICIES[questions],
        events=(
            ext_prompt_pb2.IPC_RUN_EVENTS_ALL
            if all_events
            else ext_prompt_pb2.IPC_RUN_EVENTS_ATTENTION
        ),
    )

    def encode(timeout: float) -> bytes:
        # The backend ends the run as well, should nobody be there any more to cancel it.
        timed = ext_prompt_pb2.IpcPromptRequest()
        timed.CopyFrom(request)
        timed.timeout_seconds = timeout + _LONGER
        return ipc_pb2.IpcClientMessage(prompt=timed).SerializeToString()

    operation = Operation(
        "prompt",
        "run_result",
        result,
        idempotent=False,
        needs_server=True,
        default_timeout="default_prompt_timeout",
        pushes=_PUSHES,
        cancellable=True,
    )
    return Request(operation, b"", encode, sink=sink)


def _split(model: object) -> tuple[str, str]:
    remedy = 'which is a provider and its model, such as "anthropic/claude-sonnet-4-5"'
    name = check_text(model, "model", remedy)
    provider, slash, rest = name.partition("/")
    if not slash or not provider.strip() or not rest.strip():
        raise IpcArgumentError(
            f"model is {ascii(name)[:100]}, which names no provider or no model of it; give "
            '"provider/model", such as "anthropic/claude-sonnet-4-5", or None for the session\'s',
            field="model",
        )
    return provider, rest


def _checked_schema(schema: object) -> str:
    if not isinstance(schema, Mapping):
        raise IpcArgumentError(
            f"schema is of type {type(schema).__name__}; give a JSON schema as a mapping, such as "
            '{"type": "object", "properties": {...}}',
            field="schema",
        )
    document = write_json(schema, "schema")
    check_text(document, "schema", "which is a JSON schema")
    check_size(document, "schema", "shorten it")
    return document
