"""Connection pools whose time-outs bound a whole exchange, however slowly the bytes trickle in."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.http.breaker import Breaker

__all__ = ["new_pool"]


def new_pool(
    host: str, port: int | None, *, size: int, tls: bool, breaker: Breaker | None = None
) -> urllib3.HTTPConnectionPool:
    """Return a pool of at most ``size`` connections; a call that finds none free waits.

    It is a bare pool and not a manager: it knows no proxies, whatever the environment says.

    Args:
        host: The server's.
        port: The server's; None for the usual one.
        size: 1 with a breaker.
        tls: Whether to speak TLS.
        breaker: Gets to know each connection.
    """
    if not tls:
        return _Pool(host, port, maxsize=size, block=True, breaker=breaker)
    context = create_urllib3_context()
    context.load_default_certs()
    context.sslsocket_class = _TlsSocket
    return _TlsPool(host, port, maxsize=size, block=True, ssl_context=context, breaker=breaker)


class _WholeCallTimeout:
    """A socket whose time-out bounds everything until it is set anew, not each single operation.

    A plain socket's time-out starts again with each byte, so that a peer sending one byte a second
    holds a reader for ever. urllib3 sets the time-out once before it sends and once before it reads
    an answer; counted from those moments it covers the headers and the whole body.
    """

    _deadline = Deadline(None)

    def settimeout(self, value: float | None, /) -> None:
        self._deadline = Deadline.after(value)
        super().settimeout(value)  # type: ignore[misc]

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        left = self._deadline.remaining()
        if left == 0.0:  # which would make the socket non-blocking instead
            raise TimeoutError("timed out")
        super().settimeout(left)  # type: ignore[misc]
        count: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]
        return count


class _Socket(_WholeCallTimeout, socket.socket):
    """A plain one; its ``sendall`` already counts its time-out over the whole of it."""


class _TlsSocket(_WholeCallTimeout, ssl.SSLSocket):
    """The same behind TLS."""


def _whole_call_socket(plain: socket.socket, breaker: Breaker | None = None) -> socket.socket:
    timeout = plain.gettimeout()
    wrapped = _Socket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    try:
        wrapped.settimeout(timeout)
        if breaker is not None:
            breaker.watch(wrapped)
    except BaseException:
        wrapped.close()
        raise
    return wrapped


class _Connection(HTTPConnection):
    def __init__(self, *args: Any, breaker: Breaker | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._breaker = breaker

    def _new_conn(self) -> socket.socket:
        return _whole_call_socket(super()._new_conn(), self._breaker)


class _TlsConnection(HTTPSConnection):
    def __init__(self, *args: Any, breaker: Breaker | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._breaker = breaker

    def _new_conn(self) -> socket.socket:
        return _whole_call_socket(super()._new_conn(), self._breaker)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
