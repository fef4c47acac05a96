"""Pushes: whole, in order, counted when there is no room, and never after the end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from google.protobuf.message import EncodeError

from opencode_sync.gateway.pushes import EventEncoder, Pushes
from opencode_sync.wire import ext_event_pb2
from tests.unit.gateway.doubles import PATIENCE, RecordingLink

EVENT = ext_event_pb2.IpcEvent(type="session.updated", session_id="ses_1", properties_json="{}")


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink()


@pytest.fixture
def ends() -> list[str]:
    return []


def pushes_of(link: RecordingLink, request_id: int = 7, **options: Any) -> Pushes:
    options = {"encode": EventEncoder(), "max_message_size": 1 << 20} | options
    options.setdefault("on_end", lambda reason: None)
    return Pushes(link, request_id, **options)


class TestPushes:
    @pytest.mark.parametrize("request_id", [1, 127, 128, 2**32, 2**64 - 1])
    @pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16_384, 300_000])
    @pytest.mark.parametrize("missed", [0, 1, 127, 128, 100_000])
    def test_push_is_what_protobuf_would_have_made(
        self, link: RecordingLink, request_id: int, size: int, missed: int
    ) -> None:
        event = ext_event_pb2.IpcEvent(properties_json="x" * size)
        pushes = pushes_of(link, request_id)
        pushes._missed = missed
        pushes.event(event)
        (push,) = link.sent
        assert push.request_id == request_id
        assert push.event == ext_event_pb2.IpcEventPush(event=event, missed=missed)

    def test_begin_events_end(self, link: RecordingLink) -> None:
        pushes = pushes_of(link)
        pushes.opened()
        pushes.event(EVENT)
        assert pushes.end("enough")
        assert [answer.WhichOneof("payload") for answer in link.sent] == [
            "subscribed",
            "event",
            "subscription_end",
        ]
        assert link.sent[2].subscription_end.reason == "enough"
        assert {answer.request_id for answer in link.sent} == {7}

    def test_missed_events_are_counted_until_one_fits(self, link: RecordingLink) -> None:
        pushes = pushes_of(link)
        pushes.event(EVENT)
        link.room = False
        for _ in range(5):
            pushes.event(EVENT)
        link.room = True
        pushes.event(EVENT)
        pushes.event(EVENT)
        assert [push.event.missed for push in link.sent] == [0, 5, 0]

    def test_begin_and_end_find_room_in_any_case(self, link: RecordingLink) -> None:
        link.room = False
        pushes = pushes_of(link)
        pushes.opened()
        for _ in range(3):
            pushes.event(EVENT)
        assert pushes.end("enough")
        assert [answer.WhichOneof("payload") for answer in link.sent] == [
            "subscribed",
            "subscription_end",
        ]
        reason = link.sent[1].subscription_end.reason
        assert reason == "enough (3 events before the end were dropped)"

    def test_nothing_after_the_end(self, link: RecordingLink) -> None:
        pushes = pushes_of(link)
        assert not pushes.end("too early")  # nobody was told of a begin, so there is no end either
        pushes.opened()
        pushes.event(EVENT)
        assert link.sent == []
        assert pushes.shut() == 0

    def test_shut_tells_what_was_missed(self, link: RecordingLink) -> None:
        pushes = pushes_of(link)
        link.room = False
        pushes.event(EVENT)
        assert pushes.shut() == 1
        pushes.event(EVENT)
        assert pushes.shut() == 1

    def test_too_large_events_are_missed(self, link: RecordingLink) -> None:
        pushes = pushes_of(link, max_message_size=100)
        pushes.event(ext_event_pb2.IpcEvent(properties_json="x" * 100))
        pushes.event(EVENT)
        (push,) = link.sent
        assert push.event.missed == 1

    def test_unencodable_events_are_missed(self, link: RecordingLink) -> None:
        class Huge:
            def SerializeToString(self) -> bytes:
                raise EncodeError("too large")

        pushes = pushes_of(link)
        pushes.event(Huge())  # type: ignore[arg-type]
        pushes.event(EVENT)
        (push,) = link.sent
        assert push.event.missed == 1

    def test_end_of_the_backend_is_passed_on(self, link: RecordingLink, ends: list[str]) -> None:
        pushes = pushes_of(link, on_end=ends.append)
        pushes.ended("gone")
        assert ends == ["gone"]
        assert link.sent == []

    def test_end_waits_for_a_push_on_its_way(self) -> None:
        entered, go_on = threading.Event(), threading.Event()

        class SlowLink(RecordingLink):
            def offer(self, message: bytes, *, urgent: bool = False) -> bool:
                if not urgent:
                    entered.set()
                    assert go_on.wait(PATIENCE)
                return super().offer(message, urgent=urgent)

        link = SlowLink()
        pushes = pushes_of(link)
        pushes.opened()
        pushing = threading.Thread(target=pushes.event, args=(EVENT,))
        pushing.start()
        assert entered.wait(PATIENCE)
        ending = threading.Thread(target=pushes.end, args=("enough",))
        ending.start()
        go_on.set()
        pushing.join(PATIENCE)
        ending.join(PATIENCE)
        assert [answer.WhichOneof("payload") for answer in link.sent] == [
            "subscribed",
            "event",
            "subscription_end",
        ]


class TestEventEncoder:
    def test_the_same_event_is_encoded_once(self) -> None:
        encode = EventEncoder()
        first = encode(EVENT)
        assert first == EVENT.SerializeToString()
        assert encode(EVENT) is first
        other = ext_event_pb2.IpcEvent(type="other")
        assert encode(other) == other.SerializeToString()
        assert encode(EVENT) == first

    def test_large_ones_are_not_kept(self) -> None:
        encode = EventEncoder()
        large = ext_event_pb2.IpcEvent(properties_json="x" * (2 << 20))
        assert encode(large) == large.SerializeToString()
        assert encode._newest is None
