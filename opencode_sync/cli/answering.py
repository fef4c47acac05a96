"""One prompt and its answer, shown while it is written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opencode_sync.cli.asking import ask_permission, ask_questions, permission_text
from opencode_sync.cli.errors import CommandError
from opencode_sync.cli.screen import Screen
from opencode_sync.errors import IpcServerError, IpcSlowConsumerError
from opencode_sync.printable import printable
from opencode_sync.run_events import (
    PermissionAsked,
    QuestionAsked,
    ReasoningDelta,
    RetryScheduled,
    RunEvent,
    TextDelta,
    ToolUpdate,
)

if TYPE_CHECKING:
    from opencode_sync import IpcClient, PromptResult, PromptStream
    from opencode_sync.types import ToolCall

__all__ = ["Answer", "Prompting", "answer", "answer_record", "summary"]

_TOLD: Final = ("command", "filePath", "path", "pattern", "query", "url", "description")
"""What tells tool calls apart, of their arguments: the first that there is."""

_SHOWN_CHARACTERS: Final = 120


@dataclass(frozen=True)
class Prompting:
    """How prompts are sent.

    Attributes:
        client: Connected.
        session_id: Which conversation they belong to.
        model: ``"provider/model"``; None leaves it to OpenCode.
        agent: None leaves it to OpenCode.
        permission: ``"reject"``, ``"once"``, ``"always"``, or ``"ask"``: whoever sits there.
        asks: Whether somebody sits there, to answer questions of the model's.
        timeout: Seconds for an answer; None for the client's option.
    """

    client: IpcClient
    session_id: str
    model: str | None = None
    agent: str | None = None
    permission: str = "reject"
    asks: bool = False
    timeout: float | None = None


@dataclass
class Answer:
    """What came of a prompt, and what was asked on the way.

    Attributes:
        result: The whole run.
        seconds: How long it took.
        permissions: The permissions that were asked for, and what the reply was.
        questions: The questions that nobody was there to answer.
    """

    result: PromptResult
    seconds: float
    permissions: list[dict[str, Any]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


class _Show:
    """Shows the events of one run, and answers its questions."""

    def __init__(self, how: Prompting, screen: Screen) -> None:
        self._how = how
        self._screen = screen
        self._part = ""
        self._told_tools: set[str] = set()
        self.permissions: list[dict[str, Any]] = []
        self.questions: list[str] = []

    def event(self, event: RunEvent) -> None:
        screen = self._screen
        if isinstance(event, TextDelta):
            if event.session_id == self._how.session_id:
                self._text(event)
        elif isinstance(event, ReasoningDelta):
            screen.waiting("The model is thinking")
        elif isinstance(event, ToolUpdate):
            self._tool(event.call)
        elif isinstance(event, RetryScheduled):
            when = f" at {event.next_at.astimezone():%H:%M:%S}" if event.next_at else ""
            screen.note(f"The provider refused: {event.message}. Try {event.attempt + 1}{when}")
            screen.waiting("Waiting for the next try")
        elif isinstance(event, PermissionAsked):
            self._permission(event)
        elif isinstance(event, QuestionAsked):
            self._question(event)

    def _text(self, event: TextDelta) -> None:
        if self._part not in ("", event.part_id):
            self._screen.end_line()  # the model went on after a tool, say
        self._part = event.part_id
        self._screen.text(event.text)

    def _tool(self, call: ToolCall) -> None:
        about = _about(call)
        if call.status in ("pending", "running"):
            self._screen.waiting(f"Running {about}")
        elif call.id not in self._told_tools:
            self._told_tools.add(call.id)
            failed = f" FAILED: {call.error}" if call.status == "error" else ""
            self._screen.note(f"* {about}{failed}")
            self._screen.waiting("Waiting for the model")

    def _permission(self, asked: PermissionAsked) -> None:
        how, screen = self._how, self._screen
        message: str | None = None
        reply = how.permission
        if reply == "ask":
            reply, message = ask_permission(asked, screen)
            try:
                how.client.reply_permission(
                    asked.id, reply, message=message, directory=asked.directory or None
                )
            except IpcServerError as error:
                screen.note(f"That came too late: {error.message}")
            screen.waiting("Waiting for the model")
        else:
            rejected = reply == "reject"
            verdict = "rejected (to allow it: --permission once)" if rejected else "given"
            screen.note(f"Permission {verdict}. {permission_text(asked)}")
        self.permissions.append(
            {
                "id": asked.id,
                "permission": asked.permission,
                "patterns": list(asked.patterns),
                "reply": reply,
            }
        )

    def _question(self, asked: QuestionAsked) -> None:
        how, screen = self._how, self._screen
        if not how.asks:
            for item in asked.items:
                screen.note(f"The model asked, and nobody is here to answer: {item.question}")
                self.questions.append(item.question)
            return
        answers = ask_questions(asked, screen)
        try:
            how.client.reply_question(asked.id, answers, directory=asked.directory or None)
        except IpcServerError as error:
            screen.note(f"That came too late: {error.message}")
        screen.waiting("Waiting for the model")


def _about(call: ToolCall) -> str:
    """Return a tool call in a few words: ``"bash: ls -la"``."""
    told = call.title or next(
        (call.input[name] for name in _TOLD if isinstance(call.input.get(name), str)), ""
    )
    return printable(f"{call.name}: {told}" if told else call.name, _SHOWN_CHARACTERS)


def answer(how: Prompting, text: str, screen: Screen) -> Answer:
    """Send a prompt and show the answer while it is written; returns once the run has ended.

    Args:
        how: Where the prompt goes.
        text: The prompt.
        screen: Where to show it.

    Raises:
        KeyboardInterrupt: Ctrl-C; the run was aborted in OpenCode.
        IpcPromptError: the run failed.
        IpcError: as ``IpcClient`` says.
    """
    show = _Show(how, screen)
    began = time.monotonic()
    screen.begin()
    try:
        screen.waiting("Waiting for the model")
        stream = how.client.stream_prompt(
            how.session_id,
            text,
            model=how.model,
            agent=how.agent,
            on_permission=how.permission,  # type: ignore[arg-type]
            on_question="ask" if how.asks else "reject",
            timeout=how.timeout,
        )
        with stream:
            try:
                for event in _events(stream, screen):
                    show.event(event)
                result = stream.result()
            except KeyboardInterrupt:
                screen.end_line()
                screen.waiting("Aborting the answer")
                raise
        if not screen.wrote:
            screen.text(result.text)  # it came in one piece
        screen.end_line()
    except BaseException:
        with contextlib.suppress(BrokenPipeError, CommandError):
            screen.end_line()  # what is half written stays, and what went wrong comes below
        raise
    finally:
        screen.clear()
    return Answer(result, time.monotonic() - began, show.permissions, show.questions)


def _events(stream: PromptStream, screen: Screen) -> Iterator[RunEvent]:
    while True:
        try:
            yield next(stream)
        except StopIteration:
            return
        except IpcSlowConsumerError as error:
            screen.note(f"{error.missed} events came too fast and are missing here")


def summary(answer: Answer) -> str:
    """Return one line about what an answer took."""
    tokens, result = answer.result.tokens, answer.result
    parts = [
        f"{answer.seconds:.1f} s",
        f"{tokens.input + tokens.cache_read + tokens.cache_write:,} tokens in",
        f"{tokens.total - tokens.input - tokens.cache_read - tokens.cache_write:,} out",
        f"${result.cost:.4f}",
    ]
    if result.finish not in ("", "stop"):
        parts.append(f"ended by: {result.finish}")
    return ", ".join(parts)


def answer_record(answer: Answer) -> dict[str, Any]:
    """Return an answer as the object that ``--json`` prints."""
    result = answer.result
    tokens = result.tokens
    return {
        "session_id": result.session_id,
        "text": result.text,
        "structured": result.structured,
        "finish": result.finish,
        "cost": result.cost,
        "tokens": {
            "input": tokens.input,
            "output": tokens.output,
            "reasoning": tokens.reasoning,
            "cache_read": tokens.cache_read,
            "cache_write": tokens.cache_write,
        },
        "seconds": round(answer.seconds, 3),
        "tool_calls": [_tool_record(call) for call in result.tool_calls],
        "permissions": answer.permissions,
        "questions": answer.questions,
        "retries": [
            {
                "attempt": retry.attempt,
                "message": retry.message,
                "next_at": None if retry.next_at is None else retry.next_at.isoformat(),
            }
            for retry in result.retries
        ],
    }


def _tool_record(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "name": call.name,
        "status": call.status,
        "title": call.title,
        "input": call.input,
        "output": call.output,
        "error": call.error,
    }
