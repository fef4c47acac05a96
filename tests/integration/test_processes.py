"""Client and gateway among processes: multiprocessing, signals, and ends without a goodbye."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import (
    IpcClient,
    IpcClientOptions,
    IpcConfig,
    IpcConnectionError,
    IpcServerError,
)
from opencode_sync.gateway import EmbeddedBackend, Gateway
from tests.support.leaks import eventually, no_leaks
from tests.unit.gateway.doubles import PATIENCE, Run, StreamingBackend

pytest.importorskip("websockets")

TOKEN = "token-of-the-process-tests"
_ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    with no_leaks():
        yield


@pytest.fixture
def stack(nothing_left_behind: None) -> Iterator[ExitStack]:
    with ExitStack() as exits:
        yield exits


@pytest.fixture
def start_program(stack: ExitStack) -> Callable[..., subprocess.Popen[str]]:
    """Starts a Python program; it is killed at the end if it still runs."""

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", textwrap.dedent(code), *arguments],
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def end() -> None:
            if process.poll() is None:
                process.kill()
            process.communicate()

        stack.callback(end)
        return process

    return start


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, process.communicate()[1]
    return line


# --- multiprocessing ---

_MULTIPROCESSING = """
import multiprocessing, sys
from opencode_sync import IpcClient, IpcConfig, IpcError

config = IpcConfig(port=int(sys.argv[2]), auth_token=sys.argv[3])

def work(number):
    # A client of the child's own; the module is imported anew here, or was forked along.
    with IpcClient(config) as client:
        return client.create_session(f"child {number}").title

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with IpcClient(config) as client:
        client.check_server_health()
        with context.Pool(2) as pool:
            made = pool.map(work, range(4), chunksize=1)
            pool.close()
            pool.join()
        assert made == [f"child {number}" for number in range(4)], made
        # The parent's connection is the one it had.
        titles = sorted(session.title for session in client.list_sessions())
        assert titles == made, titles
    print("fine")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_make_clients_of_their_own(
    method: str,
    stack: ExitStack,
    tmp_path: Path,
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    gateway = stack.enter_context(Gateway(EmbeddedBackend(tmp_path / "s.db"), auth_token=TOKEN))
    program = tmp_path / "program.py"
    program.write_text(_MULTIPROCESSING)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program, method, str(gateway.port), TOKEN],
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("fine", "", 0)


def test_a_client_does_not_travel_to_another_process() -> None:
    """What spawn and forkserver would have to pickle says so, instead of half arriving."""
    client = IpcClient(IpcConfig(port=4096, auth_token=TOKEN))
    with pytest.raises(TypeError):
        multiprocessing.reduction.ForkingPickler.dumps(client)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_is_refused_while_requests_are_in_flight(
    start_program: Callable[..., subprocess.Popen[str]], stack: ExitStack
) -> None:
    """The child's end of it, too, takes nothing from the parent: its answers still come."""
    backend = StreamingBackend()
    asked, go_on = threading.Semaphore(0), threading.Event()

    def hold() -> list[Any]:
        asked.release()
        go_on.wait(PATIENCE)
        return []

    backend.script["list_sessions"] = hold
    gateway = stack.enter_context(Gateway(backend, auth_token=TOKEN))
    process = start_program(
        """
        import os, sys, warnings
        from opencode_sync import *
        warnings.simplefilter("ignore")
        with IpcClient(IpcConfig(port=int(sys.argv[1]), auth_token=sys.argv[2])) as client:
            futures = [client.futures.list_sessions() for _ in range(20)]
            print("asked", flush=True)
            sys.stdin.readline()
            child = os.fork()
            if child == 0:
                try:
                    client.list_sessions()
                except IpcUsageError:
                    client.close()
                    os._exit(7)
                os._exit(1)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            for future in futures:
                assert len(future.result(10)) == 0
            assert client.check_server_health()
        print("fine", flush=True)
        """,
        str(gateway.port),
        TOKEN,
    )
    assert _first_line(process) == "asked"
    for _ in range(20):
        assert asked.acquire(timeout=PATIENCE)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert _first_line(process) == "7"
    go_on.set()
    assert _first_line(process) == "fine"
    assert process.wait(PATIENCE) == 0


# --- Signals to the gateway ---

