"""Which of OpenCode's events belong to a run, and what it learns from them."""

from __future__ import annotations

import pytest

from opencode_sync.gateway.backends.opencode.runs import owner as opencode_run_owner
from opencode_sync.gateway.backends.opencode.runs.events import RunEvents
from opencode_sync.gateway.backends.opencode.runs.policy import REJECT_ALL, Ask, Policy
from opencode_sync.wire import ext_prompt_pb2 as pb
from tests.unit.gateway_opencode.run_doubles import (
    PROMPT,
    SESSION,
    Sink,
    answer,
    delta,
    event,
    part,
    status,
    user,
)

ASK_ALL = Policy(pb.IPC_ANSWER_POLICY_ASK, pb.IPC_ANSWER_POLICY_ASK, "no")


class Run:
    """The events of one run, and who listens."""

    def __init__(self, wanted=pb.IPC_RUN_EVENTS_ALL, policy=REJECT_ALL, sink=True):
        self.sink = Sink()
        self.rung = 0
        self.events = RunEvents(
            SESSION,
            PROMPT,
            wanted=wanted,
            policy=policy,
            sink=self.sink if sink else None,
            ring=self.ring,
        )

    def ring(self):
        self.rung += 1

    def get(self, *events):
        for each in events:
            self.events.event(each)
        return self


@pytest.fixture
def run():
    return Run()


def asked(kind="permission", message_id="msg_2", session_id=SESSION, identifier="per_1", **more):
    tool = {"messageID": message_id, "callID": "c"}
    return event(f"{kind}.asked", id=identifier, sessionID=session_id, tool=tool, **more)


# Whose...


def test_the_runs_own_messages_and_what_is_about_the_session(run):
    run.get(
        status("busy"),
        user(),
        part(PROMPT, "prt_1", "what?"),
        answer("msg_2"),
        part("msg_2", "prt_2", ""),
        delta("msg_2", "prt_2", "an"),
        delta("msg_2", "prt_2", "swer"),
        part("msg_2", "prt_2", "answer"),
        event("todo.updated", sessionID=SESSION, todos=[]),
    )
    assert len(run.sink.events) == 9
    assert run.sink.text == "answer"


def test_other_sessions_are_others(run):
    run.get(
        user("msg_7", "ses_2"),
        delta("msg_7", "prt_7", "x", "ses_2"),
        event("session.updated", info={"id": "ses_2", "parentID": "ses_9"}),
        event("session.updated", info="odd"),
        event("server.thing"),
    )
    assert run.sink.events == []


def test_what_another_program_asks_in_the_session_is_not_ours(run):
    run.get(
        user("msg_5"),
        part("msg_5", "prt_5", "theirs"),
        answer("msg_6", "msg_5"),
        part("msg_6", "prt_6", ""),
        delta("msg_6", "prt_6", "for them"),
        asked(message_id="msg_6"),
        event("message.removed", sessionID=SESSION, messageID="msg_6"),
    )
    assert run.sink.events == []
    assert not run.events.asks
    run.get(answer("msg_2"), delta("msg_2", "prt_2", "for us"))
    assert run.sink.text == "for us"


@pytest.mark.parametrize("written", [{"type": "compaction"}, {"text": "Go on.", "synthetic": True}])
def test_what_opencode_writes_in_the_middle_of_the_run_is_ours(run, written):
    run.get(
        user(),
        answer("msg_2"),
        user("msg_3"),
        part("msg_3", "prt_3", **written),
        answer("msg_4", "msg_3"),
        delta("msg_4", "prt_4", "summary"),
    )
    assert len(run.sink.events) == 6
    assert [each["info"]["id"] for each in run.events.documents()] == ["msg_2", "msg_4"]


def test_after_another_programs_prompt_what_opencode_writes_is_theirs(run):
    run.get(
        user(),
        answer("msg_2"),
        user("msg_5"),
        part("msg_5", "prt_5", "theirs"),
        user("msg_6"),
        part("msg_6", "prt_6", type="compaction"),
    )
    assert len(run.sink.events) == 2


