"""A log that raises or blocks costs lines, and changes nothing for calls and connections."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger as of_program

from opencode_sync import (
    ConnectionState,
    IpcConnectionError,
    IpcServerError,
    ReconnectPolicy,
    enable_logging,
)
from opencode_sync import logger as ours
from tests.support.backend import HOLD, WAIT, ScriptedBackend, error
from tests.support.leaks import no_leaks
from tests.support.threads import Background

S = ConnectionState
AT_ONCE = ReconnectPolicy(initial_delay=0.0, jitter=0.0)
FAIL_FAST = ReconnectPolicy(
    initial_delay=3600, maximum_delay=3600, jitter=0.0, wait_while_down=False
)


class Unprintable:
    """A value of a program's that nobody can show."""

    def __repr__(self) -> str:
        raise ZeroDivisionError("not to be shown")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedBackend]:
    monkeypatch.setattr(ours._stand_in, "_complaints", set())
    with no_leaks():
        backend = ScriptedBackend()
        yield backend
        backend.close()


def _raise(record: Any) -> None:
    raise LookupError("no request id on this thread: token=abcdefghijklmnop")


@pytest.fixture(params=["patcher", "sink"])
def broken(request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """Everything that is logged raises until the function is called."""
    if request.param == "patcher":
        of_program.configure(patcher=_raise)
        disable = enable_logging("DEBUG", lambda message: None)

        def mend() -> None:
            of_program.configure(patcher=lambda record: None)
    else:
        added = of_program.add(_raise, level="DEBUG", catch=False)
        disable = enable_logging()

        def mend() -> None:
            nonlocal added
            if added is not None:
                of_program.remove(added)
                added = None

    yield mend
    mend()
    disable()


def test_connecting_and_calling_go_on(
    backend: ScriptedBackend, broken: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    client = backend.client()
    for _ in range(2):
        with client:
            assert client.list_sessions()
        assert client.state is S.DISCONNECTED
    said = capsys.readouterr().err
    assert said.count("opencode_sync: logging raised LookupError") == 1
    assert "abcdefghijklmnop" not in said


def test_what_is_in_flight_fails_at_the_loss_and_the_client_comes_back(
    backend: ScriptedBackend, broken: Callable[[], None]
) -> None:
    backend.rule("create_session", HOLD)
    with backend.client(reconnect=AT_ONCE) as client:
        futures = [client.futures.create_session() for _ in range(3)]
        backend.link().request(2)
        backend.link().peer.drop()
        for future in futures:
            assert isinstance(future.exception(WAIT), IpcConnectionError)
        assert client.list_sessions()


def test_once_it_is_mended_the_log_goes_on(
    backend: ScriptedBackend, broken: Callable[[], None]
) -> None:
    lines: list[str] = []
    with backend.client() as client:
        client.list_sessions()
    broken()
    added = of_program.add(lambda message: lines.append(message.record["message"]), level="INFO")
    try:
        with backend.client():
            pass
    finally:
        of_program.remove(added)
    assert lines == ["the connection is up"]


@pytest.mark.parametrize("err", [None, "closed"])
def test_it_is_told_where_there_is_a_standard_error(
    backend: ScriptedBackend,
    broken: Callable[[], None],
    err: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    stream = None
    if err is not None:
        stream = (tmp_path / "err").open("w")
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with backend.client() as client:
        assert client.list_sessions()


def test_a_field_that_cannot_be_shown_costs_its_line_at_most(backend: ScriptedBackend) -> None:
    of_program.configure(extra={"odd": Unprintable()})
    disable = enable_logging("DEBUG", lambda message: None)
    try:
        with backend.client() as client:
            assert client.list_sessions()
    finally:
        of_program.configure(extra={})
        disable()


def test_while_a_sink_blocks_calls_are_refused_at_once(backend: ScriptedBackend) -> None:
    """The sink is told of the outage; whoever calls meanwhile does not wait for it."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(message: Any) -> None:
        if message.record["level"].name == "WARNING":
            entered.set()
            assert go_on.wait(WAIT)

    disable = enable_logging("INFO", slow)
    try:
        with backend.client(reconnect=FAIL_FAST) as client:
            backend.rule("create_session", HOLD)
            future = client.futures.create_session()
            backend.link().request()
            backend.link().peer.drop()
            assert isinstance(future.exception(WAIT), IpcConnectionError)
            assert entered.wait(WAIT)
            with pytest.raises(IpcConnectionError, match="next attempt"):
                client.list_sessions()
            client.connect()
            assert client.list_sessions()
            go_on.set()
    finally:
        go_on.set()
        disable()


def test_what_happened_before_it_was_switched_off_is_told(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opencode_sync.logs._LAST_LINES", WAIT)
    lines: list[str] = []
    entered, go_on = threading.Event(), threading.Event()

    def slow(message: Any) -> None:
        if message.record["message"] == "the connection is up":
            entered.set()
            assert go_on.wait(WAIT)
        lines.append(message.record["message"])

    disable = enable_logging("INFO", slow)
    backend.rule("list_sessions", error(6, "no such project"))
    with backend.client() as client:
        assert entered.wait(WAIT)
        with pytest.raises(IpcServerError):
            client.list_sessions()
        switching_off = Background(disable)
        assert lines == []  # the sink is still busy with the first
        go_on.set()
        switching_off.result()
    assert [line.partition(":")[0] for line in lines] == [
        "the connection is up",
        "a request ended with IpcServerError",
    ]


def test_what_is_guarded_is_logged_as_it_was() -> None:
    """Positional and named values, fields, exceptions, and the place that has logged."""
    records: list[Any] = []
    disable = enable_logging("DEBUG", lambda message: records.append(message.record))
    namespace = {"__name__": "opencode_sync.somewhere", "logger": ours.logger}
    source = """
def place():
    for level in ("debug", "info", "warning", "error"):
        getattr(logger.bind(field=1), level)("a {} and {b}", 1, b=2)
    logger.log("INFO", "c {d}", d=3)
    try:
        1 / 0
    except ZeroDivisionError as error:
        logger.exception("e")
        logger.opt(exception=error).bind(field=2).debug("f")
place()
"""
    try:
        exec(source, namespace)  # our own text, as a module of the package
    finally:
        disable()
    assert [(record["level"].name, record["message"]) for record in records] == [
        *((level, "a 1 and 2") for level in ("DEBUG", "INFO", "WARNING", "ERROR")),
        ("INFO", "c 3"),
        ("ERROR", "e"),
        ("DEBUG", "f"),
    ]
    assert [record["extra"].get("field") for record in records] == [1, 1, 1, 1, None, None, 2]
    assert {(record["name"], record["function"]) for record in records} == {
        ("opencode_sync.somewhere", "place")
    }
    assert all(record["exception"].type is ZeroDivisionError for record in records[-2:])
