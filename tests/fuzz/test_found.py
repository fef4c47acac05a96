"""What the fuzzers have found once, each as its shortest form."""

from __future__ import annotations

from typing import Any

import pytest

from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, quote_id
from opencode_sync.gateway.backends.opencode.runs.events import RunEvents
from opencode_sync.gateway.backends.opencode.runs.failures import failure_of_error
from opencode_sync.gateway.backends.opencode.runs.policy import REJECT_ALL
from opencode_sync.gateway.backends.opencode.runs.texts import RunTexts
from opencode_sync.wire import ext_prompt_pb2 as pb
from tests.fuzz.stream_targets import heard
from tests.unit.gateway_opencode.run_doubles import PROMPT, SESSION, Sink, answer, delta, event

OK = b"HTTP/1.1 200 OK\r\n"
EVENT_STREAM = b"Content-Type: text/event-stream\r\n"


def _heard(*pieces: bytes) -> tuple[list[str], str]:
    http = OpenCodeHttp("http://127.0.0.1:1")
    try:
        return heard(http, list(pieces))
    finally:
        http.close()


def test_a_length_of_5000_digits_is_no_length() -> None:
    head = OK + EVENT_STREAM + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"
    events, end = _heard(head + b"data: x\n\n")
    assert events == ["x"]
    assert "the server ended it" in end


def test_a_folded_header_is_shown_in_one_line() -> None:
    _, end = _heard(OK + b"Content-Type: text/html\r\n and more\r\n\r\n")
    assert "text/html and more" in end


def test_a_head_that_is_too_long_is_so_however_it_comes() -> None:
    head = OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n"
    whole = _heard(head)
    assert "no HTTP" in whole[1]
    assert _heard(head[:65_000], head[65_000:]) == whole


def test_a_refusal_that_is_badly_framed_has_no_words_however_it_comes() -> None:
    head = (
        b"HTTP/1.1 404 Gone\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    body = b'e\r\n{"_tag":"None"}\r\nno length\r\n'
    whole = _heard(head + body)
    assert "(status 404): the answer has no words of its own" in whole[1]
    assert _heard(head, *(body[at : at + 1] for at in range(len(body)))) == whole


def _followed(*events: Any) -> tuple[RunEvents, Sink]:
    sink = Sink()
    run = RunEvents(
        SESSION,
        PROMPT,
        wanted=pb.IPC_RUN_EVENTS_ALL,
        policy=REJECT_ALL,
        sink=sink,
        ring=lambda: None,
    )
    for each in events:
        run.event(each)
    return run, sink


@pytest.mark.parametrize("odd", [[], {}, 1, None])
def test_an_id_that_is_no_text_is_nobodys(odd: Any) -> None:
    part = {"id": "prt_1", "messageID": odd, "type": "text", "text": "x"}
    run, sink = _followed(
        event("message.part.updated", sessionID=SESSION, part=part),
        event("session.created", info={"id": "ses_2", "parentID": odd}),
        answer("msg_2"),
        delta("msg_2", "prt_2", "hello"),
    )
    assert sink.text == "hello"
    assert [document["parts"] for document in run.documents()] == [[]]


def test_a_part_whose_text_became_none_has_the_text_it_had() -> None:
    texts = RunTexts()
    texts.expect("msg_2")
    texts.delta({"partID": "prt_1", "delta": "hello"})
    texts.updated({"id": "prt_1", "messageID": "msg_2", "text": 7}, replayed=False)
    assert [part["text"] for part in texts.parts_of("msg_2")] == ["hello"]


@pytest.mark.parametrize("parts", [7, {"a": 1}, None, [7]])
def test_parts_that_are_none_have_no_text(parts: Any) -> None:
    run, sink = _followed()
    run.catch_up([{"info": {"id": "msg_2"}, "parts": parts}])
    assert sink.events == []


def test_half_a_character_does_not_end_a_run() -> None:
    run, sink = _followed(answer("msg_2"))
    part = {"id": "prt_1", "messageID": "msg_2", "type": "text", "text": "so \ud83d"}
    run.catch_up([{"info": {"id": "msg_2"}, "parts": [part]}])
    assert sink.text == "so \ufffd"
    assert quote_id("\ud83d") == "%3F"
    error = {"name": "UnknownError", "data": {"message": "so \ud83d", "providerID": "\ud83d"}}
    assert failure_of_error(error, ()).message == "so \ufffd"
