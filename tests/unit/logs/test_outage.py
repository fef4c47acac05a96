"""What the log says of an outage and of requests that fail: enough at INFO, and not too much."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    IpcAuthenticationError,
    IpcConfigError,
    IpcConnectionError,
    IpcPromptError,
    IpcServerError,
    IpcTimeoutError,
    IpcUsageError,
    ReconnectPolicy,
    enable_logging,
)
from opencode_sync.clause import clause
from tests.support import backend as b
from tests.support.backend import CONFIG, HOLD, WAIT, ScriptedBackend
from tests.support.leaks import no_leaks

S = ConnectionState

AT_ONCE = ReconnectPolicy(initial_delay=0.0, jitter=0.0)
NEVER_TRIED = ReconnectPolicy(initial_delay=3600, maximum_delay=3600, jitter=0.0)
FAIL_FAST = ReconnectPolicy(
    initial_delay=3600, maximum_delay=3600, jitter=0.0, wait_while_down=False
)


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with no_leaks():
        backend = ScriptedBackend()
        yield backend
        backend.close()


@pytest.fixture
def log() -> Iterator[list[dict[str, Any]]]:
    """All records of this package."""
    records: list[dict[str, Any]] = []
    disable = enable_logging("DEBUG", lambda message: records.append(message.record))
    yield records
    disable()


def at_level(log: list[dict[str, Any]], level: str) -> list[dict[str, Any]]:
    return [record for record in log if record["level"].name == level]


def texts(log: list[dict[str, Any]], level: str) -> list[str]:
    return [record["message"] for record in at_level(log, level)]


class Provider:
    """Finds the backend as often as it is allowed to."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)

    def get_config(self) -> Any:
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return CONFIG


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda peer: peer.drop(), "the backend dropped the connection without a word"),
        (lambda peer: peer.close(1001, "restarting"), "closed the connection (code 1001"),
    ],
    ids=["without a word", "in good order"],
)
def test_an_outage_is_one_warning_with_its_cause_and_the_next_attempt(
    backend: ScriptedBackend, log: list[dict[str, Any]], end: Callable[[Any], None], why: str
) -> None:
    lost = threading.Event()
    with backend.client(reconnect=NEVER_TRIED) as client:
        client.on_state_change(lambda change: lost.set())
        end(backend.link().peer)
        assert lost.wait(WAIT)
    (warning,) = at_level(log, "WARNING")
    assert warning["message"].startswith("the connection is down: ")
    assert why in warning["message"]
    assert warning["message"].endswith("; the next attempt is in 3600.0 s")
    assert warning["extra"]["retry_in"] == 3600
    assert warning["extra"]["old"] == "connected"


def test_attempts_are_for_who_looks_closely_and_the_end_of_the_outage_for_all(
    backend: ScriptedBackend, log: list[dict[str, Any]]
) -> None:
    gone = IpcConfigError("The file is gone.")
    provider = Provider(None, *[gone] * 3)
    with backend.client(provider, reconnect=AT_ONCE) as client:
        client.list_sessions()
        backend.link().peer.drop()
        client.list_sessions()  # waits for the connection
    assert len(texts(log, "WARNING")) == 1
    assert texts(log, "INFO") == ["the connection is up"] * 2
    attempts = [
        record["extra"] for record in at_level(log, "DEBUG") if "file is gone" in record["message"]
    ]
    assert [extra["attempt"] for extra in attempts] == [1, 2, 3]
    assert {extra["retry_in"] for extra in attempts} == {0.0}
    assert "connection connecting -> failed: the file is gone" in texts(log, "DEBUG")


def test_without_a_policy_the_warning_says_that_nobody_tries_again(
    backend: ScriptedBackend, log: list[dict[str, Any]]
) -> None:
    with backend.client(reconnect=None) as client:
        backend.link().peer.drop()
        assert client.wait_for_state(S.FAILED, WAIT)
    (warning,) = at_level(log, "WARNING")
    assert warning["message"].endswith("; call connect() to connect again")
    assert warning["extra"]["retry_in"] is None


def test_giving_up_is_a_warning_too(backend: ScriptedBackend, log: list[dict[str, Any]]) -> None:
    policy = ReconnectPolicy(initial_delay=0.0, jitter=0.0, attempts=2)
    refusal = IpcAuthenticationError("the backend refused the token")
    with backend.client(Provider(None, refusal, refusal), reconnect=policy) as client:
        backend.link().peer.drop()
        with pytest.raises(IpcConnectionError):
            client.list_sessions(timeout=WAIT)
    lost, given_up = at_level(log, "WARNING")
    assert lost["message"].startswith("the connection is down: ")
    assert given_up["message"] == (
        "the connection stays down: the backend refused the token; call connect() to connect again"
    )
    assert given_up["extra"]["attempt"] == 2


def test_what_the_user_does_is_no_warning(
    backend: ScriptedBackend, log: list[dict[str, Any]]
) -> None:
    client = backend.client(Provider(IpcConfigError("nothing there")))
    with pytest.raises(IpcConfigError):
        client.connect()
    with client:
        client.list_sessions()
    assert texts(log, "WARNING") == []
    assert texts(log, "INFO") == ["the connection is up"]


