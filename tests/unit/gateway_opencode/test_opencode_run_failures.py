"""Which failure an error of OpenCode's means."""

from __future__ import annotations

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.mapping.message_errors import read_error
from opencode_sync.gateway.backends.opencode.mapping.tables import Oddities
from opencode_sync.gateway.backends.opencode.runs.failures import (
    failure,
    failure_of_error,
    failure_of_message,
    failure_of_stop,
)
from opencode_sync.gateway.backends.opencode.runs.stop import Stop, Turns, Why
from opencode_sync.gateway.cancellation import Cancellation


@pytest.mark.parametrize(
    ("name", "data", "kind", "retryable"),
    [
        ("APIError", {"message": "m", "statusCode": 400}, "api", False),
        ("APIError", {"message": "m", "statusCode": 500, "isRetryable": True}, "api", True),
        ("APIError", {"message": "m"}, "api", False),
        ("APIError", {"message": "m", "statusCode": "odd"}, "api", False),
        ("APIError", {"message": "m", "statusCode": 401}, "provider_auth", False),
        ("APIError", {"message": "m", "statusCode": 403}, "provider_auth", False),
        ("APIError", {"message": "m", "statusCode": 429}, "rate_limited", True),
        ("ProviderAuthError", {"message": "m", "providerID": "p"}, "provider_auth", False),
        ("MessageOutputLengthError", {}, "output_length", False),
        ("MessageAbortedError", {"message": "Aborted"}, "aborted", False),
        ("ContextOverflowError", {"message": "m"}, "context_overflow", False),
        ("StructuredOutputError", {"message": "m", "retries": 2}, "structured_output", False),
        ("ContentFilterError", {"message": "m"}, "content_filter", False),
        ("ProviderModelNotFoundError", {}, "unknown_model", False),
        ("UnknownError", {"message": "Provider not found: x"}, "unknown_model", False),
        ("UnknownError", {"message": "Session not found: x"}, "unknown_session", False),
        ("UnknownError", {"message": "m"}, "unknown", False),
        ("NewError", None, "unknown", False),
        (None, {"message": 7}, "unknown", False),
    ],
)
def test_an_error_has_a_kind(name, data, kind, retryable):
    found = failure_of_error({"name": name, "data": data}, [], "stub")
    assert (found.kind, found.retryable) == (kind, retryable)
    assert found.message or name is None
    assert found.provider_id == ("p" if name == "ProviderAuthError" else "stub")


def test_a_status_is_the_providers_and_keys_are_hidden():
    data = {"message": "no\n sk-12345678", "statusCode": 401}
    found = failure_of_error({"name": "APIError", "data": data}, ["sk-12345678"])
    assert (found.status, found.message) == (401, "no [key]")
    assert not failure_of_error({"name": "X", "data": {"statusCode": 2**40}}, []).HasField("status")


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ({"finish": "stop"}, None),
        ({}, "aborted"),
        ({"finish": "length", "providerID": "p"}, "output_length"),
        ({"finish": "tool-calls"}, None),
        ({"finish": "stop", "error": {"name": "ContentFilterError"}}, "content_filter"),
        ({"finish": "stop", "error": {"name": "APIError", "message": "flat"}}, "api"),
        ({"finish": "stop", "error": "words alone"}, "unknown"),
        ({"finish": "stop", "error": {}}, None),
    ],
)
def test_what_the_last_message_means(info, kind):
    found = failure_of_message({"info": info}, [], rejected=False, structured=False)
    assert (found and found.kind) == kind
    if found is not None:
        assert found.message
        assert found.provider_id == info.get("providerID", "")


def test_what_the_last_message_means_when_more_was_wanted():
    def kind(info, *, rejected=False, structured=False):
        found = failure_of_message(
            None if info is None else {"info": info}, [], rejected=rejected, structured=structured
        )
        return found and found.kind

    assert kind(None) == "aborted"
    assert kind({"finish": "tool-calls"}, rejected=True) == "permission_rejected"
    assert kind({"finish": "stop"}, rejected=True) is None
    assert kind({"finish": "stop"}, structured=True) == "structured_output"
    assert kind({"finish": "tool-calls", "structured": {}}, structured=True, rejected=True) is None


def test_a_failure_without_words_names_its_kind():
    assert failure("new").message == "new"
    assert failure("aborted").message == "the run was aborted"


def test_a_closing_gateway_is_the_servers_failure():
    stop = Stop(Deadline.after(1), cancelled=None, closing=Cancellation())
    found = failure_of_stop(stop, Why.CLOSING, "it ended")
    assert (found.kind, found.message) == ("server", "the gateway is closing; it ended")


def test_an_api_errors_retryable_is_carried():
    error = read_error({"name": "APIError", "data": {"isRetryable": True}}, Oddities())
    assert error.api.retryable


def test_turns_go_round_in_the_order_of_coming():
    turns, closing = Turns(), Cancellation()
    first, second, third = (
        Stop(Deadline.after(None), cancelled=Cancellation(), closing=closing) for _ in range(3)
    )
    with turns.of("ses_1", first) as mine, turns.of("ses_2", second) as others:
        assert mine
        assert others
        closing.cancel("end")
        with turns.of("ses_1", third) as too_late:
            assert not too_late
        assert first.why is second.why is Why.CLOSING
    assert turns._queues == {}
