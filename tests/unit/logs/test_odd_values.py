"""Whatever a program puts into its fields, and a peer into its words: each message is one line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger

from opencode_sync import IpcServerError, enable_logging
from tests.support import backend as b
from tests.support.backend import ScriptedBackend
from tests.support.leaks import no_leaks


class Unprintable:
    """A value that nobody can show."""

    def __repr__(self) -> str:
        raise ZeroDivisionError("not to be shown")


class Numberless(int):
    """A number that has no text."""

    def __repr__(self) -> str:
        raise ZeroDivisionError("not to be shown")


class Faulty(dict[str, int]):
    """A document that cannot be read."""

    def items(self) -> Any:
        raise LookupError


def _circle() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["a"] = circle
    return circle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


@pytest.fixture
def configured() -> Iterator[Callable[[Any], object]]:
    """What a program has in the ``extra`` of all its messages."""
    yield lambda value: logger.configure(extra={"odd": value})
    logger.configure(extra={})


def _strict(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


ODD = [
    ({(1, 2): 3}, "{(1, 2): 3}"),
    (_circle(), "{'a': {...}}"),
    ("\ud800 half", r"\ud800 half"),
    (["\ud800 half"], r"['\ud800 half']"),
    (float("nan"), "nan"),
    ({"a": float("-inf")}, "{'a': -inf}"),
    (10**5000, "(cannot be shown: ValueError)"),
    (Unprintable(), "(cannot be shown: ZeroDivisionError)"),
    (Numberless(), "(cannot be shown: ZeroDivisionError)"),
    ([Unprintable()], "(cannot be shown: ZeroDivisionError)"),
    (Faulty(a=1), "{'a': 1}"),
    (_deep(), "(cannot be shown: RecursionError)"),
    (b"x", "b'x'"),
    ({1, 2}, "{1, 2}"),
    ("\x1b[2J\u202e", r"\x1b[2J\u202e"),
    (["\x9b2J"], ["\x9b2J"]),
    ({"a": [1, 2.5, None, True, "grün"]}, {"a": [1, 2.5, None, True, "grün"]}),
]


@pytest.mark.parametrize(("value", "shown"), ODD, ids=[f"{number}" for number in range(len(ODD))])
def test_each_line_is_one_valid_json_object(
    log: Callable[..., None], configured: Callable[[Any], object], value: Any, shown: Any
) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    configured(value)
    disable = enable_logging("INFO", stream, json=True)
    log("INFO", "told", size=1)
    disable()
    (line,) = raw.getvalue().splitlines()
    fields = json.loads(line, parse_constant=_strict)["fields"]
    assert fields == {"odd": shown, "size": 1}
    assert not any(character in line.decode() for character in "\x1b\x9b\u202e")


@pytest.mark.parametrize(("value", "shown"), ODD, ids=[f"{number}" for number in range(len(ODD))])
def test_each_line_of_text_is_there(
    log: Callable[..., None], configured: Callable[[Any], object], value: Any, shown: Any
) -> None:
    stream = io.StringIO()
    configured(value)
    disable = enable_logging("INFO", stream)
    log("INFO", "told", size=1)
    disable()
    (line,) = stream.getvalue().splitlines()
    assert " - told [odd=" in line
    assert line.endswith(" size=1]")
    assert line.isprintable()


def test_names_that_are_no_texts_become_some(log: Callable[..., None]) -> None:
    stream = io.StringIO()
    logger.configure(extra={(1, 2): 3, 4: 5})  # type: ignore[dict-item]
    disable = enable_logging("INFO", stream, json=True)
    log("INFO", "told")
    disable()
    logger.configure(extra={})
    assert json.loads(stream.getvalue())["fields"] == {"(1, 2)": 3, "4": 5}


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with no_leaks():
        backend = ScriptedBackend()
        yield backend
        backend.close()


@pytest.mark.parametrize(
    "words",
    [
        "bad\n2026-11-23 10:00:00.000 | ERROR    | opencode_sync - the gateway was broken into",
        "\x1b[2J\x1b[31mred",
        "over\rwritten",
        "\u202e backwards \u2028 below",
    ],
)
def test_a_peers_words_are_part_of_one_line(backend: ScriptedBackend, words: str) -> None:
    stream, own = io.StringIO(), io.StringIO()
    of_program = logger.add(own, format="{message}", level="INFO")
    disable = enable_logging("INFO", stream)
    enable_for_program = enable_logging()
    backend.rule("list_sessions", b.error(4, words))
    with backend.client() as client, pytest.raises(IpcServerError):
        client.list_sessions()
    enable_for_program()
    disable()
    logger.remove(of_program)
    for written in (stream.getvalue(), own.getvalue()):
        _, failed = written.splitlines()
        assert failed.isprintable()
        assert words.encode("unicode_escape").decode() in failed