def test_the_sessions_that_the_run_begins_belong_to_it(run):
    run.get(
        event("session.created", info={"id": "ses_2", "parentID": SESSION}),
        event("session.updated", info={"id": "ses_3", "parentID": "ses_2"}),
        answer("msg_8", "msg_7", "ses_3"),
        event("message.updated", sessionID="ses_3", info=None),
        delta("msg_8", "prt_8", "from below", "ses_3"),
        status("idle", "ses_3"),
        event("session.idle", sessionID="ses_3"),
        asked(message_id="msg_8", session_id="ses_3"),
    )
    assert len(run.sink.events) == 8
    assert run.sink.text == "from below"
    assert not run.events.idle
    assert [ask.id for ask in run.events.asks] == ["per_1"]
    assert run.events.documents() == []


# Messages of which the beginning was lost...


def test_a_message_of_which_nothing_is_known_is_looked_up_once(run):
    run.get(part("msg_2", "prt_2", ""), delta("msg_2", "prt_2", "text"), asked())
    assert list(run.events.unknown) == ["msg_2"]
    assert run.rung
    assert run.sink.events == []
    document = {
        "info": {"id": "msg_2", "role": "assistant", "parentID": PROMPT},
        "parts": [{"id": "prt_2", "messageID": "msg_2", "type": "text", "text": ""}],
    }
    run.events.looked_up(document, "/p")
    assert run.sink.kinds == [
        "message.part.updated",
        "message.part.delta",
        "permission.asked",
        "message.updated",
        "message.part.updated",
    ]
    assert [ask.id for ask in run.events.asks] == ["per_1"]


def test_an_answer_waits_until_it_is_known_what_it_answers(run):
    run.get(answer("msg_4", "msg_3"), answer("msg_4", "msg_3"), delta("msg_4", "prt_4", "x"))
    assert list(run.events.unknown) == ["msg_3"]
    run.events.looked_up(
        {
            "info": {"id": "msg_3", "role": "user"},
            "parts": [{"id": "prt_3", "messageID": "msg_3", "type": "text", "text": "theirs"}],
        },
        "/p",
    )
    run.get(delta("msg_4", "prt_4", "y"))
    assert run.sink.events == []


def test_an_answer_to_what_opencode_wrote_is_released_with_it(run):
    run.get(user(), answer("msg_4", "msg_3"), delta("msg_4", "prt_4", "x"), user("msg_3"))
    run.get(part("msg_3", "prt_3", type="compaction"))
    assert run.sink.kinds[1:] == [
        "message.updated",
        "message.part.updated",
        "message.updated",
        "message.part.delta",
    ]


@pytest.mark.parametrize("document", [None, {}, {"info": {}}, {"info": {}, "parts": {}}])
def test_a_look_up_that_yields_nothing(run, document):
    run.events.looked_up(document, "/p")
    assert run.sink.events == []


def test_what_is_kept_has_a_bound(run, monkeypatch):
    monkeypatch.setattr(opencode_run_owner, "_MOST_KEPT", 2)
    run.get(*(delta("msg_2", "prt_2", f"{number}") for number in range(5)))
    run.get(answer("msg_2"))
    assert run.sink.text == "01"


# Text...


def test_what_a_gap_swallowed_of_a_text_is_sent_when_the_whole_is_shown(run):
    run.get(answer("msg_2"), part("msg_2", "prt_2", ""), delta("msg_2", "prt_2", "one "))
    run.events.resubscribed()
    run.get(
        delta("msg_2", "prt_2", "three "),
        part("msg_2", "prt_2", "", replayed=True),
        delta("msg_2", "prt_2", "four "),
        part("msg_2", "prt_2", "one two three four"),
    )
    assert run.sink.text == "one two three four"
    made = [each for each in run.sink.events if each.HasField("delta")][-1]
    assert (made.delta.part_id, made.delta.part_type, made.replayed) == ("prt_2", "text", True)
    assert "gateway.resubscribed" in run.sink.kinds


