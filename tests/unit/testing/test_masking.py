"""Requests and answers that anybody may see."""

from __future__ import annotations

import pytest

from opencode_sync.testing.masking import MASK, Masker, fields_of
from opencode_sync.types import IpcEvent, OcApiAuth, OcAuth, OcModelInfo, OcOAuth, OcWellKnownAuth
from opencode_sync.wire.ipc_pb2 import (
    IpcAuthHandshake,
    IpcClientMessage,
    IpcCreateSessionRequest,
    IpcSetAuthRequest,
)

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
    masker = Masker(["secret", "secret-and-more", "tiny"])
    assert masker.text("secret-and-more, secret, tiny") == f"{MASK}, {MASK}, tiny"
    assert repr(masker) == "Masker(2 secrets)"


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
