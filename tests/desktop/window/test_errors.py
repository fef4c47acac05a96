"""What a banner shows for each kind of error."""

from __future__ import annotations

import pytest

from opencode_sync import (
    IpcAuthenticationError,
    IpcConfigError,
    IpcConnectionError,
    IpcProtocolError,
    IpcServerError,
    IpcTimeoutError,
)
from opencode_sync.desktop.errors import Kind, problem_of
from opencode_sync.desktop.symbols import Symbol
from opencode_sync.desktop.theme import Tone


@pytest.mark.parametrize(
    ("error", "kind", "title", "text", "symbol", "tone", "retry"),
    [
        (
            IpcAuthenticationError("the token was refused"),
            Kind.AUTHENTICATION,
            "Authentication Failed",
            "the token was refused",
            Symbol.LOCK,
            Tone.WARNING,
            False,
        ),
        (
            IpcConnectionError("nobody listens"),
            Kind.CONNECTION,
            "Connection Error",
            "nobody listens",
            Symbol.NO_LINK,
            Tone.DANGER,
            True,
        ),
        (
            IpcConfigError("port is wrong"),
            Kind.CONNECTION,
            "Connection Error",
            "port is wrong",
            Symbol.NO_LINK,
            Tone.DANGER,
            True,
        ),
        (
            IpcTimeoutError("no answer within 30 s", timeout=30, operation="list_sessions"),
            Kind.TIMEOUT,
            "Request Timeout",
            "The request took too long. Please try again.",
            Symbol.CLOCK,
            Tone.WARNING,
            True,
        ),
        (
            IpcServerError("there is no server", request_id=2, code=3, operation="x"),
            Kind.SERVER,
            "Server Error",
            "there is no server",
            Symbol.EXCLAMATION,
            Tone.DANGER,
            False,
        ),
        (
            IpcProtocolError("a wrong answer"),
            Kind.UNKNOWN,
            "Error",
            "a wrong answer",
            Symbol.EXCLAMATION,
            Tone.DANGER,
            False,
        ),
        (
            KeyError("what only a programmer understands"),
            Kind.UNKNOWN,
            "Error",
            "An unexpected error occurred. Please try again.",
            Symbol.EXCLAMATION,
            Tone.DANGER,
            False,
        ),
    ],
)
def test_each_kind_has_its_look(
    error: Exception, kind: Kind, title: str, text: str, symbol: Symbol, tone: Tone, retry: bool
) -> None:
    problem = problem_of(error)
    assert (problem.kind, problem.title, problem.text) == (kind, title, text)
    assert (problem.symbol, problem.tone, problem.retry) == (symbol, tone, retry)


def test_what_was_tried_comes_first() -> None:
    problem = problem_of(IpcConnectionError("it is gone"), "The session was not deleted")
    assert problem.text == "The session was not deleted: it is gone"


def test_an_error_without_a_text_gets_the_general_one() -> None:
    assert problem_of(IpcConnectionError("")).text.startswith("An unexpected error")
