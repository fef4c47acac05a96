"""Finds OpenCode servers that run already: this user's ``opencode serve`` processes.

A command line proves nothing, so each candidate is asked for its health; only the one that answers
as OpenCode does is used. One that was started with another home or configuration is not ours to
use, though it is the same user's: what is sent to it would go out with its credentials.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, RefusedError
from opencode_sync.gateway.backends.opencode.server.homes import differing
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2

__all__ = ["Found", "discover", "environment_of", "is_opencode_serve", "without_secrets"]

_PROBE_TIMEOUT = 1.0
"""Seconds for one candidate: one that is starting or stuck must not use up the caller's time."""

_LAUNCHERS = frozenset({"node", "bun", "nodejs", "deno", "npx", "bunx"})
_SECRET = re.compile(r"(?i)(password|passwd|token|secret|api-?key|auth)")


@dataclass(frozen=True)
class Found:
    """A server that answered."""

    pid: int
    port: int
    command: str
    """Its command line, without secrets."""
    http: OpenCodeHttp
    """A client for it, the caller's to close."""


@dataclass(frozen=True)
class _Candidate:
    started: float
    pid: int
    command: tuple[str, ...]
    process: Any  # psutil.Process; psutil is imported when it is needed


def is_opencode_serve(command: Sequence[str]) -> bool:
    """Return whether a command line looks like ``opencode serve``, however it was launched.

    The program comes first, or second after an interpreter (``node .../bin/opencode serve``).
    """
    for position, argument in enumerate(command[:2]):
        name = re.split(r"[\\/]", argument)[-1].lower()
        name = re.sub(r"\.(exe|cmd|js|mjs|ts)$", "", name)
        if name == "opencode" or re.fullmatch(r"opencode-(linux|darwin|windows)\S*", name):
            return "serve" in command[position + 1 :]
        if name not in _LAUNCHERS:
            return False
    return False


def without_secrets(command: Sequence[str]) -> str:
    """Return a command line for people, the values of secret-looking options left out."""
    shown = []
    hide_next = False
    for argument in command:
        name, equals, _ = argument.partition("=")
        if hide_next:
            shown.append("***")
            hide_next = False
        elif _SECRET.search(name) and name.startswith("-"):
            shown.append(f"{name}=***" if equals else name)
            hide_next = not equals
        elif equals and _SECRET.search(name):
            shown.append(f"{name}=***")
        else:
            shown.append(re.sub(r"//[^/@\s]*@", "//***@", argument))
    return shlex.join(shown)


def discover(
    *,
    username: str,
    password: str | None,
    deadline: Deadline,
    environ: Mapping[str, str] | None = None,
) -> Found | None:
    """Return the most recently started server of our home that answers, None if there is none.

    Args:
        username: For HTTP Basic.
        password: Tried on servers that ask for one; those are passed over without it.
        deadline: For the whole search; what was not looked at by then does not count.
        environ: Says which home and configuration are ours; None for this process's. A server whose
            environment may not be looked into counts as one of ours.

    Raises:
        BackendError: NOT_IMPLEMENTED: psutil is not installed. AUTH_ERROR: the only ones there are
            want a password that we do not have.
    """
    closed = None
    ours = os.environ if environ is None else environ
    for candidate in _candidates(_psutil()):
        if _is_of_another_home(candidate, ours):
            continue
        for address in _listening(candidate):
            if deadline.passed():
                return None
            try:
                http = _ask(address, candidate.pid, username, password, deadline)
            except _WantsPasswordError:
                closed = closed or f"{address} (process {candidate.pid})"
                continue
            if http is not None:
                port = int(address.rpartition(":")[2])
                return Found(candidate.pid, port, without_secrets(candidate.command), http)
    if closed is not None:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR,
            f"the OpenCode server at {closed} wants "
            f"{'another password' if password else 'a password'}; set OPENCODE_SERVER_PASSWORD for "
            "the gateway to use it",
        )
    return None


class _WantsPasswordError(Exception):
    """A server that would do, had we its password."""


