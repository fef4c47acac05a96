"""One OpenCode server over HTTP: the request, its deadline, and what counts as an answer.

Three rules keep this client honest. Only a 2xx answer of JSON is a success, because OpenCode
answers paths it does not know with its web page and status 200. One deadline covers the whole call,
name look-up aside: connecting, sending, waiting, and a body that trickles in. Nothing is sent twice
unless the server cannot have acted on it or acting twice changes nothing.
"""

from __future__ import annotations

import base64
import copy
import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    EmptyPoolError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcArgumentError
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import (
    Refusal,
    no_server,
    one_line,
    read_refusal,
    server_error,
)
from opencode_sync.gateway.backends.opencode.http.breaker import Breaker
from opencode_sync.gateway.backends.opencode.http.pool import new_pool
from opencode_sync.gateway.spans import HTTP_SPANS, HttpSpan
from opencode_sync.masking import remember_secret
from opencode_sync.wire import ipc_pb2

__all__ = [
    "MAX_ANSWER_BYTES",
    "Address",
    "OpenCodeHttp",
    "OutcomeUnknownError",
    "RefusedError",
    "parse_base_url",
    "quote_id",
]

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""An answer larger than this is refused: a runaway server must not take the gateway with it."""

_POOL_SIZE = 256
"""Connections to one server at a time; more calls than that wait their turn, until their
deadline."""

_CHUNK = 64 * 1024
_SHOWN_CALL = 100
"""Characters of a call that messages show: an id may be of any length."""


class RefusedError(BackendError):
    """The server answered, and the answer is not a success.

    Attributes:
        refusal: The answer's parts, for a caller to whom it means something special.
    """

    def __init__(self, refusal: Refusal, *, call: str, base_url: str) -> None:
        told = refusal.to_error(call=call, base_url=base_url)
        super().__init__(told.code, told.message)
        self.refusal = refusal


class OutcomeUnknownError(BackendError):
    """SERVER_ERROR: the connection broke after the request may have been sent.

    Not NO_SERVER, which tells clients that nothing was done and the request may be sent again.
    """

    def __init__(self, message: str) -> None:
        super().__init__(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, message)


def parse_base_url(url: str) -> str:
    """Return the URL without its trailing slash, if it is one a gateway can use.

    Raises:
        IpcArgumentError: it is not; the text says why. It never repeats the URL: one that is not
            understood may hold a password anywhere.
    """
    if "@" in url:
        # Wherever it is: without its "http://", a URL is all path to the parser.
        raise _bad_url(
            "must not hold a user or password, which would end up in logs and process lists; set "
            "OPENCODE_SERVER_PASSWORD for the gateway instead"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The parser's own words may repeat what was mistaken for a port: a password, perhaps.
        raise _bad_url("has no port from 1 to 65535, or a broken host") from None
    if parts.scheme not in ("http", "https"):
        raise _bad_url("does not begin with http:// or https://")
    if not parts.hostname:
        raise _bad_url("names no host")
    if port == 0:
        raise _bad_url("has port 0, where no server can be")
    if parts.query or parts.fragment:
        raise _bad_url("must end after the address, without query or fragment")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _bad_url(problem: str) -> IpcArgumentError:
    return IpcArgumentError(
        f"the OpenCode URL {problem}; it should look like http://127.0.0.1:4096", field="url"
    )


class Address(NamedTuple):
    """What a connection to a server needs that is not made by ``OpenCodeHttp``."""

    host: str
    port: int
    tls: bool
    prefix: str
    """What each path begins with."""
    headers: Mapping[str, str]
    """With the password: not for logs."""

    def __repr__(self) -> str:
        return f"Address({self.host!r}, {self.port})"


class OpenCodeHttp:
    """Calls one OpenCode server. Every method may be called by any thread.

    Holds idle connections until ``close``; a call after ``close`` fails.
    """

    def __init__(self, base_url: str, *, username: str = "opencode", password: str | None = None):
        """Do no I/O.

        Args:
            base_url: Such as ``"http://127.0.0.1:4096"``.
            username: For HTTP Basic; used only with a password.
            password: None or "" when the server has none.

        Raises:
            IpcArgumentError: the URL or the user name cannot be used.
        """
        self.base_url = parse_base_url(base_url)
        parts = urlsplit(self.base_url)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._prefix = parts.path
        self._origin = self.base_url.removesuffix(parts.path)
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if password:
            if ":" in username:
                raise IpcArgumentError(
                    "the OpenCode user name must not hold a colon; use another", field="username"
                )
            pair = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {pair}"
            remember_secret(password)
            remember_secret(pair)
        self._breaker: Breaker | None = None
        self._pool = self._new_pool(_POOL_SIZE)

    def __repr__(self) -> str:
        return f"OpenCodeHttp({self.base_url!r})"

    @property
    def address(self) -> Address:
        """Where the server is, and how to log in there."""
        port = self._port or (443 if self._tls else 80)
        return Address(self._host, port, self._tls, self._prefix, dict(self._headers))

    def close(self) -> None:
        """Close the idle connections; calls in flight end on their own."""
        self._pool.close()

    def breakable(self, breaker: Breaker) -> Self:
        """Return the same server for one thread, whose calls another one can end.

        It has a connection of its own, to be closed by ``close``. A call that was broken off fails
        as if the connection broke.

        Args:
            breaker: Ends them.
        """
        alone = copy.copy(self)
        alone._breaker = breaker
        alone._pool = alone._new_pool(1)
        return alone

    def call(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        query: Mapping[str, str] | None = None,
        body: object = None,
        fresh: bool = False,
    ) -> Any:
        """Send one request and return the JSON value of its successful answer.

        Args:
            method: ``"GET"``, ``"POST"``, ...
            path: From the root, its parts already percent-encoded (``quote_id``).
            deadline: Covers the whole call.
            query: Parameters, not encoded.
            body: Sent as JSON unless None.
            fresh: Use a connection of its own, closed afterwards.

        Raises:
            RefusedError: the server answered, but not with a success; the code says which kind.
            OutcomeUnknownError: the connection broke, and the server may have acted on what was no
                GET.
            BackendError: NO_SERVER: nothing answers at that address, or a GET's connection broke.
                SERVER_ERROR: the answer is late, broken, too large or not JSON. INVALID_MESSAGE:
                the body is not valid text.
        """
        call = one_line(f"{method} {path}", _SHOWN_CALL)
        target = self._prefix + path
        if query:
            target += f"?{urlencode(query, quote_via=quote, errors='replace')}"
        data = None if body is None else _encode(body, call)
        try:
            if not fresh:
                try:
                    return self._once(self._pool, method, target, data, deadline, call)
                except ProtocolError:
                    # A server that went away takes its idle connections with it, and one of those
                    # can look alive until it is used. Reading twice is harmless; a POST or DELETE
                    # may have been acted upon, so its outcome is reported as unknown instead.
                    if method != "GET" or (self._breaker and self._breaker.broken):
                        raise
            pool = self._new_pool(1)
            try:
                return self._once(pool, method, target, data, deadline, call)
            finally:
                pool.close()
        except HTTPError as error:
            raise self._translate(error, call) from error

    def is_healthy(self, *, deadline: Deadline, fresh: bool = False) -> bool:
        """Return what ``GET /global/health`` says; raises as ``call`` does."""
        answer = self.call("GET", "/global/health", deadline=deadline, fresh=fresh)
        return isinstance(answer, dict) and answer.get("healthy") is True

    # One exchange...

    def _new_pool(self, size: int) -> urllib3.HTTPConnectionPool:
        return new_pool(self._host, self._port, size=size, tls=self._tls, breaker=self._breaker)

    def _once(
        self,
        pool: urllib3.HTTPConnectionPool,
        method: str,
        target: str,
        data: bytes | None,
        deadline: Deadline,
        call: str,
    ) -> Any:
        left = deadline.remaining()
        if left == 0.0:
            raise self._late(call)
        headers = dict(self._headers)
        if data is not None:
            headers["Content-Type"] = "application/json"
        spans = HTTP_SPANS.get()
        if spans is None:
            return self._exchange(pool, method, target, data, headers, left, call, None)
        with spans.span(method, self._origin + target) as span:
            headers |= span.headers
            return self._exchange(pool, method, target, data, headers, left, call, span)

    def _exchange(
        self,
        pool: urllib3.HTTPConnectionPool,
        method: str,
        target: str,
        data: bytes | None,
        headers: Mapping[str, str],
        left: float | None,
        call: str,
        span: HttpSpan | None,
    ) -> Any:
        response = pool.urlopen(
            method,
            target,
            body=data,
            headers=headers,
            retries=False,
            redirect=False,
            timeout=urllib3.Timeout(total=left),
            pool_timeout=left,  # type: ignore[arg-type]  # seconds, fractions included
            preload_content=False,
        )
        if span is not None:
            span.answered(response.status)
        try:
            content = self._read(response, call)
        except BaseException:
            response.close()  # the rest of the answer must not become the next one's beginning
            raise
        content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not 200 <= response.status < 300:
            refusal = read_refusal(response.status, content_type, content)
            raise RefusedError(refusal, call=call, base_url=self.base_url)
        if content_type != "application/json":
            raise server_error(
                f"{self.base_url} answered {call} with {content_type or 'no content type'} instead "
                f"of JSON (status {response.status}); either it is not OpenCode, or this version "
                f"of OpenCode does not have the call"
            )
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise server_error(
                f"OpenCode at {self.base_url} answered {call} with JSON that cannot be read: "
                f"{one_line(str(error))}"
            ) from error

    def _read(self, response: urllib3.BaseHTTPResponse, call: str) -> bytes:
        content = bytearray()
        # stream ends when a chunked body does, too, which read(n) == b"" alone would not tell.
        for chunk in response.stream(_CHUNK):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise server_error(
                    f"OpenCode at {self.base_url} answered {call} with more than "
                    f"{MAX_ANSWER_BYTES // 2**20} MiB; the gateway does not read on"
                )
        return bytes(content)

    # Errors...

    def _late(self, call: str) -> BackendError:
        doubt = "" if call.startswith("GET ") else "; it may still act on it"
        return server_error(
            f"OpenCode at {self.base_url} did not answer {call} within the time allowed{doubt}"
        )

    def _translate(self, error: HTTPError, call: str) -> BackendError:
        cause = _innermost(error)
        reason = one_line((isinstance(cause, OSError) and cause.strerror) or str(cause))
        if isinstance(error, EmptyPoolError):
            return server_error(
                f"{_POOL_SIZE} calls to OpenCode at {self.base_url} are running already, and none "
                f"ended in the time allowed for {call}"
            )
        if isinstance(error, ClosedPoolError):
            return no_server(
                f"the gateway has let go of OpenCode at {self.base_url} meanwhile; try again"
            )
        if isinstance(error, (NewConnectionError, ConnectTimeoutError)) or isinstance(
            cause, ssl.SSLCertVerificationError
        ):
            # Not connected at all: refused, no route, no such name, no trusted certificate.
            return no_server(
                f"no OpenCode server can be reached at {self.base_url} ({reason}); start one with "
                f"`opencode serve`, or let the gateway discover or spawn one"
            )
        if isinstance(error, ReadTimeoutError) or isinstance(cause, TimeoutError):
            return self._late(call)
        broken = f"the connection to OpenCode at {self.base_url} broke during {call} ({reason})"
        if call.startswith("GET "):
            return no_server(f"{broken}; try again")
        return OutcomeUnknownError(f"{broken}; whether OpenCode acted on it is unknown")


def quote_id(identifier: str) -> str:
    """Return an id as one part of a path, whatever it holds."""
    return quote(identifier, safe="", errors="replace")  # half a surrogate pair is nobody's id


def _encode(body: object, call: str) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
            f"the text for {call} is not valid Unicode: it holds a lone surrogate at character "
            f"{error.start}; leave it out",
        ) from error


def _innermost(error: BaseException) -> BaseException:
    """Return what urllib3 wrapped: as the cause, or, for a broken connection, as an argument."""
    while True:
        wrapped = error.__cause__ or (error.args[-1] if error.args else None)
        if not isinstance(wrapped, BaseException):
            return error
        error = wrapped
