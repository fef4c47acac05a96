"""A real OpenCode to measure: offline, with a stub of a model, behind whatever is compared.

``python -m benchmarks.opencode`` is the model: it streams words that are the times of their
sending. It serves until its standard input ends and says its port first.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from opencode_sync import IpcClient, launch
from opencode_sync.providers import FileConfigProvider

__all__ = ["MODEL", "PROVIDER", "WORDS", "Real", "real"]

WORDS: Final = 10
PROVIDER, MODEL = "stub", "stub-1"

_ROOT: Final = Path(__file__).resolve().parents[1]
_PAUSE: Final = 0.03
"""Seconds between two words, about those of a quick model."""
_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Real:
    """What runs.

    Attributes:
        url: OpenCode's own.
        project: The folder it works in.
        clients: Connected, by name: to a gateway in a process of its own, and from ``launch``.
    """

    url: str
    project: Path
    clients: dict[str, IpcClient]


@contextlib.contextmanager
def real(program: str) -> Iterator[Real]:
    """Run a model, an OpenCode that asks it, and a gateway in front of that.

    Args:
        program: OpenCode's executable.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        project = folder / "project"
        project.mkdir()
        model = stack.enter_context(_process("benchmarks.opencode"))
        assert model.stdout is not None
        url = f"http://127.0.0.1:{int(model.stdout.readline())}/v1"
        server = stack.enter_context(_opencode(program, project, url))
        clients = {
            "IpcClient, gateway": stack.enter_context(_behind_gateway(server, folder)),
            "IpcClient, launch": stack.enter_context(launch(project, url=server)),
        }
        yield Real(server, project, clients)


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
                for _ in range(WORDS):
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
        "models": {MODEL: {"name": "Stub"}},
    }
    default = f"{PROVIDER}/{MODEL}"
    config = {"model": default, "small_model": default, "provider": {PROVIDER: provider}}
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


def main() -> None:
    """Be the model."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