_STUCK_GATEWAY = """
import sys, threading
from pathlib import Path
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.gateway.serve import run

class Stuck(EmbeddedBackend):
    asked = 0
    closed = threading.Event()
    def delete_session(self, session_id, *, deadline):
        Stuck.asked += 1
        if Stuck.asked == 50:
            print("full", flush=True)
        Stuck.closed.wait(60)
        return True
    def close(self):
        Stuck.closed.set()
        super().close()

class Impatient(Gateway):
    def stop(self, timeout=1.0):
        super().stop(timeout)

gateway = Impatient(Stuck(sys.argv[1]), auth_token=sys.argv[2])
sys.exit(run(gateway, announce=lambda line: print(gateway.port, flush=True)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_gateway_told_to_end_answers_or_fails_what_is_in_flight(
    start_program: Callable[..., subprocess.Popen[str]],
    stack: ExitStack,
    tmp_path: Path,
) -> None:
    process = start_program(_STUCK_GATEWAY, str(tmp_path / "s.db"), TOKEN)
    config = IpcConfig(port=int(_first_line(process)), auth_token=TOKEN)
    options = IpcClientOptions(default_request_timeout=60)
    client = stack.enter_context(IpcClient(config, options=options, reconnect=None))
    kept = client.create_session("answered before")
    futures = [client.futures.delete_session(kept.id) for _ in range(50)]
    assert _first_line(process) == "full"
    process.send_signal(signal.SIGTERM)
    assert wait(futures, 30).not_done == set()
    for future in futures:
        error = future.exception()
        if isinstance(error, IpcConnectionError):
            assert error.request_sent is True
        else:
            assert error is None or isinstance(error, IpcServerError)
    assert process.wait(30) == 0
    assert process.communicate()[1] == ""
    # The store is in order, and the gateway's end was told to the client.
    assert eventually(lambda: not client.is_connected)
    with Gateway(EmbeddedBackend(tmp_path / "s.db"), auth_token=TOKEN) as gateway:
        client = IpcClient(IpcConfig(port=gateway.port, auth_token=TOKEN))
        with client:
            assert [session.title for session in client.list_sessions()] == ["answered before"]


# --- The client's end ---

_PROMPTING = """
import sys
from opencode_sync import IpcClient, IpcConfig
with IpcClient(IpcConfig(port=int(sys.argv[1]), auth_token=sys.argv[2])) as client:
    runs = [client.futures.prompt("ses_1", "work on it") for _ in range(3)]
    events = client.events()
    next(events)
    print("watching", flush=True)
    runs[0].result()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_runs_and_subscriptions_of_a_client_that_died_are_ended(
    name: str, start_program: Callable[..., subprocess.Popen[str]], stack: ExitStack
) -> None:
    backend, run = StreamingBackend(), Run()
    stack.callback(run.end)
    backend.script["prompt"] = run

    def subscribe(stream: Any) -> None:
        stream.sink.opened()
        threading.Thread(target=backend.publish, args=("hello",)).start()

    backend.script["subscribe"] = subscribe
    gateway = stack.enter_context(Gateway(backend, auth_token=TOKEN))
    process = start_program(_PROMPTING, str(gateway.port), TOKEN)
    for _ in range(3):
        run.wait_entered()
    assert _first_line(process) == "watching"
    process.send_signal(getattr(signal, name))
    assert eventually(lambda: len(run.reasons) == 3, PATIENCE), run.reasons
    assert backend.streams[0].closed.wait(PATIENCE)
    process.wait(PATIENCE)
    # Others are served as before.
    with IpcClient(IpcConfig(port=gateway.port, auth_token=TOKEN)) as client:
        assert client.check_server_health() is True


# --- The end of the interpreter ---


def test_threads_that_outlive_the_main_thread_are_served_to_their_end(
    start_program: Callable[..., subprocess.Popen[str]], stack: ExitStack, tmp_path: Path
) -> None:
    gateway = stack.enter_context(Gateway(EmbeddedBackend(tmp_path / "s.db"), auth_token=TOKEN))
    process = start_program(
        """
        import atexit, sys, threading
        from concurrent.futures import ThreadPoolExecutor
        from opencode_sync import *

        client = IpcClient(IpcConfig(port=int(sys.argv[1]), auth_token=sys.argv[2]))
        client.connect()
        last_line = threading.Event()

        def work():
            threading.main_thread().join()
            client.create_session("of a thread")

        def work_in_pool():
            last_line.wait()
            client.create_session("of a pool")

        def at_exit():
            # Nothing new may begin any more on some interpreters; then that is what it says.
            try:
                client.create_session("at exit", timeout=10)
            except IpcError as error:
                print(error, flush=True)

        atexit.register(at_exit)
        threading.Thread(target=work).start()
        ThreadPoolExecutor(1).submit(work_in_pool)
        last_line.set()
        """,
        str(gateway.port),
        TOKEN,
    )
    output, complaints = process.communicate(timeout=30)
    assert (output, complaints, process.returncode) == ("", "", 0)
    with IpcClient(IpcConfig(port=gateway.port, auth_token=TOKEN)) as client:
        titles = sorted(session.title for session in client.list_sessions())
    assert titles == ["at exit", "of a pool", "of a thread"]
