"""What the doctor looks at in a running gateway, and behind it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opencode_sync import (
    ConnectionState,
    EnvironmentConfigProvider,
    ReconnectPolicy,
    __version__,
)
from opencode_sync.cli.checks import GATEWAY, PROVIDERS, START, Finding, Level
from opencode_sync.errors import (
    IpcAuthenticationError,
    IpcConfigError,
    IpcError,
    IpcServerError,
    IpcUnsupportedOperationError,
)
from opencode_sync.runtime_file import default_runtime_file, gateway_behind
from opencode_sync.wire import ipc_pb2

if TYPE_CHECKING:
    from opencode_sync import IpcClient

__all__ = ["check_gateway"]

_ANSWER_SECONDS: Final = 3.0
_ROUNDS: Final = 20

_LONGEST_PAUSE: Final = ReconnectPolicy().maximum_delay + ReconnectPolicy().jitter
_MEANWHILE: Final = (
    "programs that were connected try again by themselves, each by one attempt every "
    f"{_LONGEST_PAUSE:.1f} s or sooner, and their calls wait for it or fail at once"
)


def check_gateway(config_file: Path | None, open_link: Callable[..., Any]) -> list[Finding]:
    """Whether a gateway can be reached, and does what it should."""
    said = config_file is not None or EnvironmentConfigProvider().is_set()
    if not said and gateway_behind(default_runtime_file()) is None:
        return [
            Finding(
                GATEWAY,
                Level.NOTE,
                "none runs; `opencode-sync chat` and launch() do without",
                f"for all else start one: {START}",
                {"endpoint": None},
            )
        ]
    try:
        link = open_link(config_file, _ANSWER_SECONDS)
        began = time.perf_counter()
        with link.client as client:
            connected = (time.perf_counter() - began) * 1000
            gateway = _gateway(client, link.endpoint, connected)
            is_store = gateway.details.get("backend") == "embedded"
            return [gateway, _server(client), *([_no_models()] if is_store else _providers(client))]
    except IpcConfigError as error:
        return [Finding(GATEWAY, Level.PROBLEM, error.message, None, {"endpoint": None})]
    except IpcError as error:
        wrong_token = isinstance(error, IpcAuthenticationError)
        text = error.message if wrong_token else f"{error.message}; {_MEANWHILE}"
        remedy = (
            "give the token that the gateway was started with"
            if wrong_token
            else f"look at the gateway, or start it anew: {START}"
        )
        details = {"endpoint": link.endpoint, "state": ConnectionState.FAILED.value}
        return [Finding(GATEWAY, Level.PROBLEM, text, remedy, details)]


def _gateway(client: IpcClient, endpoint: str, connected: float) -> Finding:
    details: dict[str, Any] = {
        "endpoint": endpoint,
        "state": ConnectionState.CONNECTED.value,
        "connect_ms": round(connected, 3),
    }
    text = f"reached at {endpoint} in {connected:.1f} ms"
    try:
        info = client.get_backend_info()
    except IpcUnsupportedOperationError:
        return Finding(GATEWAY, Level.OK, f"{text}; it does not say which version", None, details)
    latency = _latency(client)
    details |= {
        "gateway_version": info.version,
        "backend": info.backend,
        "answer_ms": round(latency, 3),
    }
    text = f"version {info.version}, {text}, answers in {latency:.2f} ms; {info.description}"
    if info.version != __version__:
        return Finding(
            GATEWAY,
            Level.NOTE,
            f"{text}; this program is {__version__}",
            f"start it anew: {START}",
            details,
        )
    return Finding(GATEWAY, Level.OK, text, None, details)


def _latency(client: IpcClient) -> float:
    """Return the median of some answers that need no OpenCode, in milliseconds."""
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        client.get_backend_info()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _server(client: IpcClient) -> Finding:
    name = "gateway's server"
    began = time.perf_counter()
    try:
        healthy = client.check_server_health()
    except IpcServerError as error:
        remedy = None
        if error.code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER:
            remedy = f"start the gateway with one: {START} --backend opencode --spawn"
        return Finding(name, Level.PROBLEM, error.message, remedy)
    took = (time.perf_counter() - began) * 1000
    details = {"healthy": healthy, "health_ms": round(took, 3)}
    if healthy:
        return Finding(name, Level.OK, f"healthy, answers in {took:.1f} ms", None, details)
    return Finding(
        name,
        Level.PROBLEM,
        "it says that it is not healthy",
        "look at OpenCode's log, or start it anew",
        details,
    )


def _no_models() -> Finding:
    return Finding(
        PROVIDERS,
        Level.NOTE,
        "no model can be used through this gateway",
        "start it with --backend opencode once OpenCode is installed",
        {"models": False},
    )


def _providers(client: IpcClient) -> list[Finding]:
    name = PROVIDERS
    try:
        listed = sorted(client.get_provider_status())
    except IpcUnsupportedOperationError as error:
        return [Finding(name, Level.NOTE, error.message)]
    except IpcServerError:
        return []  # what is wrong with the server is said already
    details = {"providers": listed}
    if listed:
        return [Finding(name, Level.OK, ", ".join(listed), None, details)]
    return [
        Finding(
            name,
            Level.PROBLEM,
            "none can be used",
            "put an API key into the gateway's environment, and run: opencode-sync auth sync",
            details,
        )
    ]
