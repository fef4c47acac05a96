"""Wrong arguments: refused before anything is sent, by name, with the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from opencode_sync import IpcArgumentError, IpcClient, IpcError, IpcProtocolError, operations
from opencode_sync.wire import ipc_pb2, oc_message_pb2
from opencode_sync.wire.oc_auth_pb2 import OcApiAuth, OcAuth, OcOAuth, OcWellKnownAuth
from tests.support import backend as b
from tests.support.backend import ScriptedBackend
from tests.support.operations import SAMPLES, Sample

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
    *(
        (make, value, "provider_id")
        for make in (operations.get_auth, operations.get_oauth_status)
        for value in (None, 5, b"openai", "", " \t", "open\ud800ai")
    ),
    (operations.sync_auth_keys, None, "skip_oauth_providers"),
    (operations.sync_auth_keys, 1, "skip_oauth_providers"),
    (operations.sync_auth_keys, "yes", "skip_oauth_providers"),
    (operations.update_config, None, "config"),
    (operations.update_config, b"{}", "config"),
    (operations.update_config, ["version"], "config"),
    (operations.update_config, '{"version": "\ud800"}', "config"),
    (operations.update_config, " " * 8_000_001, "config"),
    (operations.update_config, {"version": "\udfff"}, "config"),
    (operations.update_config, {"version": {1, 2}}, "config"),
    (operations.update_config, {"version": object()}, "config"),
    (operations.update_config, {("ui", "font"): 1}, "config"),
    (operations.update_config, {"size": float("nan")}, "config"),
    (operations.update_config, {"size": -float("inf")}, "config"),
    *(
        (make, value, "session_id")
        for make in (
            operations.get_session,
            operations.abort_session,
            lambda value: operations.list_messages(value, limit=None),
            lambda value: operations.update_session(value, title="x", archived=None),
        )
        for value in (None, 5, b"ses_1", "", " \t", "ses_\ud800")
    ),
    *(
        (lambda value: operations.list_messages("ses_1", limit=value), value, "limit")
        for value in (0, -1, 2**32, True, "5", 1.0)
    ),
    (lambda value: operations.update_session("ses_1", title=value, archived=None), None, "title"),
    (lambda value: operations.update_session("ses_1", title=value, archived=None), 5, "title"),
    *(
        (
            lambda value: operations.update_session("ses_1", title=None, archived=value),
            value,
            "archived",
        )
        for value in (0, "yes", 1795391042151)
    ),
    *(
        (lambda value: operations.reply_permission(value, "once"), value, "permission_id")
        for value in (None, 5, "", " ")
    ),
    *(
        (lambda value: operations.reply_permission("per_1", value), value, "reply")
        for value in (None, True, "", "allow", "Once", ["once"], "x" * 1000)
    ),
    (lambda value: operations.reply_permission("per_1", "reject", message=value), 5, "message"),
    (lambda value: operations.reply_permission("per_1", "once", message=value), "why", "message"),
    *(
        (lambda value: operations.reply_question(value, None), value, "question_id")
        for value in (None, 5, "", " ")
    ),
    *(
        (lambda value: operations.reply_question("que_1", value), value, "answers")
        for value in (5, "red", b"x", [], (), {}, ["red"], [["red"], 5], [[5]], [["a\ud800"]])
    ),
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
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.method)
def test_a_time_out_that_is_none_is_refused_everywhere(
    backend: ScriptedBackend, sample: Sample, timeout: Any
) -> None:
    client = backend.client()
    for where in (client, client.futures):
        with pytest.raises(IpcArgumentError, match="timeout") as caught:
            sample.call(where, timeout=timeout)
        assert caught.value.field == "timeout"


def test_nothing_of_it_reaches_the_backend(backend: ScriptedBackend, client: IpcClient) -> None:
    for call in (
        lambda: client.set_auth("openai", OcAuth()),
        lambda: client.send_message("ses_1", " ", model_id="m", provider_id="p"),
        lambda: client.update_config({1: object()}),
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


def test_wrong_arguments_are_errors_of_this_package_too() -> None:
    with pytest.raises(IpcError):
        operations.delete_session("")


# --- The text for the model ---

GOOD_MESSAGE: dict[str, Any] = {
    "session_id": "ses_1",
    "text": "Hi",
    "model_id": "m",
    "provider_id": "p",
    "agent": "plan",
}


@pytest.mark.parametrize("field", GOOD_MESSAGE)
@pytest.mark.parametrize("value", [b"bytes", 5, ["x"], "", " \r\n\t", "a\ud800"])
def test_each_argument_of_a_message_is_checked(field: str, value: Any) -> None:
    with pytest.raises(IpcArgumentError, match=field) as caught:
        operations.send_message(**(GOOD_MESSAGE | {field: value}))
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["session_id", "text", "model_id", "provider_id"])
def test_only_the_agent_may_be_none(field: str) -> None:
    with pytest.raises(IpcArgumentError, match=field):
        operations.send_message(**(GOOD_MESSAGE | {field: None}))
    request = operations.send_message(**(GOOD_MESSAGE | {"agent": None}))
    sent = ipc_pb2.IpcClientMessage.FromString(request.body).send_message
    assert not sent.HasField("agent")


@pytest.mark.parametrize(
    "character", ["x", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{PILE OF POO}"]
)
def test_a_text_may_have_eight_million_bytes_and_not_one_more(character: str) -> None:
    size = len(character.encode())
    longest = character * (8_000_000 // size)
    request = operations.send_message(**(GOOD_MESSAGE | {"text": longest}))
    assert len(request.body) > 8_000_000
    with pytest.raises(IpcArgumentError, match="8000000") as caught:
        operations.send_message(**(GOOD_MESSAGE | {"text": longest + "x"}))
    assert caught.value.field == "text"
    assert len(str(caught.value)) < 500  # it does not repeat the text


# --- Credentials ---

SECRET = "sk-live-0123456789"

BAD_AUTH = [
    (None, "NoneType"),
    (SECRET, "str"),
    ({"api": {"key": SECRET}}, "dict"),
    (OcApiAuth(key=SECRET), "OcApiAuth"),
    (OcAuth(), "no credentials"),
    (OcAuth(api=OcApiAuth()), "auth.api.key is blank"),
    (OcAuth(api=OcApiAuth(key=" \n")), "auth.api.key is blank"),
    (OcAuth(api=OcApiAuth(type="oauth", key=SECRET)), "auth.api.type"),
    (OcAuth(oauth=OcOAuth(access=SECRET)), "auth.oauth.refresh is blank"),
    (OcAuth(oauth=OcOAuth(refresh=SECRET)), "auth.oauth.access is blank"),
    (OcAuth(well_known=OcWellKnownAuth(token=SECRET)), "auth.well_known.key is blank"),
    (OcAuth(well_known=OcWellKnownAuth(key="K")), "auth.well_known.token is blank"),
    *(
        (OcAuth(oauth=OcOAuth(refresh=SECRET, access=SECRET, expires=number)), "expires")
        for number in (-1.0, 0.5, float("nan"), float("inf"))
    ),
]


@pytest.mark.parametrize(("auth", "said"), BAD_AUTH)
def test_wrong_credentials_are_named_and_never_shown(auth: Any, said: str) -> None:
    with pytest.raises(IpcArgumentError, match=said) as caught:
        operations.set_auth("anthropic", auth)
    assert caught.value.field == "auth"
    assert SECRET not in str(caught.value)
    assert ";" in str(caught.value)


def test_credentials_need_a_provider() -> None:
    with pytest.raises(IpcArgumentError) as caught:
        operations.set_auth(" ", OcAuth(api=OcApiAuth(key=SECRET)))
    assert caught.value.field == "provider_id"


@pytest.mark.parametrize(
    ("auth", "word"),
    [
        (OcAuth(api=OcApiAuth(key=SECRET)), "api"),
        (OcAuth(api=OcApiAuth(type="api", key=SECRET)), "api"),
        (OcAuth(oauth=OcOAuth(refresh="r", access="a", expires=1.8e12)), "oauth"),
        (OcAuth(well_known=OcWellKnownAuth(key="K", token="t")), "wellknown"),
    ],
)
def test_the_type_of_credentials_is_filled_in_and_the_callers_are_left_alone(
    auth: OcAuth, word: str
) -> None:
    before = auth.SerializeToString()
    request = operations.set_auth("anthropic", auth)
    assert auth.SerializeToString() == before
    sent = ipc_pb2.IpcClientMessage.FromString(request.body).set_auth
    assert sent.provider_id == "anthropic"
    kind = sent.auth.WhichOneof("auth")
    assert kind == auth.WhichOneof("auth")
    credentials = getattr(sent.auth, str(kind))
    assert credentials.type == word
    credentials.type = getattr(auth, str(kind)).type
    assert sent.auth == auth


# --- Configuration ---


@pytest.mark.parametrize("text", ["", "no JSON at all", '{"version": 1}', "[]"])
def test_a_configuration_as_text_goes_as_it_is(text: str) -> None:
    """What it is worth is the backend's to say."""
    request = operations.update_config(text)
    assert ipc_pb2.IpcClientMessage.FromString(request.body).update_config.config_json == text


