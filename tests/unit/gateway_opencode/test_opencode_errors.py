"""What a refusal of OpenCode's becomes: its code, and the sentence people read."""

from __future__ import annotations

import json

import pytest

from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.opencode.errors import one_line, read_refusal


def told(status, body, content_type="application/json"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    refusal = read_refusal(status, content_type, content)
    error = refusal.to_error(call="GET /session", base_url="http://127.0.0.1:4096")
    return error_code_name(error.code), error.message


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (
            404,
            {"name": "NotFoundError", "data": {"message": "Session not found: ses_1"}},
            "SERVER_ERROR",
            ["404", "NotFoundError", "Session not found: ses_1"],
        ),
        (
            400,
            {"name": "BadRequest", "data": {"message": 'Missing key\n  at ["parts"]', "kind": "P"}},
            "INVALID_MESSAGE",
            ["400", "BadRequest", 'Missing key at ["parts"]'],
        ),
        (400, {"_tag": "BadRequest"}, "INVALID_MESSAGE", ["400", "BadRequest"]),
        (
            409,
            {"_tag": "SessionBusyError", "sessionID": "ses_1", "message": "ses_1 is busy"},
            "SERVER_ERROR",
            ["409", "SessionBusyError", "ses_1 is busy"],
        ),
        (
            500,
            {"name": "UnknownError", "data": {"message": "Unexpected", "ref": "err_7d7f80d0"}},
            "SERVER_ERROR",
            ["500", "UnknownError", "Unexpected", "err_7d7f80d0", "log"],
        ),
        (500, {"error": {"message": "too late"}}, "SERVER_ERROR", ["500", "too late"]),
        (500, {"error": "too late"}, "SERVER_ERROR", ["500", "too late"]),
        (400, {"errors": [7, {"message": "too late"}]}, "INVALID_MESSAGE", ["400", "too late"]),
    ],
    ids=[
        "name and data",
        "name, data, kind",
        "tag alone",
        "tag and message",
        "with reference",
        "wrapped",
        "words alone",
        "several",
    ],
)
def test_each_shape_keeps_its_status_name_and_words(status, body, code, words):
    got_code, message = told(status, body)
    assert got_code == code
    assert "http://127.0.0.1:4096" in message
    assert "GET /session" in message
    for word in words:
        assert word in message


def test_unauthorized_says_how_to_give_the_password():
    code, message = told(401, b"", "")
    assert code == "AUTH_ERROR"
    assert "set OPENCODE_SERVER_PASSWORD for the gateway" in message


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"<html>", "text/html"),
        (b"{not json", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"[1, 2]", "application/json"),
        (b'{"name": 7, "data": "text", "message": ["x"], "_tag": ""}', "application/json"),
        (b'{"name": "<b>"}', "text/html"),
    ],
)
def test_a_body_without_usable_words_still_gives_a_sentence(body, content_type):
    code, message = told(502, body, content_type)
    assert code == "SERVER_ERROR"
    assert "status 502" in message
    assert (content_type or "no content") in message


def test_only_opencodes_own_404_means_not_found():
    own = read_refusal(404, "application/json", b'{"name": "NotFoundError"}')
    assert own.is_not_found
    assert not read_refusal(404, "text/html", b"<h1>404</h1>").is_not_found
    assert not read_refusal(404, "", b"").is_not_found
    assert not read_refusal(500, "application/json", b'{"name": "NotFoundError"}').is_not_found


def test_one_line_drops_what_a_terminal_would_act_on_and_what_is_too_long():
    assert one_line("\x1b[91m\x1b[1mError: \x1b[0mbad\r\n\n\tthing\x07\u2028end") == (
        "Error: bad thing end"
    )
    assert one_line("x" * 5000) == "x" * 500 + "..."
