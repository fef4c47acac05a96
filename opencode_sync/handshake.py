"""Proving who we are: the first message of a connection, and what may come back."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from opencode_sync.config import IpcConfig, SecretBytes
from opencode_sync.deadline import Deadline
from opencode_sync.errors import (
    IpcAuthenticationError,
    IpcConnectionError,
    IpcProtocolError,
    IpcTimeoutError,
    error_code_name,
)
from opencode_sync.redact import Redactor
from opencode_sync.transport.base import (
    Transport,
    TransportClosed,
    TransportError,
    TransportTimeout,
)
from opencode_sync.wire import ipc_pb2

__all__ = ["HANDSHAKE_ID", "authenticate"]

HANDSHAKE_ID: Final = 1
_OPERATION: Final = "authenticate"
_NOT_NOW: Final = (1001, 1012, 1013)  # going away, restarting, try again later
_REMEDY: Final = "check that the token is the one this backend was started with"


def authenticate(transport: Transport, config: IpcConfig, timeout: float, redact: Redactor) -> None:
    """Shake hands on a link that was just opened. Its reader calls, before anybody else writes.

    Args:
        transport: The open link.
        config: Holds the token.
        timeout: Seconds for the whole handshake.
        redact: Keeps the token out of what the peer says.

    Raises:
        IpcAuthenticationError: the backend refused, or closed instead of answering.
        IpcConnectionError: it closed because it cannot serve anybody now.
        IpcTimeoutError: it did not answer in time.
        IpcProtocolError: it answered something that is no answer to a handshake.
        TransportProtocolError: it broke the framing rules.
    """
    deadline = Deadline.after(timeout)
    hello = _hello(config.auth_token)
    cause: TransportError
    problem: IpcTimeoutError | IpcAuthenticationError | IpcConnectionError
    try:
        transport.send([hello])
        if not transport.flush(deadline):
            raise TransportTimeout("the handshake could not be written in time")
        # Hidden from tracebacks that show values: the peer may send the token back.
        answer = SecretBytes(transport.receive(deadline))
    except TransportTimeout as error:
        cause = error
        problem = IpcTimeoutError(
            f"{transport.endpoint} accepted the connection but did not answer the handshake within "
            f"{timeout:g} s; check that an IPC backend listens there, or raise the option "
            "authentication_timeout",
            request_id=HANDSHAKE_ID,
            timeout=timeout,
            operation=_OPERATION,
            request_sent=True,
        )
    except TransportClosed as error:
        cause = redact.clean(error)
        problem = _closed_instead(error, transport.endpoint, redact)
    else:
        _check(answer, transport.endpoint, redact)
        return
    # Out here, where the peer's own words, which may quote the token, are no longer the context.
    raise problem from cause


def _closed_instead(
    error: TransportClosed, endpoint: str, redact: Redactor
) -> IpcAuthenticationError | IpcConnectionError:
    said = f" with code {error.code}" if error.code is not None else " without a word"
    reason = f" ({redact(error.reason)})" if error.reason else ""
    text = f"{endpoint} closed the connection{said}{reason} instead of answering the handshake"
    if error.code in _NOT_NOW:
        return IpcConnectionError(
            f"{text}; it is stopping, or serves too many already: try again later",
            endpoint=endpoint,
            close_code=error.code,
            close_reason=redact(error.reason),
        )
    return IpcAuthenticationError(f"{text}; {_REMEDY}", endpoint=endpoint)


def _hello(token: str) -> SecretBytes:
    """Return the handshake's message, hidden from tracebacks that show values."""
    message = ipc_pb2.IpcClientMessage(request_id=HANDSHAKE_ID)
    message.auth_handshake.token = token
    return SecretBytes(message.SerializeToString())


def _check(answer: bytes, endpoint: str, redact: Redactor) -> None:
    try:
        message = ipc_pb2.IpcServerMessage.FromString(answer)
    except DecodeError as error:
        raise IpcProtocolError(
            f"{endpoint} answered the handshake with {len(answer)} bytes that are no protobuf "
            "message; is another program using this port?",
            request_id=HANDSHAKE_ID,
            operation=_OPERATION,
        ) from error
    payload = message.WhichOneof("payload")
    if payload == "error":
        code = error_code_name(message.error.code)
        raise IpcAuthenticationError(
            f"{endpoint} refused the handshake: {redact(message.error.message)} ({code}); "
            f"{_REMEDY}",
            endpoint=endpoint,
        )
    if payload != "auth_handshake_response" or message.request_id != HANDSHAKE_ID:
        raise IpcProtocolError(
            f"{endpoint} answered the handshake with {payload or 'no payload'!r} under request id "
            f"{message.request_id}; is it an IPC backend of another version?",
            request_id=HANDSHAKE_ID,
            operation=_OPERATION,
        )
    response = message.auth_handshake_response
    if not response.success:
        reason = redact(response.error) or "no reason given"
        raise IpcAuthenticationError(
            f"{endpoint} refused the token: {reason}; {_REMEDY}", endpoint=endpoint
        )