def test_a_text_that_begins_after_the_gap_comes_piece_by_piece(run):
    run.get(answer("msg_2"))
    run.events.resubscribed()
    run.get(
        part("msg_2", "prt_2", "", type="reasoning"),
        delta("msg_2", "prt_2", "a"),
        delta("msg_2", "prt_3", "of unknown beginning"),
    )
    assert run.sink.text == "a"


def test_a_part_that_is_read_again_whole_brings_the_rest(run):
    run.get(answer("msg_2"), delta("msg_2", "prt_2", "on"))
    run.events.resubscribed()
    run.get(
        part("msg_2", "prt_2", "once", replayed=True),
        part("msg_2", "prt_2", "once", replayed=True),
        part("msg_2", "prt_3", "more", replayed=True),
    )
    assert run.sink.text == "oncemore"


def test_the_users_own_text_and_a_rewritten_one_bring_nothing(run):
    run.get(
        user(),
        part(PROMPT, "prt_1", "what?"),
        answer("msg_2"),
        part("msg_2", "prt_2", ""),
        delta("msg_2", "prt_2", "secret word  "),
        part("msg_2", "prt_2", "hidden and longer than before"),
        part("msg_2", "prt_3", type="step-start"),
        part("msg_2", "prt_4", 7),
        part("msg_2", 5, "x"),
        event("message.part.updated", sessionID=SESSION, part="odd"),
    )
    assert run.sink.text == "secret word  "


def test_the_rest_of_a_text_is_sent_in_the_end(run):
    run.get(answer("msg_2"), delta("msg_2", "prt_2", "beg"))
    parts = [{"id": "prt_2", "messageID": "msg_2", "type": "text", "text": "begun"}, None]
    run.events.catch_up([{"info": {"id": "msg_2"}, "parts": parts}, {"info": {}, "parts": None}])
    assert run.sink.text == "begun"


def test_deltas_of_a_kind_yet_to_come_are_handed_on(run):
    run.get(
        answer("msg_2"),
        delta("msg_2", "prt_2", "x", field="input"),
        delta("msg_2", "prt_2", None),
        delta("msg_2", None, "x"),
    )
    assert run.sink.kinds == ["message.updated", "message.part.delta"]


def test_the_messages_as_the_events_showed_them(run):
    run.get(
        user(),
        answer("msg_2"),
        part("msg_2", "prt_1", type="step-start"),
        part("msg_2", "prt_2", ""),
        delta("msg_2", "prt_2", "so far"),
        answer("msg_2", finish="stop"),
        answer("msg_3"),
    )
    first, second = run.events.documents()
    assert first["info"]["finish"] == "stop"
    assert [each.get("text") for each in first["parts"]] == [None, "so far"]
    assert second["parts"] == []


# What it learns...


def test_questions_for_the_gateway_are_answered_once(run):
    run.get(answer("msg_2"), asked(), asked(), asked(identifier=""), asked(identifier=None))
    run.get(asked("question", identifier="que_1", questions=[{}, {}]))
    run.get(asked("question", identifier="que_2", questions="odd"))
    assert list(run.events.asks) == [
        Ask("per_1", "/p", 0),
        Ask("que_1", "/p", 2),
        Ask("que_2", "/p", 1),
    ]
    assert [ask.is_question for ask in run.events.asks] == [False, True, True]
    assert list(run.events.open) == ["per_1", "que_1", "que_2"]


def test_questions_for_the_client_are_left_to_it():
    run = Run(pb.IPC_RUN_EVENTS_ATTENTION, ASK_ALL)
    run.get(answer("msg_2"), asked(), asked("question", identifier="que_1"))
    assert not run.events.asks
    assert run.sink.kinds == ["permission.asked", "question.asked"]
    assert list(run.events.open) == ["per_1", "que_1"]


