"""Why a gateway of the window's own did not start, as the window shows it."""

from __future__ import annotations

import dataclasses
import shutil

from PySide6.QtCore import QCoreApplication

from opencode_sync.desktop.errors import Kind, Problem, problem_of
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.symbols import Symbol
from opencode_sync.desktop.theme import Tone
from opencode_sync.wire import ipc_pb2

__all__ = ["start_problem_of"]


def start_problem_of(error: BaseException, kind: GatewayKind) -> Problem:
    """Return how to show that a gateway did not start.

    Args:
        error: What kept it from that.
        kind: What was to be started.
    """
    translate = QCoreApplication.translate
    problem = problem_of(error)
    code = _code(error)
    if kind is GatewayKind.OPENCODE and code == ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR:
        return Problem(
            kind=Kind.AUTHENTICATION,
            symbol=Symbol.LOCK,
            tone=Tone.WARNING,
            title=translate("errors", "OpenCode wants a password"),
            text=translate(
                "errors",
                "The OpenCode server that runs has a password, which this window does not know. "
                "Start one of our own: it ends with this window, and has the same sessions.",
            ),
            retry=False,
            offer=translate("errors", "Start one of our own"),
        )
    text = problem.text
    if code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER and shutil.which("opencode") is None:
        text = translate(
            "errors",
            "OpenCode is not installed here, or not on the PATH of this window. Install it with "
            "`npm install -g opencode-ai`, and try again.",
        )
    return dataclasses.replace(
        problem,
        kind=Kind.SERVER,
        symbol=Symbol.EXCLAMATION,
        tone=Tone.DANGER,
        title=translate("errors", "The gateway did not start"),
        text=text,
        retry=False,  # the connection is tried again by that, and not the start
    )


def _code(error: BaseException) -> int | None:
    # Here, for by now the gateway was imported anyhow.
    from opencode_sync.gateway import BackendError

    return error.code if isinstance(error, BackendError) else None
