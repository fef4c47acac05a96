"""What is taken out of the log: what is known to be a secret, and what looks like one."""

from __future__ import annotations

import base64
import json
import pickle
import time
import urllib.parse
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from opencode_sync import masking
from opencode_sync.masking import (
    HIDDEN,
    MaskedError,
    is_secret_name,
    mask,
    mask_record,
    remember_secret,
)
from tests.support.threads import together


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_secrets", ())
    monkeypatch.setattr(masking, "_words", None)
    monkeypatch.setattr(masking, "_newest", {})


class Exc(NamedTuple):
    """As loguru has them."""

    type: type[BaseException] | None
    value: BaseException | None
    traceback: Any


def record(message: str = "", exception: Exc | None = None, **extra: Any) -> dict[str, Any]:
    return {"message": message, "extra": extra, "exception": exception}


# --- Known ones ---


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    remember_secret("correct horse")
    assert mask("a correct horse, correct horses") == f"a {HIDDEN}, {HIDDEN}s"


def test_of_two_the_longer_is_hidden_whole() -> None:
    remember_secret("0123456789")
    remember_secret("0123456789abcdef")
    assert mask("0123456789abcdef") == HIDDEN


@pytest.mark.parametrize("short", ["", "a", "cat"])
def test_what_is_too_short_is_no_secret(short: str) -> None:
    remember_secret(short)
    assert mask(f"say {short} twice") == f"say {short} twice"


@pytest.mark.parametrize("short", ["cats", "h*nter2"])
def test_a_short_secret_is_hidden_as_a_whole_word(short: str) -> None:
    remember_secret(short)
    assert mask(f"{short}, ({short}) a{short} {short}1") == (
        f"{HIDDEN}, ({HIDDEN}) a{short} {short}1"
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "spell",
    [
        str,
        repr,
        json.dumps,
        lambda secret: json.dumps(json.dumps(secret)),
        lambda secret: repr(json.dumps(secret)),
        lambda secret: json.dumps(secret, ensure_ascii=False),
        urllib.parse.quote,
        urllib.parse.quote_plus,
        lambda secret: urllib.parse.quote(secret, safe=""),
        _base64,
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    ],
)
@pytest.mark.parametrize("secret", ["my\"k\\ey-12'345", "gr\u00fc\u00dfe / von mir?~"])
def test_a_secret_is_hidden_however_it_is_written(spell: Callable[[str], str], secret: str) -> None:
    remember_secret(secret)
    written = spell(secret)
    assert mask(f"<{written}>").strip("<>\"'\\=") == HIDDEN


def test_only_the_newest_are_remembered() -> None:
    for number in range(1_001):
        remember_secret(f"secret number {number:04}")
    assert mask("secret number 0000") == "secret number 0000"
    assert mask("secret number 0001 secret number 1000") == f"{HIDDEN} {HIDDEN}"


def test_any_thread_may_remember() -> None:
    def remember(index: int) -> None:
        for number in range(50):
            remember_secret(f"secret {index} {number:04}")

    for job in together(8, remember):
        job.result()
    text = " ".join(f"secret {index} {number:04}" for index in range(8) for number in range(50))
    assert "secret" not in mask(text).replace(HIDDEN, "")


def test_a_clients_token_is_known_once_it_is_used() -> None:
    from opencode_sync.redact import Redactor

    Redactor("token-of-a-connection")
    assert mask("token-of-a-connection") == HIDDEN


def test_a_gateways_token_and_opencodes_password_are_known() -> None:
    from opencode_sync.gateway import Gateway
    from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
    from tests.unit.gateway.doubles import ScriptedBackend

    gateway = Gateway(ScriptedBackend())
    http = OpenCodeHttp("http://127.0.0.1:4096", password="tr0ub4dor and 3")
    try:
        pair = http.address.headers["Authorization"].removeprefix("Basic ")
        text = mask(f"{gateway.auth_token} tr0ub4dor and 3 {pair}")
        assert text == f"{HIDDEN} {HIDDEN} {HIDDEN}"
    finally:
        http.close()


