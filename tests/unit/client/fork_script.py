"""Run by ``test_fork``: a client, a fork, and what each side can still do. Prints JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

from opencode_sync import CancelToken, IpcClient, IpcUsageError
from tests.support.backend import CONFIG, HOLD, WAIT, ScriptedBackend


def _outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except IpcUsageError as error:
        return "refused" if "fork" in str(error) else f"refused for another reason: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "allowed"


def _child(
    client: IpcClient,
    unused: IpcClient,
    inherited: dict[str, Callable[[], object]],
) -> dict[str, object]:
    began = time.monotonic()
    calls: dict[str, Callable[[], object]] = {
        "connect": client.connect,
        "enter": client.__enter__,
        "health_check": client.health_check,
        "check_server_health": client.check_server_health,
        "discover_server": client.discover_server,
        "spawn_server": client.spawn_server,
        "stop_server": client.stop_server,
        "list_sessions": client.list_sessions,
        "create_session": client.create_session,
        "delete_session": lambda: client.delete_session("ses_1"),
        "wait_for_state": lambda: client.wait_for_state(client.state, 1),
        "futures.list_sessions": client.futures.list_sessions,
        "futures.create_session": client.futures.create_session,
    }
    report: dict[str, object] = {name: _outcome(call) for name, call in calls.items()}
    report |= {name: _outcome(end) for name, end in inherited.items()}
    report["close"] = _outcome(client.close)
    report["close again"] = _outcome(client.close)
    # One that was never connected belongs to nobody yet.
    report["a client not used before"] = _outcome(lambda: _use(unused))
    report["seconds"] = time.monotonic() - began
    return report


def _use(client: IpcClient) -> None:
    with client:
        assert client.check_server_health() is True


def main() -> None:
    """Fork with a request in flight; the child reports through a pipe."""
    backend = ScriptedBackend()
    backend.rule("list_sessions", HOLD)
    client = backend.client()
    unused = IpcClient(CONFIG, transport_factory=lambda *args: ScriptedBackend().factory(*args))
    client.connect()
    in_flight = client.futures.list_sessions()
    request = backend.link().request()
    backend.rule("prompt", HOLD)
    stream = client.stream_prompt("ses_1", "hello", timeout=WAIT)
    token = CancelToken()
    future = client.futures.prompt("ses_2", "hello", timeout=WAIT, cancel=token)
    backend.link().request(2)
    inherited: dict[str, Callable[[], object]] = {
        "stream.cancel": stream.cancel,
        "stream.close": stream.close,
        "future.cancel": future.cancel,
        "token.cancel": token.cancel,
    }
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        with os.fdopen(write_end, "w") as pipe:
            json.dump(_child(client, unused, inherited), pipe)
        sys.exit(0)  # through atexit, which must not disturb the parent either
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        report = json.load(pipe)
    _, status = os.waitpid(child, 0)
    report["child's exit code"] = os.waitstatus_to_exitcode(status)
    backend.link().answer(request, {"session_list": {}})
    in_flight.result(WAIT)
    report["parent's request in flight"] = "answered"
    report["parent's runs ended"] = stream.done or future.done()
    report["parent's health"] = client.check_server_health()
    report["parent's operations"] = backend.link().operations()
    report["parent's state"] = client.state.value
    client.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
