"""Wrong arguments: refused before anything is sent, by name, with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from opencode_sync import IpcArgumentError, IpcClient, IpcError, operations
from tests.support.backend import ScriptedBackend

OPERATIONS: list[tuple[str, tuple[Any, ...]]] = [
    ("health_check", ()),
    ("check_server_health", ()),
    ("discover_server", ()),
    ("spawn_server", ()),
    ("stop_server", ()),
    ("list_sessions", ()),
    ("create_session", ()),
    ("delete_session", ("ses_1",)),
]

BAD: list[tuple[Callable[[Any], object], Any, str]] = [
    (operations.create_session, b"bytes", "title"),
    (operations.create_session, 5, "title"),
    (operations.create_session, ["x"], "title"),
    (operations.create_session, "a\ud800b", "title"),
    (operations.create_session, "\udfff", "title"),
    (operations.delete_session, None, "session_id"),
    (operations.delete_session, b"ses_1", "session_id"),
    (operations.delete_session, "", "session_id"),
    (operations.delete_session, " \t\n", "session_id"),
    (operations.delete_session, "ses_\ud83d", "session_id"),
    (operations.spawn_server, 0, "port"),
    (operations.spawn_server, -1, "port"),
    (operations.spawn_server, 65536, "port"),
    (operations.spawn_server, 2**70, "port"),
    (operations.spawn_server, True, "port"),
    (operations.spawn_server, "7000", "port"),
    (operations.spawn_server, 7000.0, "port"),
]


@pytest.mark.parametrize(("make", "value", "field"), BAD)
def test_a_wrong_argument_is_named(make: Callable[[Any], object], value: Any, field: str) -> None:
    with pytest.raises(IpcArgumentError, match=field) as caught:
        make(value)
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError)
    assert ";" in str(caught.value)  # what to do follows
    str(caught.value).encode()  # and the text itself can be printed


def test_the_position_of_a_lone_surrogate_is_told() -> None:
    with pytest.raises(IpcArgumentError, match="position 1"):
        operations.create_session("a\ud800b")


@pytest.mark.parametrize(
    "timeout",
    [0, -1, -0.5, float("nan"), float("inf"), -float("inf"), 1e12, True, "5", [1], Decimal(1)],
)
@pytest.mark.parametrize(("name", "arguments"), OPERATIONS)
def test_a_time_out_that_is_none_is_refused_everywhere(
    backend: ScriptedBackend, name: str, arguments: tuple[Any, ...], timeout: Any
) -> None:
    client = backend.client()
    for where in (client, client.futures):
        with pytest.raises(IpcArgumentError, match="timeout") as caught:
            getattr(where, name)(*arguments, timeout=timeout)
        assert caught.value.field == "timeout"


def test_nothing_of_it_reaches_the_backend(backend: ScriptedBackend, client: IpcClient) -> None:
    for call in (
        lambda: client.create_session(b"x"),  # type: ignore[arg-type]
        lambda: client.delete_session(""),
        lambda: client.spawn_server(0),
        lambda: client.list_sessions(timeout=-1),
        lambda: client.health_check(timeout=-1),
    ):
        with pytest.raises(IpcArgumentError):
            call()
    client.check_server_health()
    assert backend.link().operations() == ["check_health"]


def test_good_time_outs_of_any_number_type(client: IpcClient) -> None:
    for timeout in (1, 1.5, 30 * 24 * 3600):
        assert client.check_server_health(timeout=timeout) is True


@pytest.mark.parametrize("port", [1, 80, 65535])
def test_the_whole_range_of_ports_may_be_spawned_on(port: int) -> None:
    assert operations.spawn_server(port).operation.name == "spawn_server"


def test_a_str_subclass_is_a_str(client: IpcClient) -> None:
    class Title(str):
        __slots__ = ()

    assert client.create_session(Title("mine")).title == "mine"


def test_arguments_are_keyword_only_where_they_should_be(client: IpcClient) -> None:
    with pytest.raises(TypeError):
        client.list_sessions(5.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        client.delete_session("ses_1", 5.0)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("request_", "idempotent", "needs_server"),
    [
        (operations.list_sessions(), True, True),
        (operations.check_health(), True, True),
        (operations.discover_server(), True, False),
        (operations.create_session(None), False, True),
        (operations.delete_session("ses_1"), False, True),
        (operations.spawn_server(None), False, False),
        (operations.stop_server(), False, False),
    ],
    ids=lambda value: value.operation.name if isinstance(value, operations.Request) else "",
)
def test_what_may_be_repeated(
    request_: operations.Request[Any], idempotent: bool, needs_server: bool
) -> None:
    assert request_.operation.idempotent is idempotent
    assert request_.operation.needs_server is needs_server


def test_wrong_arguments_are_errors_of_this_package_too() -> None:
    with pytest.raises(IpcError):
        operations.delete_session("")
