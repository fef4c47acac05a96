"""What OpenCode's refusals look like, and what a gateway's client is told about each.

An error's body has one of five shapes, those of other versions have others, a 401 has none, and a
path the server does not know is answered by its web page with status 200. So the body is only ever
a source of words: the status and the content type decide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.wire import ipc_pb2

__all__ = ["Refusal", "no_server", "one_line", "read_refusal", "server_error"]

_LONGEST_WORDS = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+|\x1b\[[0-9;]*m")


def one_line(text: str, limit: int = _LONGEST_WORDS) -> str:
    """Return a server's words as one printable line of at most about ``limit`` characters."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text[: 4 * limit])
    text = " ".join(_CONTROL.sub(" ", text).split())
    return text if len(text) <= limit else text[:limit] + "..."


def no_server(message: str) -> BackendError:
    """Return the error for a server that cannot be reached."""
    return BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, message)


def server_error(message: str) -> BackendError:
    """Return the error for a server that was reached and did not do what was asked."""
    return BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, message)


@dataclass(frozen=True)
class Refusal:
    """An answer that is not a success."""

    status: int
    content_type: str
    kind: str | None
    """OpenCode's name for it (``"NotFoundError"``), from ``name`` or ``_tag``."""
    words: str | None
    """Its sentence for people."""
    reference: str | None
    """What to look for in the server's own log (``"err_7d7f80d0"``)."""

    @property
    def is_not_found(self) -> bool:
        """Whether OpenCode itself says that the thing does not exist.

        A bare 404 is not enough: some other program may be listening there.
        """
        return self.status == 404 and self.kind is not None

    def to_error(self, *, call: str, base_url: str) -> BackendError:
        """Return what the gateway's client is told.

        Args:
            call: The request as people know it (``"POST /session"``).
            base_url: The server's address, without secrets.
        """
        if self.status == 401:
            return BackendError(
                ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR,
                f"OpenCode at {base_url} refused the password (status 401); set "
                f"OPENCODE_SERVER_PASSWORD for the gateway to the password that OpenCode was "
                f"started with",
            )
        code = ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        if self.status == 400:
            code = ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
        details = [f"status {self.status}"]
        if self.kind is not None:
            details.append(self.kind)
        text = f"OpenCode at {base_url} refused {call} ({', '.join(details)})"
        if self.words is not None:
            text += f": {self.words}"
        elif self.kind is None:
            text += f": the answer has no words of its own ({self.content_type or 'no content'})"
        if self.reference is not None:
            text += f"; look for {self.reference} in OpenCode's log"
        return BackendError(code, text)


def read_refusal(status: int, content_type: str, body: bytes) -> Refusal:
    """Return what can be made of an answer that is not a success; never fails.

    Args:
        status: The HTTP status.
        content_type: The media type alone, in lower case; "" if there was none.
        body: The answer's body, or as much of it as there is.
    """
    kind = words = reference = None
    if content_type == "application/json":
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            data = document.get("data")
            data = data if isinstance(data, dict) else {}
            kind = _first_text(document.get("name"), document.get("_tag"))
            words = _first_text(
                data.get("message"), document.get("message"), *_words_elsewhere(document)
            )
            reference = _first_text(data.get("ref"), document.get("ref"))
    return Refusal(status, content_type, kind, words, reference)


def _words_elsewhere(document: dict[str, object]) -> list[object]:
    """Return what may be words where other versions, or what stands before them, put theirs."""
    error, several = document.get("error"), document.get("errors")
    found = [error, *(several if isinstance(several, list) else [])]
    return [each.get("message") if isinstance(each, dict) else each for each in found]


def _first_text(*candidates: object) -> str | None:
    for candidate in candidates:
        if isinstance(candidate, str) and candidate.strip():
            return one_line(candidate)
    return None
