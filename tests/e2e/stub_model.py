"""A stub of an OpenAI-compatible model server, scripted by markers in the prompt.

OpenCode streams chat completions from it. The last user message decides what it does:

=====================  =============================================================================
(no marker)            streams ``Hello from the stub model.``
``[[say:WORDS]]``      streams those words
``[[think:WORDS]]``    streams reasoning, word by word, before the text
``[[tool:NAME J]]``    calls the tool NAME with the JSON arguments J, then says ``The tool said:``
                       and its result; of several such markers each is one step of the run
``[[structured:J]]``   answers with the JSON J what has to fit a schema (the tool StructuredOutput)
``[[words:N]]``        streams ``w0 w1 ...``, N words
``[[pause:MS]]``       waits so many milliseconds before each word
``[[gate:NAME]]``      waits before each word until ``gate(NAME)`` lets it pass
``[[slow]]``           streams one word, then waits until ``release()`` or its end
``[[length]]``         ends with the finish reason ``length``
``[[401]]``            refuses with that status, as does any other number from 400 to 599
``[[429-once]]``       refuses the first time with that status, and answers from then on
``[[429-once:2]]``     as well, and asks to be asked again after 2 seconds
``[[overflow]]``       refuses because the context is too long for the model
``[[broken]]``         sends one word, then an error in the midst of the stream
``[[cut]]``            ends the connection in the middle of the answer, the first time only
``[[cut-always]]``     as well, each time
=====================  =============================================================================

Any number of markers may stand in a prompt. Each request costs the same: 100 prompt tokens, 40 of
them from the cache, and 20 completion tokens, 5 of them reasoning.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

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
    r"\[\[(say|think|tool|structured|words|pause|gate|slow|length|overflow|broken|cut-always|cut"
    r"|\d{3}(?:-once)?)(?::(.*?))?\]\](?!\])",
    re.DOTALL,
)
_LONGEST_WAIT = 60.0


class Sent(NamedTuple):
    """A piece of text that was streamed."""

    at: float
    """``time.monotonic()`` just before it was handed to the socket."""
    text: str


class Gate:
    """Where an answer waits before each of its words."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        """Released each time that an answer stands before it."""
        self._passes = threading.Semaphore(0)

    def let(self, words: int = 1) -> None:
        """Let so many words pass."""
        self._passes.release(words)

    def wait(self) -> None:
        """Wait to be let through."""
        self.reached.release()
        self._passes.acquire(timeout=_LONGEST_WAIT)


class StubModel:
    """The server; ``stop`` it.

    Attributes:
        url: Its base, ``"http://127.0.0.1:1234/v1"``.
        slow_started: Released once for each ``[[slow]]`` answer that began.
        requests: The bodies of the requests, in the order of their coming.
        keys: What each request showed as its key.
        sent: Every piece of text that was streamed, titles left out.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.sent: list[Sent] = []
        self.slow_started = threading.Semaphore(0)
        self._released = threading.Event()
        self._lock = threading.Lock()  # guards _seen and _gates
        self._seen: Counter[str] = Counter()
        self._gates: dict[str, Gate] = {}
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

    def gate(self, name: str) -> Gate:
        """Return the gate of this name."""
        with self._lock:
            return self._gates.setdefault(name, Gate())

    def stop(self) -> None:
        self.release()
        with self._lock:
            gates = list(self._gates.values())
        for gate in gates:
            gate.let(100_000)
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    # One answer...

    def _first_time(self, prompt: str, marker: str) -> bool:
        with self._lock:
            self._seen[prompt + marker] += 1
            return self._seen[prompt + marker] == 1

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        prompt, results = _read(body["messages"])
        titling = not body.get("tools")  # OpenCode has a title made; it must not use up a marker
        found = [] if titling else _MARKER.findall(prompt)
        markers = dict(found)
        if "[[overflow]]" in json.dumps(body["messages"]):  # the summary of it is too long as well
            return _refuse(handler, 400, "context_length_exceeded")
        for name in markers:
            status, _, once = name.partition("-")
            if status.isdigit() and (not once or self._first_time(prompt, name)):
                return _refuse(handler, int(status), retry_after=markers[name])
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        calls = [arguments.partition(" ") for name, arguments in found if name == "tool"]
        if "structured" in markers:
            calls.append(("StructuredOutput", "", markers["structured"]))
        gate = self.gate(markers["gate"]) if "gate" in markers else None
        pause = int(markers.get("pause") or 0) / 1000

        def stream(kind: str, text: str) -> Iterator[str]:
            for word in re.findall(r"\S+\s*", text):
                if gate is not None:
                    gate.wait()
                if pause:
                    time.sleep(pause)
                if not titling:
                    self.sent.append(Sent(time.monotonic(), word))
                _send(handler, {kind: word})
                yield word

        if not results:
            for _ in stream("reasoning_content", markers.get("think", "")):
                pass
        if len(results) < len(calls):
            name, _, arguments = calls[len(results)]
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
            self._released.wait(_LONGEST_WAIT)
        text = markers.get("say") or "Hello from the stub model."
        if titling:
            text = "Stub title"
        elif results:
            text = f"The tool said: {results[-1]}"
        elif "words" in markers:
            text = " ".join(f"w{number}" for number in range(int(markers["words"])))
        for _ in stream("content", text):
            if "broken" in markers:
                handler.wfile.write(b'data: {"error": {"message": "stub broke", "code": 500}}\n\n')
                return None
            if "cut-always" in markers or ("cut" in markers and self._first_time(prompt, "cut")):
                return None
        return _finish(handler, "length" if "length" in markers else "stop")


def _read(messages: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """Return the last user message's text, and what tools said since."""
    prompt: str = ""
    results: list[str] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        if message["role"] == "user":
            prompt, results = content or "", []
        elif message["role"] == "tool":
            results.append(content or "")
    return prompt, results


def _refuse(
    handler: BaseHTTPRequestHandler, status: int, code: str = "", *, retry_after: str = ""
) -> None:
    code = code or f"stub_{status}"
    error = {"message": f"stub error {status} for {KEY}", "type": "stub", "code": code}
    content = json.dumps({"error": error}).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    if retry_after:
        handler.send_header("Retry-After", retry_after)
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
