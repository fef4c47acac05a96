"""Fetches a small document over HTTP, in bounded time and memory. Imported only when it is used."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from types import TracebackType
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from opencode_sync.config import is_loopback
from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcConfigError

__all__ = ["fetch"]

MAX_BODY = 64 * 1024
"""Bytes of an answer; one that is larger is not the configuration."""


def fetch(url: str, *, timeout: float, allow_remote: bool, source: str) -> bytes:
    """Return the body of the answer to one ``GET``. No redirect is followed, no proxy is used.

    Args:
        url: What to get.
        timeout: Seconds for the whole exchange, however slowly the server sends. Only the look-up
            of a remote host's name is left to the system's own time-out.
        allow_remote: Whether to connect to other machines than this one.
        source: The address as it may be shown: without its query, which may be secret.

    Raises:
        IpcConfigError: If there is no answer in time, or another one than 200 with at most 64 KiB.
    """
    deadline = Deadline.after(timeout)
    body, problem = b"", None
    with _Watchdog(deadline) as watchdog:
        # The errors below carry the whole address and parts of the answer, so they are not
        # chained, and what they mean is raised outside of their reach.
        try:
            body, problem = _exchange(url, timeout, _Adapter(watchdog, allow_remote))
        except requests.exceptions.SSLError:
            problem = "does not prove who it is by a valid TLS certificate; install one there"
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
        ):
            if watchdog.connected:
                problem = "ended the exchange without a complete answer; check what listens there"
            else:
                problem = "cannot be reached; check the address and that its server is running"
        if deadline.passed():
            # First of all causes: a connection cut by the watchdog looks like any other fault.
            problem = f"did not answer completely within {timeout:g} s; check what listens there"
    if problem is not None:
        raise IpcConfigError(f"The address {source} {problem}.", field="url", source=source)
    return body


def _exchange(url: str, timeout: float, adapter: HTTPAdapter) -> tuple[bytes, str | None]:
    with requests.Session() as session:
        # Neither proxies, nor netrc passwords, nor anything else from the environment.
        session.trust_env = False
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        response = session.get(
            url,
            timeout=timeout,
            allow_redirects=False,
            stream=True,
            # Uncompressed, so that the limit on bytes is one on memory.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        with response:
            status = response.status_code
            if 300 <= status < 400:
                return (
                    b"",
                    f"redirects (status {status}), which is not followed; give the final URL",
                )
            if status != 200:
                return b"", f"answered with status {status}; check the address"
            if "html" in response.headers.get("Content-Type", "").lower():
                return b"", "answered with a web page, not JSON; check the address"
            body = _read(response.raw)
    if len(body) > MAX_BODY:
        return b"", "answered with more than 64 KiB; check the address"
    return body, None


def _read(raw: Any) -> bytes:
    body = bytearray()
    while len(body) <= MAX_BODY:
        # Only a read at the end notices that less came than was announced.
        piece = raw.read(MAX_BODY + 1 - len(body), decode_content=False)
        if not piece:
            break
        body += piece
    return bytes(body)


class _Watchdog:
    """Cuts the connections it was shown when the deadline comes.

    Socket time-outs start anew with every byte, so a server that drips bytes outlasts them. The
    thread it takes lives as long as the exchange.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.connected = False
        self._watched: list[tuple[threading.Timer, socket.socket]] = []

    def __enter__(self) -> _Watchdog:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for timer, twin in self._watched:
            timer.cancel()
            timer.join()
            twin.close()

    def watch(self, connection: socket.socket) -> None:
        self.connected = True
        # A twin, because TLS takes the socket itself away; shutting one down ends both.
        twin = connection.dup()
        timer = threading.Timer(self.deadline.remaining() or 0.0, _cut, (twin,))
        timer.name = "opencode-sync-config-http"
        timer.daemon = True
        try:
            timer.start()
        except BaseException:
            twin.close()
            raise
        self._watched.append((timer, twin))


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        connection.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Opens the connections itself, so that one deadline covers them and where they lead is known.

    An address may resolve to several others; what counts is where the connection really goes.
    """

    def __init__(self, watchdog: _Watchdog, allow_remote: bool) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)
        self._watchdog = watchdog
        self._allow_remote = allow_remote

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        adapter, base = self, type(pool).ConnectionCls

        class Connection(base):  # type: ignore[misc, valid-type]
            def _new_conn(self) -> socket.socket:
                return adapter.open(self._dns_host, self.port)

        pool.ConnectionCls = Connection
        return pool

    def open(self, host: str, port: int) -> socket.socket:
        """Connect to the first address of the host that answers, in what time is left."""
        failure = OSError(f"no usable address for {host}")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            if not (self._allow_remote or is_loopback(str(address[0]))):
                continue
            connection = socket.socket(family, kind, protocol)
            try:
                # Above zero, because a time-out of zero means something else to sockets.
                connection.settimeout(max(self._watchdog.deadline.remaining() or 0.0, 0.001))
                connection.connect(address)
                self._watchdog.watch(connection)
            except OSError as error:
                connection.close()
                failure = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failure
