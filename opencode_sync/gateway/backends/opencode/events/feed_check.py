"""Making sure that a stream of events has begun.

OpenCode 1.18 greets a subscriber of ``/global/event`` some milliseconds before it subscribes itself
to what it then hands on; what is published in between is lost. So something is published that shows
up in the stream, again and again until it does: a command for OpenCode's terminal that has no such
command, which changes nothing anywhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.events.sse import SseStream
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.logger import logger

__all__ = ["is_check", "make_sure"]

_TYPE = "tui.command.execute"
_COMMAND = "opencode-sync.listening."

_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Seconds to wait for it, each time that it was published."""

_PAUSES_WITHOUT = (0.05, 0.1)
"""The same for a server that does not publish it: then it has to do that time goes by."""

_CALL_TIMEOUT = 3.0
"""Seconds for publishing; a server that has just started loads the project first."""


def make_sure(http: OpenCodeHttp, stream: SseStream, deadline: Deadline) -> list[str]:
    """Wait until the stream hands on all that is published.

    Args:
        http: The server.
        stream: Is open.
        deadline: When to make do with what is there.

    Returns:
        The events that came meanwhile.

    Raises:
        BackendError: the stream has ended.
    """
    command = _COMMAND + uuid.uuid4().hex
    came: list[str] = []
    tries = 0
    while not deadline.passed():
        pauses = _PAUSES if _publish(http, command, deadline) else _PAUSES_WITHOUT
        if tries >= len(pauses):
            break
        until = Deadline.after(pauses[tries])
        tries += 1
        while (frame := stream.read_until(until)) is not None:
            came.append(frame)
            if command in frame:
                return came
    logger.debug("OpenCode did not show what was published; its first events may be missing")
    return came


def is_check(kind: str, properties: Mapping[str, Any]) -> bool:
    """Return whether this is what a gateway has published for this purpose."""
    command = properties.get("command")
    return kind == _TYPE and isinstance(command, str) and command.startswith(_COMMAND)


def _publish(http: OpenCodeHttp, command: str, deadline: Deadline) -> bool:
    try:
        answer = http.call(
            "POST",
            "/tui/publish",
            body={"type": _TYPE, "properties": {"command": command}},
            deadline=deadline.earlier(Deadline.after(_CALL_TIMEOUT)),
        )
    except BackendError as error:
        logger.debug("Whether OpenCode sends events cannot be checked: {}", error.message)
        return False
    return answer is True
