"""``opencode-sync demo``: the whole way from client to store and back, checked answer by answer."""

from __future__ import annotations

import contextlib
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer

from opencode_sync.cli.connection import State, Verbose, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.gateway_process import GatewayProcess, gateway_command
from opencode_sync.cli.output import newest_first, print_line, print_table, sessions_table
from opencode_sync.errors import IpcError

if TYPE_CHECKING:
    from opencode_sync.client import IpcClient

__all__ = ["check_client", "demo", "latency_summary"]

_READY_TIMEOUT = 20.0
"""Seconds a gateway may take to start, on a slow and busy machine."""

_ANSWER_TIMEOUT = 10.0
"""Seconds for the connection, and for each answer."""

_ROUNDS = 200
_TITLES = ("Fix the failing test", "Explain this module", "Write the changelog 📝")
_UNKNOWN_ID = "ses_00000000000000000000000000"


def demo(context: typer.Context, verbose: Verbose = False) -> None:
    """Show that it works: a gateway in a process of its own, and a client that talks to it.

    Needs no OpenCode and leaves nothing behind. The exit code is 0 only if every answer was right.
    """
    state = state_of(context, verbose=verbose)
    started = time.perf_counter()
    with _ended_by_signals(), tempfile.TemporaryDirectory(prefix="opencode-sync-demo-") as folder:
        command, runtime_file = gateway_command(Path(folder))
        print_line("Starting a gateway with an embedded session store in a process of its own")
        try:
            with GatewayProcess(command, runtime_file) as process:
                _converse(state, process, runtime_file)
        except IpcError as error:
            raise CommandError(f"the demo failed: {error.message}", ExitCode.FAILED) from error
        _check(not process.killed, "the gateway did not end when told to and was killed")
    print_line(f"Demo passed: every answer was right ({time.perf_counter() - started:.1f} s).")


def _converse(state: State, process: GatewayProcess, runtime_file: Path) -> None:
    print_line(f"  waiting until it listens (at most {_READY_TIMEOUT:.0f} s)")
    process.wait_until_ready(_READY_TIMEOUT)
    link = state.open_link(runtime_file, _ANSWER_TIMEOUT)
    with link.client as client:
        _ok(f"connected to {link.endpoint} (process {process.pid})")
        check_client(client)


def check_client(client: IpcClient, *, rounds: int = _ROUNDS) -> None:
    """Use every session operation of a connected client on an empty store, and check each answer.

    Args:
        client: Connected to a backend that has no sessions.
        rounds: How many requests to measure.

    Raises:
        CommandError: an answer was wrong; the text says which and how.
        IpcError: there was no answer.
    """
    _check(client.health_check(), "health_check() said that the backend cannot be reached")
    _check(client.check_server_health(), "check_server_health() said that the store is unhealthy")
    _ok("health: the backend answers and its store works")

    _same([session.id for session in client.list_sessions()], [], "the sessions of an empty store")
    created = [client.create_session(title) for title in _TITLES]
    _same([session.title for session in created], list(_TITLES), "the titles of the new sessions")
    _same(len({session.id for session in created}), len(created), "the number of different ids")
    _ok(f"created {len(created)} sessions")

    listed = newest_first(client.list_sessions())
    _same({session.id for session in listed}, {session.id for session in created}, "the list")
    _same({session.title for session in listed}, set(_TITLES), "the titles in the list of sessions")
    _ok("listed them:")
    print_table(sessions_table(listed))

    gone, *kept = created
    _same(client.delete_session(gone.id), True, "deleting a session that is there")
    kept_ids = {session.id for session in kept}
    _same({s.id for s in client.list_sessions()}, kept_ids, "the list after deleting one")
    _ok(f'deleted "{gone.title}"; the other {len(kept)} are still there')
    _same(client.delete_session(gone.id), False, "deleting that session again")
    _same(client.delete_session(_UNKNOWN_ID), False, "deleting a session that never was")
    _ok("deleting what is not there is answered with False")

    durations = []
    for _ in range(rounds):
        started = time.perf_counter()
        sessions = client.list_sessions()
        durations.append(time.perf_counter() - started)
        _same({session.id for session in sessions}, kept_ids, "a list during the measurement")
    _ok(latency_summary(durations))


def latency_summary(durations: list[float]) -> str:
    """Return one line about how long requests took, made one after another.

    Args:
        durations: Seconds of each request; at least two.
    """
    cuts = statistics.quantiles(durations, n=100, method="inclusive")
    p50, p90, p99 = (f"{cuts[percent - 1] * 1000:.2f} ms" for percent in (50, 90, 99))
    rate = len(durations) / sum(durations)
    return (
        f"latency of {len(durations)} list requests, one after another: "
        f"p50 {p50}, p90 {p90}, p99 {p99}; {rate:,.0f} requests/s"
    )


def _ok(text: str) -> None:
    print_line(f"  ok  {text}")


def _check(right: bool, problem: str) -> None:
    if not right:
        raise CommandError(f"the demo failed: {problem}", ExitCode.FAILED)


def _same(actual: object, expected: object, what: str) -> None:
    _check(actual == expected, f"{what} should be {expected!r} but was {actual!r}")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a signal that would end this process at once end the block in order instead.

    Otherwise the gateway and the temporary folder would stay behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}
    try:
        for number in (signal.Signals[name] for name in names):
            before[number] = signal.signal(number, _exit_as_ended)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_as_ended(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