def environment_of(pid: int, host: str, port: int | None) -> Mapping[str, str] | None:
    """Return the environment that a running server of this user was started with.

    Args:
        pid: The server's process; 0 has it looked for by its port.
        host: Where it listens.
        port: Where it listens.

    Returns:
        None when there is no such process on this machine, or it may not be looked into.

    Raises:
        BackendError: NOT_IMPLEMENTED: psutil is not installed.
    """
    psutil = _psutil()
    if not (host in ("localhost", "::1") or host.startswith("127.")):
        return None
    for candidate in _candidates(psutil):
        if pid not in (0, candidate.pid):
            continue
        addresses = _listening(candidate)
        if pid or any(address.rpartition(":")[2] == str(port) for address in addresses):
            return _environ_of(candidate)
    return None


def _environ_of(candidate: _Candidate) -> Mapping[str, str] | None:
    """Return what a process was started with, None if it may not be looked into."""
    import psutil

    try:
        environ: dict[str, str] = candidate.process.environ()
    except (psutil.Error, OSError) as error:
        logger.debug("Cannot look into process {}: {}", candidate.pid, error)
        return None
    return environ


def _is_of_another_home(candidate: _Candidate, ours: Mapping[str, str]) -> bool:
    """Return whether a process is known to work with other data or settings than ours."""
    theirs = _environ_of(candidate)
    if not theirs:  # some systems show an empty one for one that may not be read
        return False
    names = differing(ours, theirs)
    if names:
        logger.info(
            "Passing over the OpenCode server of process {}: it has another home or configuration "
            "({}); give its URL to use it all the same",
            candidate.pid,
            ", ".join(names),
        )
    return bool(names)


def _psutil() -> ModuleType:
    try:
        import psutil
    except ImportError as error:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
            "finding a running OpenCode server needs the package psutil; install it with "
            "`pip install 'opencode-sync-sdk[gateway]'`, or give the server's URL",
        ) from error
    return psutil


def _candidates(psutil: ModuleType) -> list[_Candidate]:
    """Return this user's ``opencode serve`` processes, the newest first."""
    me = psutil.Process().username()
    found = []
    # process_iter itself passes over processes that end meanwhile; what may not be read is None.
    for process in psutil.process_iter(["pid", "cmdline", "create_time", "username"]):
        command = process.info["cmdline"] or []
        if (
            process.info["username"] == me
            and process.info["pid"] != os.getpid()
            and is_opencode_serve(command)
        ):
            started = process.info["create_time"] or 0.0
            found.append(_Candidate(started, process.info["pid"], tuple(command), process))
    return sorted(found, key=lambda candidate: (candidate.started, candidate.pid), reverse=True)


def _listening(candidate: _Candidate) -> Iterator[str]:
    """Yield the addresses on this machine that the process listens on."""
    import psutil

    try:
        connections = candidate.process.net_connections(kind="tcp")
    except psutil.Error as error:  # it ended, or the system does not tell (macOS, some sandboxes)
        logger.debug("Cannot see where process {} listens: {}", candidate.pid, error)
        return
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN:
            continue
        host, port = connection.laddr.ip, connection.laddr.port
        if host.startswith("127.") or host == "0.0.0.0":
            yield f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        elif host in ("::1", "::"):
            yield f"http://[::1]:{port}"


def _ask(
    address: str, pid: int, username: str, password: str | None, deadline: Deadline
) -> OpenCodeHttp | None:
    """Return a client for the server at this address if it answers as a healthy OpenCode.

    Raises:
        _WantsPasswordError: it wants a password, and not ours.
    """
    # The password goes only to a server that asks for one.
    for secret in (None, password) if password else (None,):
        http = OpenCodeHttp(address, username=username, password=secret)
        probe = deadline.earlier(Deadline.after(_PROBE_TIMEOUT))
        try:
            if http.is_healthy(deadline=probe, fresh=True):
                return http
            problem = "it is not healthy"
        except BackendError as error:
            problem = error.message
            if isinstance(error, RefusedError) and error.refusal.status == 401:
                http.close()
                continue
        http.close()
        logger.debug("Passing over process {} at {}: {}", pid, address, problem)
        return None
    raise _WantsPasswordError