# --- Shapes ---


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key sk-ant-api03-0123456789abcdef!", f"key sk-{HIDDEN}!"),
        ("xai-0123456789abcdef", f"xai-{HIDDEN}"),
        ("ghp_0123456789abcdefABCDEF", f"ghp_{HIDDEN}"),
        ("AIzaSyA-0123456789_abcdefghijklmnopqrstu", f"AIza{HIDDEN}"),
        ("AKIAIOSFODNN7EXAMPLE", f"AKIA{HIDDEN}"),
        ("Authorization: Bearer aB3.DEF-123456", f"Authorization: Bearer {HIDDEN}"),
        ("Basic b3BlbmNvZGU6c2VjcmV0", f"Basic {HIDDEN}"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", f"eyJ{HIDDEN}"),
        ("GET /x?api_key=abcdef&y=1", f"GET /x?api_key={HIDDEN}&y=1"),
        ("OPENCODE_SERVER_PASSWORD=hunter22 opencode", None),
        ("password='hunter22'", f"password='{HIDDEN}'"),
        ("key='abcd1234' x", f"key='{HIDDEN}' x"),
        ('api_key="with space, \\" and comma", x', f'api_key="{HIDDEN}", x'),
        ('{"password": "hunter22", "a": "b"}', f'{{"password": "{HIDDEN}", "a": "b"}}'),
        (r'"{\"token\": \"a\\\"b c\", \"a\": 1}"', rf'"{{\"token\": \"{HIDDEN}\", \"a\": 1}}"'),
        ("{'Authorization': 'Bearer aB3.DEF-123456'}", f"{{'Authorization': '{HIDDEN}'}}"),
        ("headers['x-api-key'] = 'abcd1234'", f"headers['x-api-key'] = '{HIDDEN}'"),
        ("accessToken=abcdef;", f"accessToken={HIDDEN};"),
        ("apiKey: abcdef", f"apiKey: {HIDDEN}"),
        ("x-api-key: abcdef\r\nHost: x", f"x-api-key: {HIDDEN}\r\nHost: x"),
        ("Authorization: Token abcdef123", f"Authorization: Token {HIDDEN}"),
        ("password: swordfish", f"password: {HIDDEN}"),
        ("Bearer abcdefghijklm", f"Bearer {HIDDEN}"),
        ("Bearer abcdefghijklm was refused", f"Bearer {HIDDEN} was refused"),
        ("sk_live_0123456789", f"sk_live_{HIDDEN}"),
        ("my_glpat-0123456789 nvapi-0123456789", f"my_glpat-{HIDDEN} nvapi-{HIDDEN}"),
        ("pplx-0123456789", f"pplx-{HIDDEN}"),
        ("r8_0123456789abcdefghijklmnop", f"r8_{HIDDEN}"),
        ("my-eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", f"my-eyJ{HIDDEN}"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: x\nabc\n-----END RSA PRIVATE KEY-----",
            f"-----BEGIN RSA PRIVATE KEY-----{HIDDEN}-----END RSA PRIVATE KEY-----",
        ),
        ("http://me:hun/t@r22@127.0.0.1:4096/", f"http://me:{HIDDEN}@127.0.0.1:4096/"),
        ("http://me:hunter22@127.0.0.1:4096/", f"http://me:{HIDDEN}@127.0.0.1:4096/"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, masked: str | None) -> None:
    if masked is None:
        masked = f"OPENCODE_SERVER_PASSWORD={HIDDEN} opencode"
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Bearer authentication is needed",
        "basic authentication",
        "sk-ip this",
        "request 17 was answered as its time ran out",
        "ws://127.0.0.1:4096/ closed (code 1000)",
        "ses_2f7c8a1b0ffe4c3d9a8b7c6d5e the keyboard",
        "connection connecting -> authenticating",
        "Bearer token is missing",
        "token: is missing, give one",
        "max_tokens=4096, 'tokens': 12345678, monkey='banana', the key: abcdef",
        "http://127.0.0.1:4096/@scope/package",
        "'token': None",
        f"token={HIDDEN} password: {HIDDEN}",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert mask(text) == text


# Texts that make a search look far ahead in vain, or begin again and again.
_WORST = {
    "keys of providers": ["sk-", "sk-1234567 ", "r8_"],
    "private keys": ["-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "-"],
    "web tokens": ["eyJ-", "eyJaaaaaaaa.", "eyJaaaaaaaa", "a-eyJ."],
    "bearer": ["bearer ", "bearer  auth ", "basic a", "Basic\n", " "],
    "members": [
        '"',
        "\\",
        "token:",
        'token":"',
        'token":"' + "\\" * 9,
        "key='\\\\' ",
        'token\\":\\"',
    ],
    "parameters": ["token=", "key=", "key=a ", "password: ", "authorization: bearer "],
    "addresses": ["://", "://:", "://a:", "://a:@", "://a:b", "a:", "@"],
}


@pytest.mark.parametrize(("kind", "unit"), [(kind, u) for kind in _WORST for u in _WORST[kind]])
@pytest.mark.parametrize("before", ["", 'token: "', "://a:", "bearer", "eyJ"])
def test_no_text_takes_long(kind: str, unit: str, before: str) -> None:
    """In time that grows as the square of the length it would be minutes."""
    text = before + unit * (200_000 // len(unit))
    began = time.process_time()
    mask(text)
    assert time.process_time() - began < 2, kind


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("DB_PASSWORD", True),
        ("accessToken", True),
        ("x-api-key", True),
        ("OPENAI_API_KEY", True),
        ("privateKey", True),
        ("key", True),
        ("Cookie", True),
        ("tokens", False),
        ("keys", False),
        ("monkey", False),
        ("token_length", False),
        ("operation", False),
    ],
)
def test_some_names_are_those_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


# --- Records ---


def test_a_field_with_the_name_of_a_secret_is_one() -> None:
    made = record("", api_key="a b", password=["x"], token=17, secret=None, keys="theme")
    mask_record(made)
    assert made["extra"] == {
        "api_key": HIDDEN,
        "password": HIDDEN,
        "token": 17,
        "secret": None,
        "keys": "theme",
    }


def test_a_long_text_is_cut_and_no_secret_with_it() -> None:
    remember_secret("correct horse")
    text = "x" * ((1 << 16) - 5) + "correct horse" + "y" * 1000
    made = record(text, cause=text)
    mask_record(made)
    for shown in (made["message"], made["extra"]["cause"]):
        assert shown.startswith("xxx")
        assert "corre" not in shown
        kept, more = shown.split("... ")
        assert (more, len(kept)) == (f"{len(text) - len(kept)} characters more", 61440)


def test_text_and_fields_of_a_record_are_masked() -> None:
    remember_secret("correct horse")
    made = record(
        "it was correct horse",
        operation="list_sessions",
        token="correct horse",
        nested={"a": ["correct horse"]},
        size=17,
    )
    mask_record(made)
    assert made["message"] == f"it was {HIDDEN}"
    assert made["extra"] == {
        "operation": "list_sessions",
        "token": HIDDEN,
        "nested": f"{{'a': ['{HIDDEN}']}}",
        "size": 17,
    }


def _raised(text: str) -> ValueError:
    try:
        try:
            raise KeyError(text)
        except KeyError as cause:
            raise ValueError("outside") from cause
    except ValueError as error:
        return error


def test_an_exception_that_quotes_a_secret_is_replaced_by_its_masked_text() -> None:
    remember_secret("correct horse")
    error = _raised("correct horse")
    made = record("it failed", Exc(ValueError, error, error.__traceback__))
    mask_record(made)
    stand_in = made["exception"]
    assert (stand_in.type, stand_in.traceback) == (MaskedError, None)
    text = str(stand_in.value)
    assert "correct horse" not in text
    assert f"KeyError: '{HIDDEN}'" in text
    assert "ValueError: outside" in text
    assert str(pickle.loads(pickle.dumps(stand_in.value))) == text


def test_any_other_exception_stays_as_it_is() -> None:
    remember_secret("correct horse")
    error = _raised("nothing special")
    given = Exc(ValueError, error, error.__traceback__)
    made = record("it failed", given)
    mask_record(made)
    assert made["exception"] is given
    empty = record("none", Exc(None, None, None))
    mask_record(empty)
    assert empty["exception"] == (None, None, None)
