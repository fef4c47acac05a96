"""What the tests of this folder ask, and what OpenCode itself says of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.e2e.opencode_server import RealServer
from tests.support.leaks import eventually

OUTSIDE = '[[tool:read {"filePath":"/etc/hostname"}]]'
"""Asks for permission whatever the configuration says: the file is outside of the project."""
BASH = '[[tool:bash {"command":"echo from the shell","description":"d"}]]'
QUESTION = (
    '[[tool:question {"questions":[{"question":"Which one?","header":"Pick",'
    '"options":[{"label":"A","description":"first"},{"label":"B","description":"second"}]}]}]]'
)
TASK = '[[tool:task {"description":"sub","prompt":"go down","subagent_type":"general"}]]'
SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}

WAIT = 60.0


class Asked:
    """A session, looked at with nothing of this package in between."""

    def __init__(self, server: RealServer, session_id: str) -> None:
        self.server = server
        self.id = session_id

    def stored(self) -> list[dict[str, Any]]:
        """OpenCode's own messages of it."""
        status, messages = self.server.request("GET", f"/session/{self.id}/message")
        assert status == 200
        assert isinstance(messages, list)
        return messages

    def answers(self) -> list[dict[str, Any]]:
        """Those of the model's."""
        return [each for each in self.stored() if each["info"]["role"] == "assistant"]

    def text(self) -> str:
        """What the model said in all of them."""
        texts = (written(each) for each in self.answers())
        return "\n\n".join(text for text in texts if text)

    def session(self) -> dict[str, Any]:
        """The session itself."""
        session = self.server.session(self.id)
        assert session is not None
        return session

    def runs(self) -> bool:
        """Whether something runs in it."""
        directory = self.session()["directory"]
        query = {"directory": directory}
        status, running = self.server.request("GET", "/session/status", query=query)
        assert status == 200
        return self.id in running

    def ends(self) -> bool:
        """Wait until nothing runs in it; False if that does not come about."""
        return eventually(lambda: not self.runs(), WAIT)

    def pending(self, kind: str) -> list[str]:
        """The ids of its open questions; ``kind`` is "permission" or "question"."""
        status, listed = self.server.request("GET", f"/{kind}")
        assert status == 200
        return [each["id"] for each in listed if each["sessionID"] == self.id]

    def abort(self) -> None:
        """Abort what runs in it, as another program would."""
        path = f"/session/{quote(self.id)}/abort"
        assert self.server.request("POST", path) == (200, True)


def written(message: dict[str, Any]) -> str:
    """The text of one of OpenCode's own messages."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")
