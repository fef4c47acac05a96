"""What a client does by itself about the events of a run: tell of retries, answer questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, Literal, TypeAlias

from opencode_sync.call import Call
from opencode_sync.errors import IpcArgumentError
from opencode_sync.logger import logger
from opencode_sync.operations import (
    AnswerPolicy,
    Begin,
    Post,
    Request,
    reply_permission,
    reply_question,
)
from opencode_sync.push_buffer import PushBuffer
from opencode_sync.run_events import (
    PermissionAsked,
    PermissionReply,
    QuestionAsked,
    RetryScheduled,
    run_event,
)
from opencode_sync.wire.ext_event_pb2 import IpcEvent, IpcEventPush

__all__ = [
    "OnPermission",
    "OnQuestion",
    "RunWatch",
    "permission_policy",
    "question_policy",
]

PermissionVerdict: TypeAlias = Literal["once", "always", "reject"] | PermissionReply
OnPermission: TypeAlias = (
    Literal["reject", "once", "always", "ask"]
    | Callable[[PermissionAsked], PermissionVerdict]
    | None
)
"""What becomes of permission questions; see ``IpcClient.prompt``."""

QuestionVerdict: TypeAlias = Sequence[Sequence[str]] | Sequence[str] | None
OnQuestion: TypeAlias = Literal["reject", "ask"] | Callable[[QuestionAsked], QuestionVerdict] | None
"""What becomes of the model's questions; see ``IpcClient.prompt``."""

_MAX_QUESTIONS: Final = 1_000
"""Questions of one run that a callable is asked; no sane run has as many."""

_NO_ANSWER: Final = (
    "The user's program could not answer this question. Go on without it, or in another way."
)


def permission_policy(value: Any, *, stream: bool) -> tuple[AnswerPolicy, Any]:
    """Return what the backend is told, and the callable to ask, if there is one.

    Raises:
        IpcArgumentError: ``value`` is no policy.
    """
    return _policy("on_permission", value, ("reject", "once", "always"), stream=stream)


def question_policy(value: Any, *, stream: bool) -> tuple[AnswerPolicy, Any]:
    """Return the same for the model's questions."""
    return _policy("on_question", value, ("reject",), stream=stream)


def _policy(
    field: str, value: Any, words: tuple[AnswerPolicy, ...], *, stream: bool
) -> tuple[AnswerPolicy, Any]:
    if value is None:
        return "reject", None
    if not isinstance(value, str):
        if callable(value):
            return "ask", value
        problem = f"is of type {type(value).__name__}"
    elif value in words:
        return value, None
    elif value == "ask":
        if stream:
            return "ask", None
        problem = 'is "ask", and nobody could answer while this call waits'
    else:
        problem = f"is {ascii(value)[:60]}"
    allowed = ", ".join(f'"{word}"' for word in (*words, *(("ask",) if stream else ())))
    remedy = f"give {allowed} or a function"
    if value == "ask":
        remedy += ", or use stream_prompt"
    raise IpcArgumentError(f"{field} {problem}; {remedy}", field=field)


class RunWatch:
    """Takes the pushes of one run; a ``PushSink``."""

    def __init__(
        self,
        on_permission: Callable[[PermissionAsked], Any] | None,
        on_question: Callable[[QuestionAsked], Any] | None,
        buffer: PushBuffer | None,
    ) -> None:
        """Make the watch over a run that is still to begin.

        Args:
            on_permission: Asked about permissions, on the notifier thread.
            on_question: Asked the model's questions, likewise.
            buffer: Gets all events.
        """
        self._on_permission = on_permission
        self._on_question = on_question
        self._buffer = buffer
        self._asked: set[str] = set()  # ids; the reader's own
        # Set before the first push.
        self._call: Call[Any]
        self._begin: Begin
        self._post: Post

    def attach(self, call: Any, begin: Begin, post: Post) -> None:
        """See ``PushSink``."""
        self._call, self._begin, self._post = call, begin, post
        if self._buffer is not None:
            buffer = self._buffer
            call.when_done(lambda _: buffer.finish())

    def push(self, name: str, message: IpcEventPush, size: int) -> None:
        """See ``PushSink``."""
        event = message.event
        if self._buffer is not None:
            self._buffer.put(event, size, message.missed)
        if event.HasField("retry") or _is_question(event):
            self._attend(event)

    def _attend(self, event: IpcEvent) -> None:
        seen = run_event(event)
        if isinstance(seen, RetryScheduled):
            logger.bind(session_id=seen.session_id, attempt=seen.attempt).warning(
                "the model's provider refused, and OpenCode tries again: {}", seen.message
            )
        elif isinstance(seen, PermissionAsked) and self._on_permission is not None:
            self._ask(seen, self._decide, _reject(seen))
        elif isinstance(seen, QuestionAsked) and self._on_question is not None:
            self._ask(seen, self._respond, _dismiss(seen))

    def _ask(
        self,
        asked: PermissionAsked | QuestionAsked,
        answer: Callable[[Any], Request[None]],
        refusal: Request[None],
    ) -> None:
        """Have the user's function answer, once: what was read again may come again."""
        if asked.id in self._asked:
            return
        if len(self._asked) >= _MAX_QUESTIONS:
            logger.bind(id=asked.id).warning("a run asks too much; nobody is asked any more")
            self._send(refusal)
            return
        self._asked.add(asked.id)
        self._post(self._answer, asked, answer, refusal)

    # --- Notifier thread ---

    def _answer(
        self,
        asked: PermissionAsked | QuestionAsked,
        answer: Callable[[Any], Request[None]],
        refusal: Request[None],
    ) -> None:
        if self._call.claimed:
            return  # nobody waits for the answer any more
        try:
            reply = answer(asked)
        except BaseException:
            self._send(refusal)
            raise  # the notifier tells of it
        self._send(reply)

    def _decide(self, asked: PermissionAsked) -> Request[None]:
        assert self._on_permission is not None  # or nobody had asked
        verdict = self._on_permission(asked)
        if not isinstance(verdict, PermissionReply):
            verdict = PermissionReply(verdict)
        return reply_permission(
            asked.id, verdict.reply, message=verdict.message, directory=asked.directory or None
        )

    def _respond(self, asked: QuestionAsked) -> Request[None]:
        assert self._on_question is not None  # or nobody had asked
        answers = self._on_question(asked)
        if isinstance(answers, str):
            answers = [answers]
        if (
            len(asked.items) == 1
            and isinstance(answers, Sequence)
            and all(isinstance(label, str) for label in answers)
        ):
            answers = [answers]  # the labels of the one question
        if answers is not None and len(answers) != len(asked.items):
            raise IpcArgumentError(
                f"on_question gave {len(answers)} answers to {len(asked.items)} questions; give a "
                "list of labels for each, or None",
                field="on_question",
            )
        return reply_question(asked.id, answers, directory=asked.directory or None)

    # --- Any thread ---

    def _send(self, reply: Request[None]) -> None:
        if not self._call.claimed:
            self._begin(reply).when_done(self._sent)

    def _sent(self, reply: Future[None]) -> None:
        error = reply.exception()
        if error is not None and not self._call.claimed:
            logger.warning("a question of the run may go unanswered: {}", error)


def _is_question(event: IpcEvent) -> bool:
    return event.HasField("question") or event.event.HasField("permission_asked")


def _reject(asked: PermissionAsked) -> Request[None]:
    return reply_permission(
        asked.id or "?", "reject", message=_NO_ANSWER, directory=asked.directory or None
    )


def _dismiss(asked: QuestionAsked) -> Request[None]:
    return reply_question(asked.id or "?", None, directory=asked.directory or None)
