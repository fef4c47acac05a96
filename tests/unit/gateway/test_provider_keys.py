"""What cannot be an API key is caught, and whatever could be one is not."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencode_sync.gateway.provider_keys import KEY_VARIABLES, Secret, key_problem

_BODY = "A7f9Qx2LmZ0pR4tV8sW1"


@pytest.mark.parametrize(
    ("category", "keys"),
    [
        ("blank", ["", " ", "\t\r\n", "\u00a0"]),
        (
            "quoted",
            ["'sk-ant-abc123'", '"sk-ant-abc123"', "sk-ant-abc123'", "`x`", "\u201cabcdefgh\u201d"],
        ),
        (
            "placeholder",
            [
                "your-api-key-here",
                "your_api_key",
                "YOUR_API_KEY",
                "YourApiKeyHere",
                "yourapikeyhere",
                "<your-api-key>",
                "<insert key>",
                "[API KEY]",
                "{{ api_key }}",
                "{API_KEY}",
                "${ANTHROPIC_API_KEY}",
                "${KEY:-default value}",
                "$ANTHROPIC_API_KEY",
                "$(pass show anthropic)",
                "%OPENAI_API_KEY%",
                "changeme",
                "change-me",
                "CHANGE_ME!",
                "xxx",
                "XXXXXXXXXXXXXXXX",
                "xxxx-xxxx-xxxx",
                "sk-xxxxxxxxxxxxxxxxxxxxxxxx",
                "sk-ant-xxxxxxxx",
                "sk-ant-",
                "sk-ant-...",
                "sk-proj-your-key-here",
                "sk-...",
                "...",
                "********",
                "--------",
                "0000000000000000",
                "todo",
                "TODO: put the key here",
                "replace_with_your_key",
                "insert-your-openai-api-key-here",
                "my-secret-token",
                "dummy",
                "none",
                "null",
                "undefined",
                "placeholder",
                "fake-key",
                " changeme ",
            ],
        ),
        (
            "control_character",
            [f"{_BODY}\0", f"{_BODY}\x1b[A{_BODY}", f"{_BODY}\n{_BODY}", "a\x85b"],
        ),
        (
            "whitespace",
            [f" {_BODY}", f"{_BODY} ", f"{_BODY}\n", f"Bearer {_BODY}", f"a\u2003{_BODY}"],
        ),
        ("not_ascii", [f"\u0430{_BODY}", f"{_BODY}\u200b", f"{_BODY}\udcff", f"\ufeff{_BODY}"]),
        ("too_short", ["a1b2c3d", "1a"]),
        ("too_long", ["A7" * 2049, "x" * 1_000_000]),
    ],
)
def test_what_cannot_be_a_key(category: str, keys: list[str]) -> None:
    for provider in ("anthropic", "unheard-of"):
        problems = [(key, key_problem(provider, key)) for key in keys]
        wrong = [(key, each) for key, each in problems if not each or each.category != category]
        assert wrong == []


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("anthropic", f"sk-ant-api03-{_BODY}_{_BODY}-AA"),
        ("anthropic", f"sk-{_BODY}"),  # of a proxy
        ("anthropic", _BODY),
        ("openai", f"sk-proj-{_BODY}"),
        ("openai", f"sk-{_BODY}"),
        ("openai", f"sk-None-{_BODY}"),
        ("openrouter", f"sk-or-v1-{_BODY.lower()}"),
        ("google", f"AIza{_BODY}"),
        ("google", f"AQ.{_BODY}"),
        ("xai", f"xai-{_BODY}"),
        ("groq", f"gsk_{_BODY}"),
        ("mistral", "0123456789abcdef0123456789abcdef"),
        ("zai", f"{_BODY}.{_BODY}"),
        ("opencode", "sk-test-1234567890"),
        ("deepseek", f"sk-{_BODY}"),
        ("own", f"sk-ant-{_BODY}"),  # a gateway that takes the keys of others
        ("own", f"{_BODY}!$%&/()=?+#"),
        ("own", f"xxx{_BODY}"),
        ("own", f"{_BODY}-your-key"),
    ],
)
def test_what_can_be_one(provider: str, key: str) -> None:
    assert key_problem(provider, key) is None


@pytest.mark.parametrize(
    ("provider", "key", "owner"),
    [
        ("anthropic", f"sk-proj-{_BODY}", "openai"),
        ("anthropic", f"sk-or-v1-{_BODY}", "openrouter"),
        ("openai", f"sk-ant-api03-{_BODY}", "anthropic"),
        ("openrouter", f"gsk_{_BODY}", "groq"),
        ("groq", f"xai-{_BODY}", "xai"),
        ("xai", f"AIza{_BODY}", "google"),
    ],
)
def test_the_key_of_another_provider(provider: str, key: str, owner: str) -> None:
    problem = key_problem(provider, key)
    assert problem is not None
    assert problem.category == "wrong_provider"
    assert f"a key of {owner}" in problem.words
    assert f"the key of {provider}" in problem.words


@given(st.text(alphabet=string.ascii_letters + string.digits + "-_", min_size=24, max_size=200))
def test_the_words_never_show_the_key(key: str) -> None:
    problem = key_problem("anthropic", f"{key} {key}")
    assert problem is not None
    assert key not in problem.words


@given(st.text(alphabet=string.ascii_letters + string.digits, min_size=30, max_size=120))
def test_random_keys_are_never_refused(key: str) -> None:
    digits = sum(each.isdigit() for each in key)
    if digits and len(set(key.lower())) > 1:
        assert key_problem("mistral", key) is None


@given(st.text(max_size=300))
def test_any_text_gets_an_answer(key: str) -> None:
    problem = key_problem("google", key)
    assert problem is None or (problem.category and problem.words)


def test_a_text_made_to_be_slow_is_not() -> None:
    """Of a pattern with alternatives inside a repetition this would take for ever."""
    assert key_problem("own", "sk" + "xapikey" * 14 + "0") is None


def test_every_variable_belongs_to_one_provider() -> None:
    names = [name for variables in KEY_VARIABLES.values() for name in variables]
    assert len(names) == len(set(names))
    assert all(name.endswith("_API_KEY") for name in names)


def test_a_secret_is_its_text_but_does_not_show() -> None:
    secret = Secret("sk-private")
    assert secret == "sk-private"
    assert repr([secret]) == "['***']"