@pytest.mark.parametrize(
    ("kind", "reply", "rejected"),
    [
        ("permission.replied", "once", False),
        ("permission.replied", "reject", True),
        ("question.replied", None, False),
        ("question.rejected", None, True),
    ],
)
def test_what_is_answered_is_open_no_more(run, kind, reply, rejected):
    run.get(answer("msg_2"), asked())
    run.get(event(kind, sessionID=SESSION, requestID="per_1", reply=reply))
    assert run.events.open == {}
    assert run.events.rejected is rejected


def test_retries_are_kept_once_and_shown():
    run = Run(pb.IPC_RUN_EVENTS_ATTENTION)
    again = status("retry", attempt=1, message="busy", next=5)
    run.get(status("busy"), again, again, status("retry", attempt=2, message="busy", next=9))
    run.get(event("session.status", sessionID=SESSION, status="odd"))
    assert [each.attempt for each in run.events.retries] == [1, 2]
    assert run.sink.kinds == ["session.status"] * 3


def test_the_sessions_state_and_errors(run):
    run.get(status("busy"))
    assert not run.events.idle
    run.get(status("idle"))
    assert run.events.idle
    run.get(status("retry", attempt=1))
    assert not run.events.idle
    run.get(event("session.idle", sessionID=SESSION))
    assert run.events.idle
    run.get(event("session.error", sessionID=SESSION, error={"name": "X"}))
    run.get(event("session.error", sessionID=SESSION, error=None))
    assert run.events.errors == [{"name": "X"}]
    run.get(event("session.deleted", sessionID=SESSION, info={"id": SESSION}))
    assert run.events.deleted
    rung = run.rung
    run.events.ended("released")
    assert run.events.is_over
    assert run.rung == rung + 1


def broken(message_id, **info):
    return answer(message_id, **{"finish": "unknown", "time": {"completed": 2}, **info})


def test_answers_that_break_off_one_after_another_are_noted(run):
    run.get(user(), broken("msg_2"), broken("msg_2"), broken("msg_2"), broken("msg_3"))
    assert not run.events.is_broken_off
    run.get(answer("msg_4", time={"created": 1}))
    assert not run.events.is_broken_off
    rung = run.rung
    run.get(broken("msg_4"))
    assert run.events.is_broken_off
    assert run.rung > rung
    run.get(answer("msg_5"), user("msg_1"))
    assert run.events.is_broken_off


@pytest.mark.parametrize(
    "between",
    [
        broken("msg_3", finish="tool-calls"),
        broken("msg_3", finish="stop"),
        broken("msg_3", finish=None, error={"name": "X"}),
        broken("msg_3", time="odd"),
        broken("msg_3", time={"created": 1}),
        broken("msg_3", parent="msg_9"),
        broken("msg_3", session_id="ses_2"),
    ],
    ids=["tool", "whole", "failed", "odd", "goes on", "not ours", "another session"],
)
def test_only_answers_that_break_off_count(run, between):
    run.get(user(), broken("msg_2"), between, broken("msg_4"))
    assert not run.events.is_broken_off


def test_an_answer_with_a_tool_does_not_break_off(run):
    run.get(user(), broken("msg_2"), answer("msg_3"), part("msg_3", "prt_3", type="tool"))
    run.get(broken("msg_3"), broken("msg_4"), broken("msg_5"))
    assert not run.events.is_broken_off
    run.get(broken("msg_6"))
    assert run.events.is_broken_off


@pytest.mark.parametrize(
    "run", [Run(pb.IPC_RUN_EVENTS_NONE), Run(sink=False)], ids=["none wanted", "nobody there"]
)
def test_without_a_listener_all_is_noted_and_nothing_sent(run):
    run.get(answer("msg_2"), delta("msg_2", "prt_2", "x"), asked())
    run.events.resubscribed()
    run.get(part("msg_2", "prt_2", "xyz"))
    assert run.sink.events == []
    assert run.events.documents()[0]["parts"][0]["text"] == "xyz"
    assert run.events.asks
