"""``opencode-sync health``: is the backend there, and does what is behind it work?"""

from __future__ import annotations

import time

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Timeout, Verbose, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.output import print_json, print_line
from opencode_sync.cli.waiting import waiting_for
from opencode_sync.errors import IpcServerError

__all__ = ["health"]

_UNHEALTHY = (
    "the backend works, but the server behind it says that it is not healthy; look at OpenCode's "
    "own log, or start it anew"
)


def health(
    context: typer.Context,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Say whether the backend can be reached and its server is healthy.

    The exit code is 0 only if both are so; otherwise it tells the kind of error.
    """
    state = state_of(context, as_json=as_json, verbose=verbose)
    link = state.open_link(config_file, timeout)
    failure: Exception | None = None
    healthy = False
    started = time.perf_counter()
    with waiting_for("Asking the backend and its server"), link.client as client:
        connected = time.perf_counter()
        try:
            healthy = client.check_server_health()
        except IpcServerError as error:
            # Who answers with an error has been reached: no server is bound, for instance.
            failure = error
        answered = time.perf_counter()
    connect_ms = (connected - started) * 1000
    answer_ms = (answered - connected) * 1000
    if as_json:
        print_json(
            {
                "backend": {
                    "reachable": True,
                    "endpoint": link.endpoint,
                    "connect_ms": round(connect_ms, 3),
                },
                "server": {"healthy": healthy, "answer_ms": round(answer_ms, 3)},
            }
        )
    else:
        print_line(f"backend  reachable at {link.endpoint} (connected in {connect_ms:.1f} ms)")
        verdict = "healthy" if healthy else "NOT healthy"
        print_line(f"server   {verdict} (answered in {answer_ms:.1f} ms)")
    if failure is not None:
        raise failure
    if not healthy:
        raise CommandError(_UNHEALTHY, ExitCode.SERVER)
