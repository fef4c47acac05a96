"""What may be of any size is cut before it is looked at, and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opencode_sync.desktop.chat.excerpt import json_excerpt, shortened


def test_what_is_short_stays_as_it_is() -> None:
    value = {"a": [1, None, True, "text"], "b": {"c": 1.5}}
    assert json.loads(json_excerpt(value, 1_000)) == value
    assert shortened("text", 4, 1) == "text"


def test_a_long_text_tells_how_much_is_missing() -> None:
    assert shortened("x" * 10, 4) == "xxxx... (6 characters more)"
    assert shortened("a\nb\nc", 100, 2) == "a\nb... (2 characters more)"


@pytest.mark.parametrize(
    "value",
    [
        {"content": "x" * 1_000_000},
        {"x" * 1_000_000: 1},
        {"edits": ["x" * 500] * 10_000},
        {str(number): number for number in range(100_000)},
        [[]] * 100_000,
    ],
    ids=["text", "name", "list", "object", "empty"],
)
def test_it_is_about_as_long_as_it_may_be(value: Any) -> None:
    said = json_excerpt(value, 1_000, indent=2)
    assert len(said) < 3_000
    assert " more)" in said


def test_what_is_deep_is_not_followed() -> None:
    value: Any = "bottom"
    for _ in range(500):
        value = [value]
    assert json_excerpt(value, 100_000).count("[") <= 41
