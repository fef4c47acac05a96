"""The limits of a gateway, and the arguments of one."""

from __future__ import annotations

import dataclasses
import math
import uuid
from typing import Any

import pytest

from opencode_sync.errors import IpcArgumentError
from opencode_sync.gateway import Gateway, GatewayLimits
from tests.unit.gateway.doubles import ScriptedBackend

COUNTS = [
    "max_peers",
    "max_unauthenticated",
    "max_in_flight",
    "max_runs",
    "max_queued",
    "max_subscriptions",
    "max_message_size",
]
SECONDS = [
    "handshake_timeout",
    "send_timeout",
    "ping_interval",
    "ping_timeout",
    "request_timeout",
    "prompt_timeout",
]


def test_defaults_are_as_documented() -> None:
    limits = GatewayLimits()
    assert (limits.handshake_timeout, limits.send_timeout, limits.request_timeout) == (5, 10, 30)
    assert limits.prompt_timeout == 600
    assert (limits.ping_interval, limits.ping_timeout) == (20, 20)
    assert (limits.max_peers, limits.max_unauthenticated, limits.max_in_flight) == (64, 16, 64)
    assert (limits.max_runs, limits.max_queued, limits.max_subscriptions) == (256, 1024, 1024)
    assert limits.max_message_size == 64 * 1024 * 1024


def test_every_limit_is_tested_here() -> None:
    assert sorted(COUNTS + SECONDS) == sorted(
        field.name for field in dataclasses.fields(GatewayLimits)
    )


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, "7", None, True])
def test_bad_count_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(IpcArgumentError, match=f"{field} must be a whole number") as caught:
        GatewayLimits(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("field", SECONDS)
@pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf, "7", None, True])
def test_bad_seconds_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(IpcArgumentError, match=f"{field} must be a finite number") as caught:
        GatewayLimits(**{field: value})
    assert caught.value.field == field


def test_whole_seconds_are_fine() -> None:
    assert GatewayLimits(send_timeout=3).send_timeout == 3


@pytest.mark.parametrize("port", [-1, 1, 80, 1023, 65536])
def test_port_out_of_range(port: int) -> None:
    with pytest.raises(IpcArgumentError, match="port must be from 1024 to 65535") as caught:
        Gateway(ScriptedBackend(), port=port)
    assert caught.value.field == "port"


@pytest.mark.parametrize("port", ["4096", 4096.0, True, None])
def test_port_of_the_wrong_type(port: Any) -> None:
    with pytest.raises(IpcArgumentError, match="port must be a whole number"):
        Gateway(ScriptedBackend(), port=port)


@pytest.mark.parametrize("token", ["", "  \t", 7, b"secret-token-bytes"])
def test_bad_token(token: Any) -> None:
    with pytest.raises(IpcArgumentError, match="auth_token") as caught:
        Gateway(ScriptedBackend(), auth_token=token)
    assert caught.value.field == "auth_token"


def test_token_that_cannot_be_sent_is_not_shown() -> None:
    with pytest.raises(IpcArgumentError, match="cannot be sent") as caught:
        Gateway(ScriptedBackend(), auth_token="secret\ud800")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_token_is_fresh_or_as_given() -> None:
    first, second = Gateway(ScriptedBackend()), Gateway(ScriptedBackend())
    assert uuid.UUID(first.auth_token) != uuid.UUID(second.auth_token)
    assert Gateway(ScriptedBackend(), auth_token="given").auth_token == "given"
