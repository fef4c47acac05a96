"""Requests and answers that anybody may see."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from urllib.parse import quote

import pytest
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct

from opencode_sync.masking import is_secret_name
from opencode_sync.testing.masking import MASK, Masker, fields_of
from opencode_sync.types import IpcEvent, OcApiAuth, OcAuth, OcModelInfo, OcOAuth, OcWellKnownAuth
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ext_prompt_pb2 import IpcPromptRequest
from opencode_sync.wire.ipc_pb2 import (
    IpcAuthHandshake,
    IpcCheckHealthRequest,
    IpcClientMessage,
    IpcCreateSessionRequest,
    IpcSetAuthRequest,
)
from opencode_sync.wire.oc_provider_pb2 import OcProviderInfo
from opencode_sync.wire.oc_tool_pb2 import OcToolStatePending

SECRET = "nobody-may-see-this"


@pytest.mark.parametrize(
    "auth",
    [
        OcAuth(api=OcApiAuth(type="api", key=SECRET)),
        OcAuth(oauth=OcOAuth(type="oauth", refresh=SECRET, access=SECRET, expires=1)),
        OcAuth(well_known=OcWellKnownAuth(type="wellknown", key="NAME", token=SECRET)),
    ],
)
def test_credentials_are_masked_wherever_they_are(auth: OcAuth) -> None:
    request = IpcSetAuthRequest(provider_id="p", auth=auth)
    fields = fields_of(request)
    assert SECRET not in str(fields)
    assert MASK in str(fields)
    assert fields["provider_id"] == "p"
    assert SECRET in str(request)  # which is not changed itself


def test_the_handshakes_token_is_masked() -> None:
    message = IpcClientMessage(request_id=1, auth_handshake=IpcAuthHandshake(token=SECRET))
    assert fields_of(message) == {"request_id": "1", "auth_handshake": {"token": MASK}}


@pytest.mark.parametrize(
    "text",
    [
        f'{{"apiKey": "{SECRET}"}}',
        f'{{"api_key":"{SECRET}", "a": 1}}',
        f"{{'password' : '{SECRET}'}}",
        f'{{"inner": "{{\\"auth_token\\": \\"{SECRET}\\"}}"}}',
        f"PASSWORD={SECRET}",
        f"http://user:{SECRET}@127.0.0.1:4096/",
        "Authorization: Bearer abcDEF0123456789",
        "sk-ant-0123456789abcdef",
    ],
)
def test_what_looks_like_a_secret_is_masked_in_every_text(text: str) -> None:
    masked = fields_of(IpcEvent(type="x", properties_json=text))["properties_json"]
    assert MASK in masked
    for secret in (SECRET, "abcDEF0123456789", "0123456789abcdef"):
        assert secret not in masked


@pytest.mark.parametrize(
    "text",
    ["a basic understanding of tokens", '{"tokens": {"input": 3}}', "Bearer authentication", ""],
)
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert Masker().text(text) == text


def test_known_secrets_are_masked_the_longest_first() -> None:
    masker = Masker(["secret", "secret-and-more", ""])
    assert masker.text("secret-and-more, secret") == f"{MASK}, {MASK}"
    assert masker.text(MASK) == MASK
    assert repr(masker) == "Masker(2 secrets)"


def test_short_secrets_are_masked_as_whole_words() -> None:
    masker = Masker(["ab1", "x"])
    assert masker.text("the key is ab1, x and not ab12") == f"the key is {MASK}, x and not ab12"


ODD = 'pa"ss\\wörd9+/x'


@pytest.mark.parametrize(
    "text",
    [
        ODD,
        json.dumps(ODD),
        json.dumps(json.dumps(ODD)),
        json.dumps(ODD, ensure_ascii=False),
        repr(ODD),
        quote(ODD, safe=""),
        b64encode(ODD.encode()).decode(),
        b64encode(f"user:{ODD}".encode()).decode(),
        b64encode(f"a:{ODD}:b".encode()).decode(),
    ],
)
def test_known_secrets_are_masked_however_they_are_written(text: str) -> None:
    masked = Masker([ODD]).text(f"it is {text}.")
    assert MASK in masked
    for part in ("wörd9", "rd9", "d9%2B", b64encode(ODD.encode())[4:-4].decode()):
        assert part not in masked


NAMED = {
    "password": [SECRET],
    "env": {"OPENAI_API_KEY": SECRET, "DB_PASSWORD": 12345},
    "headers": {"Authorization": SECRET, "x-api-key": SECRET},
    "accessKeyId": SECRET,
    "pw": SECRET,
    "stored": {"type": "api", "key": SECRET},
    "login": {"type": "oauth", "access": SECRET, "refresh": SECRET, "expires": 5},
    "max_tokens": 4096,
    "token": None,
    "secret": False,
}


def test_what_goes_by_a_secrets_name_is_masked_in_any_container() -> None:
    struct = Struct()
    struct.update(NAMED)
    model = OcModelInfo(headers={"X-Api-Key": SECRET})
    model.variants["a"].update(NAMED)
    model.options["apiKey"].string_value = SECRET
    event = IpcEvent(properties_json=json.dumps({"outer": json.dumps(NAMED)}))
    for message in (struct, model, event):
        shown = json.dumps(fields_of(message))
        assert SECRET not in shown
        assert "12345" not in shown
        assert "4096" in shown or message is model
    plain = fields_of(struct)
    assert plain["password"] == [MASK]
    assert plain["login"] == {"type": "oauth", "access": MASK, "refresh": MASK, "expires": 5}
    assert (plain["token"], plain["secret"]) == (None, False)


NO_SECRETS = {
    "opencode.auth.OcWellKnownAuth.key",  # a variable's name
}


def test_every_field_of_the_schema_that_is_named_like_a_secret_is_masked() -> None:
    found, masked = set(), set()
    roots = (ipc_pb2.IpcClientMessage, ipc_pb2.IpcServerMessage, OcProviderInfo)
    todo = [each.DESCRIPTOR for each in roots]
    seen = set(todo)
    while todo:
        descriptor = todo.pop()
        for field in descriptor.fields:
            is_text = field.type == field.TYPE_STRING and not descriptor.GetOptions().map_entry
            if is_text and is_secret_name(field.name):
                found.add(field.full_name)
                message = GetMessageClass(descriptor)(**{field.name: SECRET})
                if fields_of(message) == {field.name: MASK}:
                    masked.add(field.full_name)
            if field.message_type is not None and field.message_type not in seen:
                seen.add(field.message_type)
                todo.append(field.message_type)
    assert found - masked == NO_SECRETS
    assert "opencode.provider.OcProviderInfo.key" in masked


def test_what_tools_and_providers_are_given_is_looked_into() -> None:
    tool = OcToolStatePending()
    tool.input.update(NAMED)
    provider = OcProviderInfo()
    provider.models["m"].headers["Authorization"] = SECRET
    for message in (tool, provider):
        shown = json.dumps(fields_of(message))
        assert MASK in shown
        assert SECRET not in shown


def test_a_document_stays_one_and_is_not_touched_without_need() -> None:
    masked = Masker().text(f'{{"password":"{SECRET}","a":[1,"ö"]}}')
    assert masked == f'{{"password":"{MASK}","a":[1,"ö"]}}'
    for text in ('{ "a" :1.50}', "[1,  2]", "{not json}"):
        assert Masker().text(text) == text


def test_names_and_values_of_the_schema_are_no_texts() -> None:
    """A password may be any word, and a recording has to be read again."""
    masker = Masker(["title", "IPC_RUN_EVENTS_ALL", "123456"])
    request = IpcPromptRequest(session_id="123456", text="title", events="IPC_RUN_EVENTS_ALL")
    assert masker.fields(request) == {
        "session_id": MASK,
        "text": MASK,
        "events": "IPC_RUN_EVENTS_ALL",
    }
    session = masker.fields(IpcCreateSessionRequest(title="a title"))
    assert session == {"title": f"a {MASK}"}
    message = IpcClientMessage(request_id=123456, check_health=IpcCheckHealthRequest())
    assert masker.fields(message)["request_id"] == "123456"


@pytest.mark.parametrize(
    "text",
    [
        "x-api-key: Sup3rSecretZ1",
        "password: Sup3rSecretZ1",
        '{"type":"api","key":"Sup3rSecretZ1"}',
        "said {'type': 'api', 'key': 'Sup3rSecretZ1'}",
        "export DB_PASSWORD='Sup3rSecretZ1'",
        "Cookie: session=Sup3rSecretZ1",
        "-----BEGIN PRIVATE KEY-----\nMIIEvSup3rSecretZ1\n-----END PRIVATE KEY-----",
    ],
)
def test_what_is_named_in_a_text_is_masked(text: str) -> None:
    masked = Masker().text(text)
    assert MASK in masked
    assert "Sup3rSecretZ1" not in masked


@pytest.mark.parametrize(
    "piece",
    ["\\", '\\"', "[", "{", '{"a":', '"key": "a', "token:", "key=\\", "eyJ-", "a", "://a:b@"],
)
def test_a_long_text_takes_no_longer_than_its_length(piece: str) -> None:
    """What is quadratic takes minutes for this."""
    masker = Masker(["some-secret-password"])
    begun = time.monotonic()
    masker.text(piece * (400_000 // len(piece)))
    assert time.monotonic() - begun < 10


def test_what_a_message_holds_is_masked_where_it_is_quoted() -> None:
    masker = Masker()
    masker.learn(IpcSetAuthRequest(auth=OcAuth(api=OcApiAuth(key=SECRET))))
    assert masker.fields(IpcCreateSessionRequest(title=f"about {SECRET}")) == {
        "title": f"about {MASK}"
    }


def test_maps_and_lists_are_looked_into() -> None:
    model = OcModelInfo(id="m", headers={"x": "Bearer abcDEF0123456789"})
    model.options["list"].list_value.values.add().string_value = "sk-ant-0123456789abcdef"
    shown = str(fields_of(model))
    assert "abcDEF0123456789" not in shown
    assert "0123456789abcdef" not in shown
