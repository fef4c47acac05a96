"""What a prompt asks, of whom, and how OpenCode gets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from opencode_sync.gateway.backends.base import check_session_id
from opencode_sync.gateway.backends.opencode.checks import (
    check_file,
    check_schema,
    check_size,
    check_texts,
    invalid,
)
from opencode_sync.wire import ext_prompt_pb2

__all__ = ["Prompt", "PromptFile"]


class PromptFile(NamedTuple):
    """A file that goes with a prompt."""

    url: str
    mime: str
    filename: str


class Prompt(NamedTuple):
    """What is asked, of whom."""

    session_id: str
    text: str
    model_id: str | None
    """None, as the provider's: whichever OpenCode takes."""
    provider_id: str | None
    agent: str | None
    files: tuple[PromptFile, ...] = ()
    system: str = ""
    schema: Mapping[str, Any] | None = None
    """What the result has to fit."""

    @classmethod
    def of(cls, request: ext_prompt_pb2.IpcPromptRequest) -> Prompt:
        """Return what a request asks.

        Raises:
            BackendError: INVALID_MESSAGE, naming the field that cannot be right.
        """
        session_id = check_session_id(request.session_id)
        if request.HasField("provider_id") != request.HasField("model_id"):
            raise invalid("provider_id and model_id belong together; give both, or none")
        named = request.HasField("model_id")
        if named:
            check_texts(model_id=request.model_id, provider_id=request.provider_id)
        files = tuple(PromptFile(each.url, each.mime, each.filename) for each in request.files)
        for number, file in enumerate(files):
            check_file(number, file.url, file.mime)
        if request.text or not files:
            check_texts(text=request.text)
        check_size(
            text=request.text,
            files="".join(file.url for file in files),
            system=request.system,
            schema_json=request.schema_json,
        )
        return cls(
            session_id,
            request.text,
            request.model_id if named else None,
            request.provider_id if named else None,
            request.agent,
            files,
            request.system,
            check_schema(request.schema_json) if request.HasField("schema_json") else None,
        )

    def body(self, message_id: str) -> dict[str, Any]:
        """Return it as OpenCode takes it."""
        parts: list[dict[str, str]] = []
        if self.text:
            parts.append({"type": "text", "text": self.text})
        for file in self.files:
            part = {"type": "file", "mime": file.mime, "url": file.url}
            parts.append({**part, "filename": file.filename} if file.filename else part)
        body: dict[str, Any] = {"messageID": message_id, "parts": parts}
        if self.model_id is not None:
            body["model"] = {"providerID": self.provider_id, "modelID": self.model_id}
        if self.agent:  # without one OpenCode takes its default agent
            body["agent"] = self.agent
        if self.system:
            body["system"] = self.system
        if self.schema is not None:
            body["format"] = {"type": "json_schema", "schema": self.schema}
        return body
