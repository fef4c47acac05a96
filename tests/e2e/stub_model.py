"""A stub of an OpenAI-compatible model server, scripted by markers in the prompt.

OpenCode streams chat completions from it. The last user message decides what it does:

==================  ================================================================================
(no marker)         streams ``Hello from the stub model.``
``[[say:WORDS]]``   streams those words
``[[think:WORDS]]`` sends reasoning before the text
``[[tool:NAME J]]`` calls the tool NAME with the JSON arguments J, then says ``The tool said: ...``
``[[slow]]``        streams one word, then waits until ``release()`` or its end
``[[401]]``         refuses with that status, as does any other number from 400 to 599
``[[429-once]]``    refuses the first time with that status, and answers from then on
``[[cut]]``         ends the connection in the middle of the answer, the first time only
==================  ================================================================================

Any number of markers may stand in a prompt. Each request costs the same: 100 prompt tokens, 40 of
them from the cache, and 20 completion tokens, 5 of them reasoning.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
KEY = "sk-stub-0123456789abcdef"
"""The key that ``provider()`` configures; every answer to ``[[401]]`` quotes it."""

_MARKER = re.compile(
    r"\[\[(say|think|tool|slow|cut|\d{3}(?:-once)?)(?::(.*?))?\]\](?!\])", re.DOTALL
)


class StubModel:
    """The server; ``stop`` it.

    Attributes:
        url: Its base, ``"http://127.0.0.1:1234/v1"``.
        slow_started: Released once for each ``[[slow]]`` answer that began.
        requests: The bodies of the requests, in the order of their coming.
        keys: What each request showed as its key.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.slow_started = threading.Semaphore(0)
        self._released = threading.Event()
        self._lock = threading.Lock()  # guards _seen
        self._seen: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                outer.keys.append(self.headers.get("Authorization", "").removeprefix("Bearer "))
                with contextlib.suppress(OSError):  # OpenCode goes away when a run is aborted
                    outer._answer(self, body)

        class Listener(ThreadingHTTPServer):
            daemon_threads = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._listener.server_port}/v1"
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.05,), name="test-stub-model"
        )
        self._thread.start()

    def provider(self, provider_id: str = "stub", **options: Any) -> dict[str, Any]:
        """Return OpenCode's configuration of a provider that leads here, as its JSON."""
        return {
            provider_id: {
                "name": provider_id.title(),
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": self.url, "apiKey": KEY, **options},
                "models": {
                    "stub-1": {
                        "name": "Stub One",
                        "reasoning": True,
                        "cost": {"input": 1, "output": 2, "cache_read": 0.5, "cache_write": 0.5},
                        "limit": {"context": 200000, "output": 8000},
                    },
                    "stub-2": {"name": "Stub Two"},
                },
            }
        }

    def config(self, **more: Any) -> str:
        """Return a whole configuration for OPENCODE_CONFIG_CONTENT."""
        document = {
            "model": "stub/stub-1",
            "small_model": "stub/stub-1",
            "provider": self.provider(),
            **more,
        }
        return json.dumps(document)

    def release(self) -> None:
        """Let every ``[[slow]]`` answer go on, now and from now on."""
        self._released.set()

    def hold(self) -> None:
        """Have ``[[slow]]`` answers wait again, and forget those that began before."""
        self._released.clear()
        while self.slow_started.acquire(blocking=False):
            pass

    def stop(self) -> None:
        self.release()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    # One answer...

    def _first_time(self, prompt: str, marker: str) -> bool:
        with self._lock:
            self._seen[prompt + marker] += 1
            return self._seen[prompt + marker] == 1

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        prompt, result = _read(body["messages"])
        titling = not body.get("tools")  # OpenCode has a title made; it must not use up a marker
        markers = {} if titling else dict(_MARKER.findall(prompt))
        for name in markers:
            status, _, once = name.partition("-")
            if status.isdigit() and (not once or self._first_time(prompt, name)):
                return _refuse(handler, int(status))
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        if "think" in markers:
            _send(handler, {"reasoning_content": markers["think"]})
        if "tool" in markers and result is None:
            name, _, arguments = markers["tool"].partition(" ")
            call = {
                "index": 0,
                "id": f"call_{uuid.uuid4().hex[:8]}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            _send(handler, {"tool_calls": [call]})
            return _finish(handler, "tool_calls")
        if "slow" in markers:
            _send(handler, {"content": "Slowly "})
            self.slow_started.release()
            self._released.wait(60)
        text = "Stub title" if titling else markers.get("say") or "Hello from the stub model."
        if result is not None:
            text = f"The tool said: {result}"
        for word in re.findall(r"\S+\s*", text):
            _send(handler, {"content": word})
            if "cut" in markers and self._first_time(prompt, "cut"):
                return None
        return _finish(handler, "stop")


def _read(messages: list[dict[str, Any]]) -> tuple[str, str | None]:
    """Return the last user message's text, and what a tool said since."""
    prompt, result = "", None
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        if message["role"] == "user":
            prompt, result = content or "", None
        elif message["role"] == "tool":
            result = content or ""
    return prompt, result


def _refuse(handler: BaseHTTPRequestHandler, status: int) -> None:
    error = {"message": f"stub error {status} for {KEY}", "type": "stub", "code": f"stub_{status}"}
    content = json.dumps({"error": error}).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def _send(
    handler: BaseHTTPRequestHandler, delta: dict[str, Any], finish: str | None = None, **more: Any
) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "stub", "object": "chat.completion.chunk", "choices": [choice], **more}
    handler.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    handler.wfile.flush()


def _finish(handler: BaseHTTPRequestHandler, reason: str) -> None:
    _send(handler, {}, reason, usage=USAGE)
    handler.wfile.write(b"data: [DONE]\n\n")
    handler.wfile.flush()
