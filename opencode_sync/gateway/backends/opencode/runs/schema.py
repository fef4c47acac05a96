"""What a prompt with a JSON schema leaves behind, and how that is put right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.http.client import quote_id
from opencode_sync.gateway.backends.opencode.runs.request import Prompt
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.logger import logger

__all__ = ["mend"]

_TIMEOUT = 5.0


def mend(
    binding: Binding, prompt: Prompt, message_id: str, infos: Iterable[Mapping[str, Any]]
) -> None:
    """Have OpenCode store the prompt without its schema, now that the run is over.

    OpenCode 1.18 cannot list messages any more among which there is a prompt with a schema. A
    message that is sent again under its id, without anything new in it, is stored anew; what the
    prompt had besides has to be said once more.

    Args:
        binding: The server.
        prompt: What was asked.
        message_id: What it became.
        infos: Of the run's messages, which say what OpenCode chose where the prompt left it open.
    """
    body = {**prompt.body(message_id), "parts": [], "noReply": True}
    body.pop("format", None)
    for info in infos:
        if info.get("role") != "assistant" or info.get("parentID") != message_id:
            continue
        agent, provider, model = (info.get(key) for key in ("agent", "providerID", "modelID"))
        if agent:
            body.setdefault("agent", agent)
        if provider and model:
            body.setdefault("model", {"providerID": provider, "modelID": model})
    path = f"/session/{quote_id(prompt.session_id)}/message"
    try:
        binding.call("POST", path, {}, Deadline.after(_TIMEOUT), body)
    except BackendError as error:
        logger.debug("A prompt keeps its schema: {}", error.message)
