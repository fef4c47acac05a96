"""``python -m benchmarks.first_delta``: how long a word takes from the model to the caller.

A stub of a model, in a process of its own, streams words that are the times of their sending; a
real OpenCode (offline) asks it. Three callers take turns: one that reads OpenCode's own stream of
events and nothing else, ``IpcClient`` behind a gateway in another process, and ``IpcClient`` from
``launch``, with the gateway in this one. What the last two need beyond the first is our own share.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from benchmarks.machine import describe_machine
from benchmarks.report import as_table
from benchmarks.samples import Figure
from opencode_sync import IpcClient, TextDelta, launch
from opencode_sync.providers import FileConfigProvider

_ROOT: Final = Path(__file__).resolve().parents[1]
_WORDS: Final = 10
_PAUSE: Final = 0.03
"""Seconds between two words, about those of a quick model."""
_PATIENCE: Final = 60.0
_LIMIT: Final = 20.0
"""Milliseconds that the first word may take."""

Caller = Callable[[], Iterator[str]]
"""Prompts once and yields the answer's pieces as they come."""


# The model, in a process of its own


class _Model(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with contextlib.suppress(OSError):  # OpenCode goes away
            if body.get("tools"):
                for _ in range(_WORDS):
                    time.sleep(_PAUSE)
                    self._send({"content": f"{time.perf_counter_ns()} "})
            else:
                self._send({"content": "A title"})
            self._send({}, "stop")
            self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, delta: dict[str, str], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "stub", "object": "chat.completion.chunk", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())


def serve_model() -> None:
    """Serve a model until standard input ends; says its port first."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


@contextlib.contextmanager
def _process(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a part of the benchmark that ends with its standard input, or when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def _environment(home: Path, model: str) -> dict[str, str]:
    """Return an environment in which OpenCode is offline and has the stub for its model."""
    options = {"baseURL": model, "apiKey": "none"}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": options,
        "models": {"stub-1": {"name": "Stub"}},
    }
    config = {"model": "stub/stub-1", "small_model": "stub/stub-1", "provider": {"stub": provider}}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        **{
            f"OPENCODE_DISABLE_{what}": "1"
            for what in ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE")
        },
    }


@contextlib.contextmanager
def _opencode(program: str, folder: Path, model: str) -> Iterator[str]:
    """Run an OpenCode; yields its address."""
    command = [program, "serve", "--port", "0", "--hostname", "127.0.0.1"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(folder, model),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                _, found, url = line.partition("listening on ")
                if found:
                    yield url.strip()
                    return
            raise SystemExit(f"{program} did not start")
        finally:
            process.kill()


# The callers


def _direct(url: str, directory: Path) -> Caller:
    """Read OpenCode's own events with nothing in between."""
    address = urlsplit(url).netloc

    def ask(method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(address, timeout=_PATIENCE)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        return connection.getresponse()

    def call() -> Iterator[str]:
        session = json.load(ask("POST", f"/session?directory={quote(str(directory))}", {}))["id"]
        with ask("GET", f"/event?directory={quote(str(directory))}") as events:
            events.readline()  # server.connected
            prompt = {"parts": [{"type": "text", "text": "Go"}]}
            ask("POST", f"/session/{session}/prompt_async", prompt).close()
            for line in events:
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line[5:])
                properties = event["properties"]
                if properties.get("sessionID") != session:
                    continue
                if event["type"] == "message.part.delta":
                    yield properties["delta"]
                elif event["type"] == "session.idle":
                    return

    return call


def _client(client: IpcClient) -> Caller:
    def call() -> Iterator[str]:
        session = client.create_session()
        with client.stream_prompt(session.id, "Go", timeout=_PATIENCE) as stream:
            for event in stream:
                if isinstance(event, TextDelta):
                    yield event.text

    return call


@contextlib.contextmanager
def _behind_gateway(url: str, folder: Path) -> Iterator[IpcClient]:
    """Run a gateway in a process of its own; yields a client that is connected to it."""
    file = folder / "runtime" / "gateway.json"
    command = ("opencode_sync", "gateway", "--opencode-url", url, "--runtime-file", str(file))
    with _process(*command) as gateway:
        give_up = time.monotonic() + _PATIENCE
        while not file.exists():
            if gateway.poll() is not None or time.monotonic() > give_up:
                raise SystemExit("the gateway did not start")
            time.sleep(0.02)
        with IpcClient(FileConfigProvider(file)) as client:
            yield client


# Measuring


def _latencies(call: Caller) -> list[float]:
    """Return the milliseconds that each word took; several may come as one piece."""
    taken = []
    for piece in call():
        now = time.perf_counter_ns()
        taken += [(now - int(word)) / 1e6 for word in piece.split()]
    if len(taken) != _WORDS:
        raise SystemExit(f"{len(taken)} words came instead of {_WORDS}")
    return taken


def measure(program: str, rounds: int) -> tuple[Figure, Figure]:
    """Return the figures of the first word and of all words."""
    first = Figure("first-delta", "From the model's first word to the caller", "ms")
    every = Figure("every-delta", "The same for every word", "ms")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        project = folder / "project"
        project.mkdir()
        model = stack.enter_context(_process("benchmarks.first_delta", "--serve-model"))
        assert model.stdout is not None
        url = f"http://127.0.0.1:{int(model.stdout.readline())}/v1"
        server = stack.enter_context(_opencode(program, project, url))
        launched = stack.enter_context(launch(project, url=server))
        behind = stack.enter_context(_behind_gateway(server, folder))
        callers = {
            "OpenCode's /event": _direct(server, project),
            "IpcClient, gateway": _client(behind),
            "IpcClient, launch": _client(launched),
        }
        for number in range(rounds + 1):  # the first of each warms up and is left out
            names = list(callers)
            for name in names[number % 3 :] + names[: number % 3]:
                taken = _latencies(callers[name])
                first.add(name, taken[:1])
                every.add(name, taken)
    return first, every


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_delta", description=__doc__)
    parser.add_argument("--opencode", metavar="PROGRAM", help="OpenCode; by default that on PATH")
    parser.add_argument("--rounds", type=int, default=30, help="answers to each caller")
    parser.add_argument("--serve-model", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve_model:
        serve_model()
        return 0
    program = options.opencode or shutil.which("opencode")
    if program is None:
        parser.error("opencode is not on PATH; name it with --opencode")
    machine = describe_machine()
    first, every = measure(program, max(2, options.rounds))
    for figure in (first, every):
        print(as_table(figure), end="\n\n")
    medians = {name: summary.p50 for name, summary in first.summaries().items()}
    own = medians.pop("OpenCode's /event")
    for name, median in medians.items():
        verdict = "" if median <= _LIMIT else f", and should be {_LIMIT:g} at most: NOT REACHED"
        print(f"{name}: {median:.1f} ms, of which {median - own:+.1f} are ours{verdict}")
    print(f"load {machine['load_average']}, {machine['processor']} x {machine['processors']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