def test_closing_while_down_adds_no_warning(
    backend: ScriptedBackend, log: list[dict[str, Any]]
) -> None:
    with backend.client(reconnect=NEVER_TRIED) as client:
        backend.link().peer.drop()
        assert client.wait_for_state(S.FAILED, WAIT)
    assert len(texts(log, "WARNING")) == 1


# --- Requests that fail ---


def test_what_the_backend_refuses_is_told_with_its_request(
    backend: ScriptedBackend, log: list[dict[str, Any]]
) -> None:
    backend.rule("list_sessions", b.error(6, "no such project"))
    backend.rule("prompt", b.failed("rate_limited", "too many requests"))
    with backend.client() as client:
        with pytest.raises(IpcServerError) as refused:
            client.list_sessions()
        with pytest.raises(IpcPromptError):
            client.prompt("ses_1", "Hello?")
        with pytest.raises(IpcServerError):
            client.futures.list_sessions().result(WAIT)
    failed = [record for record in at_level(log, "INFO") if "operation" in record["extra"]]
    assert [record["extra"]["operation"] for record in failed] == [
        "list_sessions",
        "prompt",
        "list_sessions",
    ]
    assert failed[0]["message"] == f"a request ended with IpcServerError: {refused.value}"
    assert failed[0]["extra"]["request_id"] == refused.value.request_id
    assert "too many requests (rate_limited)" in failed[1]["message"]


def test_what_ran_out_of_time_is_told(backend: ScriptedBackend, log: list[dict[str, Any]]) -> None:
    backend.rule("delete_session", HOLD)
    with backend.client() as client, pytest.raises(IpcTimeoutError):
        client.delete_session("ses_1", timeout=0.01)
    assert any("a request ended with IpcTimeoutError" in text for text in texts(log, "INFO"))


@pytest.mark.parametrize("way", ["blocking", "future"])
def test_a_sink_that_blocks_keeps_no_caller_waiting(backend: ScriptedBackend, way: str) -> None:
    let_go = threading.Event()
    in_time: list[bool] = []

    def block(message: Any) -> None:
        if "a request ended" in message:
            in_time.append(let_go.wait(WAIT))

    disable = enable_logging("INFO", block)
    backend.rule("list_sessions", b.error(6, "no such project"))
    with backend.client() as client:
        call = client.list_sessions if way == "blocking" else client.futures.list_sessions().result
        with pytest.raises(IpcServerError):
            call()
        let_go.set()
    disable()
    assert in_time == [True]  # the line was there when the client was closed, and nobody waited


def test_what_succeeds_or_was_given_up_or_misused_is_not_told(
    backend: ScriptedBackend, log: list[dict[str, Any]]
) -> None:
    backend.rule("delete_session", HOLD)
    with backend.client() as client:
        client.list_sessions()
        client.futures.delete_session("ses_1").cancel()
        misused = client.futures.list_sessions()
        told: list[BaseException | None] = []

        def misuse(future: Any) -> None:
            try:
                client.list_sessions()
            except IpcUsageError as error:
                told.append(error)

        misused.add_done_callback(misuse)
        misused.result(WAIT)
    assert len(told) == 1
    assert [record for record in log if "a request ended" in record["message"]] == []


def test_calls_refused_in_an_outage_are_not_told_one_by_one(
    backend: ScriptedBackend, log: list[dict[str, Any]]
) -> None:
    """There may be any number of them, and the outage is told; but for what hides its error."""
    with backend.client(reconnect=FAIL_FAST) as client:
        backend.link().peer.drop()
        assert client.wait_for_state(S.FAILED, WAIT)
        for _ in range(3):
            with pytest.raises(IpcConnectionError):
                client.list_sessions()
        assert client.health_check() is False
    (hidden,) = [record for record in log if "a request ended" in record["message"]]
    assert (hidden["level"].name, hidden["extra"]["operation"]) == ("DEBUG", "check_health")


# --- Texts within texts ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The file x does not exist.", "the file x does not exist"),
        ("the connection was lost: Broken pipe", "broken pipe"),
        ("OpenCode is not there", "OpenCode is not there"),
        ("HttpConfigProvider needs requests", "HttpConfigProvider needs requests"),
        ("ws://127.0.0.1:1/ has sent nothing", "ws://127.0.0.1:1/ has sent nothing"),
        ("", ""),
    ],
)
def test_a_text_is_fitted_into_a_sentence(text: str, expected: str) -> None:
    assert clause(IpcConnectionError(text)) == expected


def test_the_text_of_a_loss_says_so_once(backend: ScriptedBackend) -> None:
    backend.rule("create_session", HOLD)
    with backend.client(reconnect=FAIL_FAST) as client:
        pending = client.futures.create_session("x")
        link = backend.link()
        link.wait(lambda: "create_session" in link.operations(), "the request")
        link.peer.drop()
        error = pending.exception(WAIT)
        with pytest.raises(IpcConnectionError) as down:
            client.list_sessions()
    assert str(error).count("the connection was lost") == 1
    assert (
        "the connection is down: the backend dropped the connection without a word; the next"
        in str(down.value)
    )
