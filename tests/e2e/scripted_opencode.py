"""An OpenCode of another version: it says over HTTP what a test writes, also what none said yet."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.gateway_opencode.fake_events import FakeEvents
from tests.unit.gateway_opencode.http_server import Answer, HttpServer, Raw, Request

SESSION = "ses_scripted"
HTML = Answer(content=b"<!doctype html><title>OpenCode</title>", content_type="text/html")
"""What OpenCode answers a path with that it does not know."""


class ScriptedOpenCode:
    """Has one session and one model, whose answer is ``parts``; ``stop`` it.

    Attributes:
        url: Its address.
        events: Sends the events.
        routes: Answers by path, in place of its own.
        prelude: Events that come before each answer: their types and properties.
        parts: What the answer consists of.
        info: More of the answer's ``info``.
    """

    def __init__(self) -> None:
        self.events = FakeEvents()
        self.routes: dict[str, Answer | Raw] = {}
        self.prelude: list[tuple[str, dict[str, Any]]] = []
        self.parts: list[dict[str, Any]] = []
        self.info: dict[str, Any] = {}
        self._messages: list[dict[str, Any]] = []
        self._server = HttpServer(self._answer)
        self.url = self._server.url

    def stop(self) -> None:
        """End it."""
        self.events.stop()
        self._server.stop()

    def _answer(self, request: Request) -> Answer | Raw:
        if request.path in self.routes:
            return self.routes[request.path]
        if request.path == f"/session/{SESSION}/message":
            if request.method == "POST":
                self._run(json.loads(request.body)["messageID"])
                return Answer(self._messages[-1])
            return Answer(self._messages)
        session = {"id": SESSION, "directory": "/home/ana/shop", "title": "Scripted"}
        simple: dict[str, Any] = {
            "/global/health": {"healthy": True, "version": "9.0.0"},
            "/session": [session],
            f"/session/{SESSION}": session,
            f"/session/{SESSION}/abort": True,
            "/config/providers": {"providers": [{"id": "stub", "models": {"one": {}}}]},
            "/session/status": {},
        }
        return Answer(simple[request.path]) if request.path in simple else self.events(request)

    def _run(self, prompt_id: str) -> None:
        user = {"id": prompt_id, "role": "user", "sessionID": SESSION}
        answer = {
            "id": f"{prompt_id}_answer",
            "role": "assistant",
            "parentID": prompt_id,
            "sessionID": SESSION,
            "time": {"created": 1, "completed": 2},
            "finish": "stop",
            **self.info,
        }
        ids = {"sessionID": SESSION, "messageID": answer["id"]}
        parts = [{"id": f"prt_{n}", **ids, **part} for n, part in enumerate(self.parts)]
        self._messages += [{"info": user, "parts": []}, {"info": answer, "parts": parts}]
        self.events.event("message.updated", {"sessionID": SESSION, "info": user})
        for kind, properties in self.prelude:
            self.events.event(kind, {"sessionID": SESSION, **properties})
        self.events.event("message.updated", {"sessionID": SESSION, "info": answer})
        for part in parts:
            self.events.event("message.part.updated", {"sessionID": SESSION, "part": part})
        self.events.event("session.status", {"sessionID": SESSION, "status": {"type": "idle"}})
