"""What becomes of a prompt: the result of a whole run, or why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from opencode_sync.errors import IpcPromptError
from opencode_sync.messages import (
    MessageTokens,
    ToolCall,
    message_cost,
    message_text,
    message_tokens,
    tool_calls,
)
from opencode_sync.run_events import RetryScheduled, retry_scheduled
from opencode_sync.wire.ext_prompt_pb2 import IpcRunFailure, IpcRunResult
from opencode_sync.wire.oc_message_pb2 import OcMessage

__all__ = ["STEP_SEPARATOR", "PromptResult", "prompt_result"]

STEP_SEPARATOR = "\n\n"
"""Between the texts of two messages of one run."""

_SHOWN_CHARACTERS: Final = 60
"""Of a result's text, in its ``repr``."""


@dataclass(frozen=True, slots=True, repr=False)
class PromptResult:
    """A whole run of the agent.

    Attributes:
        session_id: Where it ran.
        user_message_id: The message that the prompt became.
        text: What the model said, all its messages together, with a blank line between them.
        messages: The model's messages in their order, one for each step.
        tool_calls: The tool calls of all of them.
        tokens: The tokens of all of them.
        cost: What they cost together, in US dollars.
        structured: The result that fits the prompt's schema; None where there was no schema.
        finish: Why the model stopped: ``"stop"``, ``"tool-calls"``, ...
        retries: How often the model's provider refused and OpenCode tried again.
    """

    session_id: str
    user_message_id: str
    text: str
    messages: list[OcMessage]
    tool_calls: list[ToolCall]
    tokens: MessageTokens
    cost: float
    structured: Any | None
    finish: str
    retries: list[RetryScheduled]

    def __repr__(self) -> str:
        # Whole messages would fill a screen, and a log.
        text = self.text
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
        return (
            f"<PromptResult of {self.session_id}: {shown!r}, messages={len(self.messages)}, "
            f"tool_calls={len(self.tool_calls)}, cost={self.cost:.4f}, finish={self.finish!r}>"
        )


def prompt_result(answer: IpcRunResult) -> PromptResult:
    """Return the end of a run as its caller gets it.

    Raises:
        IpcPromptError: the run failed.
        ValueError: the answer is none.
    """
    messages = list(answer.messages)
    # A summary takes the place of older messages; it says nothing to the user.
    said = [message_text(message) for message in messages if not message.assistant.summary]
    result = PromptResult(
        session_id=answer.session_id,
        user_message_id=answer.user_message_id,
        text=STEP_SEPARATOR.join(text for text in said if text),
        messages=messages,
        tool_calls=[call for message in messages for call in tool_calls(message)],
        tokens=sum((message_tokens(message) for message in messages), MessageTokens()),
        cost=sum(message_cost(message) for message in messages),
        structured=_structured(answer.structured_json),
        finish=answer.finish,
        retries=[retry_scheduled(retry) for retry in answer.retries],
    )
    if answer.HasField("failure"):
        raise _error(answer.failure, result)
    return result


def _structured(document: str) -> Any | None:
    if not document:
        return None
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError("has a structured result that is no JSON") from None


def _error(failure: IpcRunFailure, partial: PromptResult) -> IpcPromptError:
    status = failure.status if failure.HasField("status") else None
    kind = failure.kind or "unknown"
    details = kind if status is None else f"{kind}, status {status}"
    reason = failure.message or "the backend did not say why"
    return IpcPromptError(
        f"the prompt failed: {reason} ({details})",
        kind=kind,
        status=status,
        partial=partial,
        retryable=failure.retryable,
    )
