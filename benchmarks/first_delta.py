"""``python -m benchmarks.first_delta``: how long a word takes from the model to the caller.

A stub of a model, in a process of its own, streams words that are the times of their sending; a
real OpenCode (offline) asks it. ``IpcClient`` prompts, by turns behind a gateway in another process
and from ``launch``, with the gateway in this one; then the official SDK, which sends the prompt on
another thread while it reads the events. OpenCode's own stream of events is read beside each of
them, with nothing but the standard library in between: what a word takes longer than there is the
caller's own share.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from benchmarks.machine import describe_machine
from benchmarks.opencode import MODEL, PROVIDER, WORDS, Real, real
from benchmarks.report import as_table
from benchmarks.samples import Figure
from opencode_sync import IpcClient, TextDelta

__all__ = ["measure"]

_PATIENCE: Final = 60.0
_LIMIT: Final = 20.0
"""Milliseconds that the first word may take."""

Came = list[tuple[str, int]]
"""Words, and when each came to the caller, in nanoseconds."""


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


def _prompt(client: IpcClient) -> Came:
    came = []
    session = client.create_session()
    with client.stream_prompt(session.id, "Go", timeout=_PATIENCE) as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                now = time.perf_counter_ns()
                came += [(word, now) for word in event.text.split()]
    return came


def _prompt_by_sdk(client: Any, threads: ThreadPoolExecutor) -> Came:
    came: Came = []
    session = client.session.create(extra_body={})
    with client.event.list() as events:
        run = threads.submit(
            client.session.chat,
            session.id,
            model_id=MODEL,
            provider_id=PROVIDER,
            parts=[{"type": "text", "text": "Go"}],
            # What this OpenCode calls it; the SDK was made for an earlier one.
            extra_body={"model": {"providerID": PROVIDER, "modelID": MODEL}},
        )
        for event in events:
            if event.type == "message.part.delta":
                now = time.perf_counter_ns()
                came += [(word, now) for word in _property(event, "delta").split()]
                if len(came) >= WORDS:
                    break
    run.result(_PATIENCE)
    return came


def _property(event: Any, name: str) -> str:
    """Return a property of an event that the SDK's models may or may not know."""
    properties = event.properties
    value = properties[name] if isinstance(properties, dict) else getattr(properties, name)
    assert isinstance(value, str)
    return value


def measure(what: Real, rounds: int, sdk: Any | None = None) -> list[Figure]:
    """Return the figures: of the first word, of all words, and of the caller's share in these.

    Args:
        what: What runs.
        rounds: How many answers each caller gets.
        sdk: A client of the official SDK, to take part as well.
    """
    first = Figure("first-delta", "From the model's first word to the caller", "ms")
    every = Figure("every-delta", "The same for every word", "ms")
    share = Figure("own-share", "How much later each word came than by OpenCode's /event", "ms")
    callers: dict[str, Callable[[], Came]] = {
        name: partial(_prompt, client) for name, client in what.clients.items()
    }
    with ThreadPoolExecutor(1) as threads, _Beside(what.url, what.project) as beside:
        if sdk is not None:
            callers["official SDK"] = partial(_prompt_by_sdk, sdk, threads)
        for number in range(rounds + 1):  # the first is left out: it warms up
            for name in sorted(callers, reverse=bool(number % 2)):
                came = callers[name]()
                if len(came) != WORDS:
                    raise SystemExit(f"{len(came)} words came to {name} instead of {WORDS}")
                there = [(beside.time_of(word) - int(word)) / 1e6 for word, _ in came]
                here = [(at - int(word)) / 1e6 for word, at in came]
                for figure, words in ((first, 1), (every, WORDS)):
                    figure.add(f"/event beside {name.split()[-1]}", there[:words])
                    figure.add(name, here[:words])
                share.add(name, [mine - its for mine, its in zip(here, there, strict=True)])
    return [first, every, share]


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_delta", description=__doc__)
    parser.add_argument("--opencode", metavar="PROGRAM", help="OpenCode; by default that on PATH")
    parser.add_argument("--rounds", type=int, default=30, help="answers to each caller")
    options = parser.parse_args(argv)
    program = shutil.which(options.opencode or "opencode")
    if program is None:
        parser.error("there is no such program, or none on PATH; name it with --opencode")
    program = os.path.abspath(program)  # it is started in another folder
    machine = describe_machine()
    with real(program) as what:
        figures = measure(what, max(2, options.rounds))
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
