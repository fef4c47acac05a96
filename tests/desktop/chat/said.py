"""Messages of a model's, in few words."""

from __future__ import annotations

from typing import Any

from opencode_sync.wire.oc_message_pb2 import OcMessage


def answer(
    message_id: str, text: str = "", *, session_id: str = "ses_1", **fields: Any
) -> OcMessage:
    """A message of the model's with one part of text, if any."""
    message = OcMessage(assistant={"id": message_id, "session_id": session_id, **fields})
    message.assistant.model.provider_id, message.assistant.model.model_id = "stub", "stub-1"
    if text:
        part = message.assistant.parts.add().text
        part.id, part.text = f"{message_id}-text", text
    return message


def with_reasoning(message: OcMessage, text: str) -> OcMessage:
    part = message.assistant.parts.add().reasoning
    part.id, part.text = f"{message.assistant.id}-reasoning", text
    return message


def with_tool(
    message: OcMessage, name: str = "bash", *, output: str = "", error: str = "", **given: Any
) -> OcMessage:
    part = message.assistant.parts.add().tool
    part.id, part.name = f"{message.assistant.id}-tool", name
    if error:
        part.state.error.error = error
        part.state.error.input.update(given)
    else:
        part.state.completed.output = output
        part.state.completed.input.update(given)
    return message


def conversation(count: int) -> list[OcMessage]:
    """So many messages, each other one the user's."""
    return [
        OcMessage(user={"id": f"msg_{n}", "session_id": "ses_1", "text": f"question {n}"})
        if n % 2 == 0
        else answer(f"msg_{n}", f"answer {n}")
        for n in range(count)
    ]