def test_a_configuration_as_a_mapping_is_written_as_json() -> None:
    config: dict[str, Any] = {
        "version": 1,
        "ui": MappingProxyType({"font": "\N{SNOWMAN}", "sizes": [1, 2.5, None]}),
    }
    for mapping in (config, MappingProxyType(config)):
        request = operations.update_config(mapping)
        sent = ipc_pb2.IpcClientMessage.FromString(request.body).update_config.config_json
        assert json.loads(sent) == config | {"ui": dict(config["ui"])}


def test_a_configuration_that_contains_itself_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    with pytest.raises(IpcArgumentError, match="config"):
        operations.update_config(circle)


# --- Keys from the environment ---


@pytest.mark.parametrize(
    ("timeout", "told"),
    [(0.5, 1), (1, 1), (2, 1), (2.9, 1), (30.0, 29), (600, 599), (1e12, 2**32 - 1)],
)
def test_the_backend_is_told_a_second_less_than_the_caller_has(timeout: float, told: int) -> None:
    request = operations.sync_auth_keys(True).within(timeout)
    sent = ipc_pb2.IpcClientMessage.FromString(request.body).sync_auth_keys
    assert (sent.timeout_secs, sent.skip_oauth_providers) == (told, True)


def test_the_calls_own_time_out_is_the_one_that_is_told(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    client.sync_auth_keys(timeout=12)
    client.futures.sync_auth_keys(timeout=7).result()
    told = [request.sync_auth_keys.timeout_secs for request in backend.link().requests]
    assert told == [11, 6]


# --- Answers that are none ---


@pytest.mark.parametrize(
    "answer",
    [oc_message_pb2.OcMessage(), oc_message_pb2.OcMessage(user=oc_message_pb2.OcUserMessage())],
)
def test_a_message_that_is_not_the_models_is_no_answer(
    backend: ScriptedBackend, client: IpcClient, answer: Any
) -> None:
    backend.rule("send_message", {"send_message_response": answer})
    with pytest.raises(IpcProtocolError, match="send_message"):
        client.send_message("ses_1", "Hi", model_id="m", provider_id="p")


def test_a_refused_configuration_is_an_answer_and_no_error(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("update_config", b.updated("line 1 column 2: no JSON"))
    answer = client.update_config("{")
    assert (answer.success, answer.error) == (False, "line 1 column 2: no JSON")
