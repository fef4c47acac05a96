"""What is taken out of the log: what is known to be a secret, and what looks like one."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import pytest

from opencode_sync import masking
from opencode_sync.masking import HIDDEN, MaskedError, mask, mask_record, remember_secret
from tests.support.threads import together


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_secrets", ())
    monkeypatch.setattr(masking, "_newest", type(masking._newest)(maxlen=masking._MOST))


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


@pytest.mark.parametrize("short", ["", "a", "1234567"])
def test_what_is_too_short_is_no_secret(short: str) -> None:
    remember_secret(short)
    assert mask(f"say {short} twice") == f"say {short} twice"


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
        ("password='hunter22'", "password='hunter22'"),
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
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert mask(text) == text


# --- Records ---


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
