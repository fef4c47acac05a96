"""``python -m benchmarks.first_delta``: how long a word takes from the model to the caller.

A stub of a model, in a process of its own, streams words that are the times of their sending; a
real OpenCode (offline) asks it. ``IpcClient`` prompts, by turns behind a gateway in another process
and from ``launch``, with the gateway in this one. OpenCode's own stream of events is read beside
it, with nothing of this package in between: what a word takes longer than there is our own share.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
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


# Who reads


class _Beside:
    """Reads OpenCode's own events and notes when each word came; a context manager."""

    def __init__(self, url: str, directory: Path) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE)
        self._connection.request("GET", f"/event?directory={quote(str(directory))}")
        self._events = self._connection.getresponse()
        self._seen = threading.Condition()  # guards _times
        self._times: dict[str, int] = {}
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._connection.sock is not None
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._events.close()
        self._connection.close()

    def time_of(self, word: str) -> int:
        """Return when a word came here, in nanoseconds; waits for it."""
        with self._seen:
            if not self._seen.wait_for(lambda: word in self._times, _PATIENCE):
                raise SystemExit("OpenCode's stream of events lacks a word")
            return self._times[word]

    def _read(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            for line in self._events:
                if b"message.part.delta" in line:
                    now = time.perf_counter_ns()
                    words = json.loads(line[5:])["properties"]["delta"].split()
                    with self._seen:
                        self._times.update(dict.fromkeys(words, now))
                        self._seen.notify_all()


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


def _prompt(client: IpcClient) -> list[tuple[str, int]]:
    """Return the answer's words with the times at which they came to the caller."""
    came = []
    session = client.create_session()
    with client.stream_prompt(session.id, "Go", timeout=_PATIENCE) as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                now = time.perf_counter_ns()
                came += [(word, now) for word in event.text.split()]
    if len(came) != _WORDS:
        raise SystemExit(f"{len(came)} words came instead of {_WORDS}")
    return came


def measure(program: str, rounds: int) -> list[Figure]:
    """Return the figures: of the first word, of all words, and of our own share in these."""
    first = Figure("first-delta", "From the model's first word to the caller", "ms")
    every = Figure("every-delta", "The same for every word", "ms")
    share = Figure("own-share", "How much later each word came than by OpenCode's /event", "ms")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        project = folder / "project"
        project.mkdir()
        model = stack.enter_context(_process("benchmarks.first_delta", "--serve-model"))
        assert model.stdout is not None
        url = f"http://127.0.0.1:{int(model.stdout.readline())}/v1"
        server = stack.enter_context(_opencode(program, project, url))
        clients = {
            "IpcClient, gateway": stack.enter_context(_behind_gateway(server, folder)),
            "IpcClient, launch": stack.enter_context(launch(project, url=server)),
        }
        beside = stack.enter_context(_Beside(server, project))
        for number in range(rounds + 1):  # the first is left out: it warms up
            for name in sorted(clients, reverse=bool(number % 2)):
                came = _prompt(clients[name])
                there = [(beside.time_of(word) - int(word)) / 1e6 for word, _ in came]
                here = [(at - int(word)) / 1e6 for word, at in came]
                for figure, words in ((first, 1), (every, _WORDS)):
                    figure.add(f"/event beside {name.split()[-1]}", there[:words])
                    figure.add(name, here[:words])
                share.add(name, [mine - its for mine, its in zip(here, there, strict=True)])
    return [first, every, share]


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
    figures = measure(program, max(2, options.rounds))
    for figure in figures:
        print(as_table(figure), end="\n\n")
    for name, summary in figures[0].summaries().items():
        if name.startswith("IpcClient"):
            verdict = "reached" if summary.p50 <= _LIMIT else "NOT REACHED"
            print(f"{name}: first word in {summary.p50:.1f} ms; {_LIMIT:g} at most: {verdict}")
    print(f"load {machine['load_average']}, {machine['processor']} x {machine['processors']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
