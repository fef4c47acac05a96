"""Prompts and streams of ``IpcClient``: its operations that are more than a question."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from opencode_sync import operations
from opencode_sync.answering import (
    OnPermission,
    OnQuestion,
    RunWatch,
    permission_policy,
    question_policy,
)
from opencode_sync.calls import Calls
from opencode_sync.cancel import CancelToken
from opencode_sync.deadline import Deadline
from opencode_sync.operations import Begin, Post, PromptFiles, Request
from opencode_sync.prompts import PromptResult, prompt_result
from opencode_sync.push_buffer import PushBuffer
from opencode_sync.streams import EventStream, PromptStream
from opencode_sync.wire.ext_event_pb2 import IpcEventPush
from opencode_sync.wire.ext_prompt_pb2 import IpcRunResult

__all__ = ["StreamingOperations", "prompt_request"]


def prompt_request(
    session_id: str,
    text: str,
    *,
    model: str | None,
    agent: str | None,
    files: PromptFiles,
    system: str | None,
    schema: Mapping[str, Any] | None,
    on_permission: OnPermission,
    on_question: OnQuestion,
    buffer: PushBuffer | None = None,
) -> Request[PromptResult]:
    """Return the request of a prompt, for one call only.

    All arguments but one are those of ``IpcClient.prompt``; ``buffer`` is where all events of the
    run go, None for a caller who wants none.
    """
    stream = buffer is not None
    permissions, decide = permission_policy(on_permission, stream=stream)
    questions, respond = question_policy(on_question, stream=stream)

    def result(answer: IpcRunResult) -> PromptResult:
        if buffer is not None:
            buffer.gap(answer.missed)
        return prompt_result(answer)

    return operations.prompt(
        session_id,
        text,
        model=model,
        agent=agent,
        files=files,
        system=system,
        schema=schema,
        permissions=permissions,
        questions=questions,
        all_events=stream,
        result=result,
        sink=RunWatch(decide, respond, buffer),
    )


class _Events:
    """Takes the pushes of one subscription; a ``PushSink``."""

    def __init__(self, buffer: PushBuffer) -> None:
        self._buffer = buffer

    def attach(self, call: Any, begin: Begin, post: Post) -> None:
        """See ``PushSink``."""
        call.when_done(lambda _: self._buffer.finish())

    def push(self, name: str, message: Any, size: int) -> None:
        """See ``PushSink``."""
        if isinstance(message, IpcEventPush):
            self._buffer.put(message.event, size, message.missed)
        else:
            self._buffer.open()


class StreamingOperations:
    """The operations of ``IpcClient`` whose results come piece by piece."""

    _calls: Calls

    def stream_prompt(
        self,
        session_id: str,
        text: str,
        *,
        model: str | None = None,
        agent: str | None = None,
        files: PromptFiles = (),
        system: str | None = None,
        schema: Mapping[str, Any] | None = None,
        on_permission: OnPermission = None,
        on_question: OnQuestion = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> PromptStream:
        """Send a prompt and return the run as a stream, at once; see ``PromptStream``.

        The arguments are those of ``prompt``, and besides ``on_permission`` and ``on_question`` may
        be ``"ask"``: then whoever reads the stream answers ``PermissionAsked`` with
        ``reply_permission`` and ``QuestionAsked`` with ``reply_question``, and the run waits.
        """
        buffer = self._new_buffer()
        request = prompt_request(
            session_id,
            text,
            model=model,
            agent=agent,
            files=files,
            system=system,
            schema=schema,
            on_permission=on_permission,
            on_question=on_question,
            buffer=buffer,
        )
        calls = self._calls
        return PromptStream(
            session_id,
            calls.begin(request, timeout, cancel),
            buffer,
            check_caller=calls.check_caller,
            may_block=calls.may_block,
            is_forked=calls.is_forked,
            patience=calls.options.shutdown_timeout,
        )

    def events(
        self,
        *,
        types: Iterable[str] = (),
        session_id: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        current: bool = False,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> EventStream:
        """Subscribe to the backend's events and return them as a stream; see ``EventStream``.

        Once this has returned no event is passed over.

        Args:
            types: OpenCode's names of the events; ``"session.*"`` stands for all that begin so.
                None at all: every kind.
            session_id: Events of this session and of those below it only.
            directory: Events of this project folder only; None for the client's, or else all.
            current: Whether the stream begins with what is so now, as far as the other arguments
                ask for it: ``session.status`` of each session at work, ``permission.asked`` and
                ``question.asked`` of each question that waits for an answer. These events have
                ``replayed`` set. What OpenCode does not say within 10 seconds is left out without a
                sign, and so is what goes beyond 1000 of them or 32 project folders. Our own
                gateway's extension: backends that do not know it, an older gateway among them,
                begin with what happens next.
            timeout: Seconds until the subscription has begun; None for the option's default.
            cancel: Ends the wait, and the stream.

        Raises:
            IpcUnsupportedOperationError: the backend has no events.
        """
        calls = self._calls
        calls.check_caller("events")
        buffer = self._new_buffer()
        request = operations.subscribe(types, session_id, directory, current=current)
        call = calls.open(replace(request, sink=_Events(buffer)), timeout, cancel)
        stream = EventStream(
            call,
            buffer,
            check_caller=calls.check_caller,
            may_block=calls.may_block,
            is_forked=calls.is_forked,
            patience=calls.options.shutdown_timeout,
        )
        try:
            if not buffer.wait_opened(Deadline.after(call.timeout)):
                call.expire()
            if not buffer.opened:
                stream.next_event(0)  # raises why
        except BaseException:
            call.cancel_by_token()  # an interrupt leaves nothing behind
            raise
        return stream

    def _new_buffer(self) -> PushBuffer:
        options = self._calls.options
        return PushBuffer(options.stream_buffer_size, options.max_message_size)
