"""``opencode-sync config``: what it prints, reads and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opencode_sync.operations import MAX_TEXT_BYTES

from .conftest import Run
from .doubles import FakeClient

DOCUMENT = '{"version": 1, "ui": {"font_size": 1.5, "name": "\N{SNOWMAN}\\u001b"}}'


def test_get_prints_the_application_document(run: Run, client: FakeClient) -> None:
    client.config.app_config_json = DOCUMENT
    client.config.models_config_json = '{"providers": []}'
    result = run("config", "get")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(DOCUMENT)
    assert result.stdout.isascii()
    assert "\x1b" not in result.stdout
    assert run("config", "get", "--json").stdout == result.stdout
    assert json.loads(run("config", "get", "--models").stdout) == {"providers": []}


@pytest.mark.parametrize("document", ["", "no JSON", "{", "[" * 100_000])
def test_get_of_something_else_says_so(run: Run, client: FakeClient, document: str) -> None:
    client.config.app_config_json = document
    result = run("config", "get")
    assert result.exit_code == 8
    assert result.stdout == ""
    assert result.stderr.startswith("error: the backend's configuration is not JSON: ")
    assert result.stderr.count("\n") == 1


def test_set_sends_the_file_as_it_is(run: Run, client: FakeClient, tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    path.write_text(DOCUMENT, encoding="utf-8")
    result = run("config", "set", str(path))
    assert result.exit_code == 0
    assert result.stdout == "configuration replaced\n"
    assert client.asked == [("update_config", DOCUMENT)]
    assert json.loads(run("config", "set", str(path), "--json").stdout) == {"updated": True}


def test_set_reads_standard_input(run: Run, client: FakeClient) -> None:
    assert run("config", "set", "-", stdin=DOCUMENT.encode()).exit_code == 0
    assert client.asked == [("update_config", DOCUMENT)]


def test_what_get_prints_can_be_set(run: Run, client: FakeClient) -> None:
    client.config.app_config_json = DOCUMENT
    printed = run("config", "get").stdout
    assert run("config", "set", "-", stdin=printed.encode()).exit_code == 0
    _, document = client.asked[-1]
    assert json.loads(document) == json.loads(DOCUMENT)


def test_a_byte_order_mark_is_no_part_of_the_document(run: Run, client: FakeClient) -> None:
    run("config", "set", "-", stdin=b"\xef\xbb\xbf{}")
    assert client.asked == [("update_config", "{}")]


@pytest.mark.parametrize(
    ("refusal", "said"),
    [("ui.font_size is a \x1bstring", "ui.font_size is a \\x1bstring"), ("", "gave no reason")],
)
def test_a_refusal_names_the_reason_and_exits_3(
    run: Run, client: FakeClient, refusal: str, said: str
) -> None:
    client.refusal = refusal
    result = run("config", "set", "-", stdin=b"{}")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("error: the configuration was not replaced: ")
    assert said in result.stderr
    as_json = run("config", "set", "-", "--json", stdin=b"{}")
    assert as_json.stdout == ""
    assert json.loads(as_json.stderr)["error"]["kind"] == "configuration"


def test_a_file_that_cannot_be_read_is_named_and_nobody_is_asked(
    run: Run, client: FakeClient, tmp_path: Path
) -> None:
    for path in (tmp_path / "none.json", tmp_path, Path("a\0b")):
        result = run("config", "set", str(path))
        assert result.exit_code == 2
        assert "cannot be read" in result.stderr
        assert str(path).replace("\0", "\\x00") in result.stderr
        assert result.stderr.count("\n") == 1
    assert client.asked == []


def test_what_is_no_text_or_too_long_is_refused_before_it_is_sent(
    run: Run, client: FakeClient
) -> None:
    result = run("config", "set", "-", stdin=b'{"a": "\xff"}')
    assert result.exit_code == 2
    assert "standard input is not UTF-8 text: see its byte 7" in result.stderr
    result = run("config", "set", "-", stdin=b" " * (MAX_TEXT_BYTES + 1))
    assert result.exit_code == 2
    assert "8000000" in result.stderr
    assert client.asked == []


def test_set_needs_a_source(run: Run, client: FakeClient) -> None:
    result = run("config", "set")
    assert result.exit_code == 2
    assert "FILE|-" in result.stderr
    assert client.asked == []
