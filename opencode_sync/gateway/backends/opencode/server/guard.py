"""Runs one OpenCode server and ends it with the process that asked for it, however that one ends.

Run as a script by ``process``, with the standard library alone: a bare interpreter starts
in about 30 ms and takes about 10 MB, importing this package would multiply both. Standard
input is a socket to the owner; the lines on it are::

    guard -> owner   pid 4711        the server was started
                     exit -15        it ended (negative: by that signal)
                     error TEXT      it could not be started
    owner -> guard   nothing, ever; end of file means: end the server

The kernel closes the owner's end even after ``kill -9``, on Linux and macOS alike. The alternative,
asking Linux to signal a child when its parent dies (PR_SET_PDEATHSIG), works there only, needs code
run between fork and exec, which is not safe in a process with threads, and acts when the *thread*
that spawned ends, not the process: here that is a worker that may be gone a second later. And since
the guard is the server's parent, the server's process id stays valid until the guard has collected
it, so that no signal can reach a stranger.

Should the guard be killed as well, which nothing makes it expect, Linux ends the server: here
PR_SET_PDEATHSIG is safe, since the guard has one thread.

Its one limit: a process that the owner forked without exec holds the socket open as well.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the server until it ends or the owner does.

    Args:
        arguments: The seconds between asking the server to end and forcing it, then its command
            line.
    """
    grace, command = float(arguments[0]), arguments[1:]
    owner = socket.socket(fileno=os.dup(0))
    _adopt_orphans()
    # A pipe that a signal makes readable, so that one select waits for everything.
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        # A group of its own, so that what the server starts can be ended together with it.
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_ends_with_us(),
        )
    except OSError as error:
        _tell(owner, f"error {error.strerror or error}")
        return 1
    _tell(owner, f"pid {server.pid}")
    try:
        _wait(owner, signals, server)
    finally:
        _end(server, signals, grace)
        _tell(owner, f"exit {server.returncode}")
    return 0


def _adopt_orphans() -> None:
    """Have the server's orphans become our children on Linux, those of other groups included."""
    if sys.platform == "linux":
        import ctypes  # here, because only Linux gains from its 10 ms

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _ends_with_us() -> Callable[[], None] | None:
    """Return what the server's process does before exec, so that it is killed when we are."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl, guard = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guard:  # it was killed before we asked
            os._exit(1)

    return tie


def _tell(owner: socket.socket, line: str) -> None:
    try:
        owner.sendall(line.encode(errors="replace").replace(b"\n", b" ") + b"\n")
    except OSError:
        return  # the owner is gone: nobody is left to be told


def _has_ended(server: subprocess.Popen[bytes]) -> bool:
    """Whether it has; where the platform can, without collecting it: that would free its id."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return server.poll() is not None
    try:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, server.pid, options) is not None
    except ChildProcessError:
        return True


def _wait(owner: socket.socket, signals: int, server: subprocess.Popen[bytes]) -> None:
    """Return once the server ended by itself, or has to be ended."""
    while not _has_ended(server):
        readable, _, _ = select.select([owner.fileno(), signals], [], [])
        if owner.fileno() in readable:
            return
        if any(number != signal.SIGCHLD for number in os.read(signals, 512)):
            return
        for orphan in _children(apart_from=server.pid):
            os.waitpid(orphan, os.WNOHANG)  # or those that ended would stay zombies


def _end(server: subprocess.Popen[bytes], signals: int, grace: float) -> None:
    deadline = time.monotonic() + grace
    _signal_group(server, signal.SIGTERM)
    while not _has_ended(server) and (left := deadline - time.monotonic()) > 0:
        if select.select([signals], [], [], left)[0]:
            os.read(signals, 512)
    # Also when the server itself has gone: what it started may not have.
    _signal_group(server, signal.SIGKILL)
    server.wait()
    _end_orphans(server.pid)


def _signal_group(server: subprocess.Popen[bytes], number: int) -> None:
    if server.returncode is None or not hasattr(os, "waitid"):
        try:
            os.killpg(server.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # nobody left; macOS says "not permitted" when only zombies are


def _children(*, apart_from: int) -> list[int]:
    """Return our children, adopted ones included; none where nothing is adopted."""
    if sys.platform != "linux":
        return []
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as children:
            return [int(pid) for pid in children.read().split() if int(pid) != apart_from]
    except OSError:  # a kernel built without this file
        return []


def _end_orphans(server_pid: int) -> None:
    """Kill what the server had put into groups of its own, as it does with the tools it runs."""
    for _ in range(100):  # each round may orphan a further generation; a bound against the absurd
        orphans = _children(apart_from=server_pid)
        for pid in orphans:
            try:
                os.kill(pid, signal.SIGKILL)
            except PermissionError:  # it took another user's rights: not ours to end or wait for
                return
        for pid in orphans:
            os.waitpid(pid, 0)
        if not orphans:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
