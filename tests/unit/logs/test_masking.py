"""What is taken out of the log: what is known to be a secret, and what looks like one."""

from __future__ import annotations

import base64
import json
import pickle
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from opencode_sync import masking
from opencode_sync.masking import (
    HIDDEN,
    MaskedError,
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


@pytest.mark.parametrize(
    "text", ["a\nb", "a\rb", "\x1b[2Ja", "\x9b2J", "a\u202eb", "\u2028", "\ud800"]
)
def test_what_could_forge_a_line_or_steer_a_terminal_is_spelt_out(text: str) -> None:
    spelt = text.encode("unicode_escape").decode()
    made = record(text, name=text, nested=[text], raised=ValueError(text))
    mask_record(made)
    assert made == record(spelt, name=spelt, nested=[text], raised=spelt)


def test_words_of_all_scripts_stay() -> None:
    text = "grün \N{WAVING HAND SIGN} مرحبا C:\\new"
    made = record(text, name=text)
    mask_record(made)
    assert made == record(text, name=text)


class Unprintable:
    """A value of a program's that nobody can show."""

    def __repr__(self) -> str:
        raise ZeroDivisionError("not to be shown")


class Unspeakable(Exception):
    """One that can be shown, but only as its source."""

    def __str__(self) -> str:
        raise LookupError


def test_a_field_that_cannot_be_shown_costs_that_field() -> None:
    made = record("it was", odd=Unprintable(), other=Unspeakable(), fine=Path("/p"))
    mask_record(made)
    assert made == record(
        "it was",
        odd="(cannot be shown: ZeroDivisionError)",
        other="(cannot be shown: LookupError)",
        fine=Path("/p"),
    )


def test_a_field_whose_name_is_no_text_is_masked_as_well() -> None:
    made = record()
    made["extra"] = {(1, 2): "password=hunter22"}
    mask_record(made)
    assert made["extra"] == {(1, 2): f"password={HIDDEN}"}


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


def test_an_exceptions_text_keeps_its_lines_and_loses_what_steers_a_terminal() -> None:
    error = _raised("two\nlines")
    given = Exc(ValueError, error, error.__traceback__)
    made = record("it failed", given)
    mask_record(made)
    assert made["exception"] is given
    error = ValueError("two\nlines \x1b[2J\u202e")
    made = record("it failed", Exc(ValueError, error, None))
    mask_record(made)
    assert str(made["exception"].value) == "ValueError: two\nlines \\x1b[2J\\u202e\n"


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
