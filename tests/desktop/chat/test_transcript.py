"""What a transcript makes of a history and of a run's events, without any window."""

from __future__ import annotations

from typing import Any

import pytest

from opencode_sync.desktop.chat.entry import (
    Entry,
    Note,
    TextPart,
    ToolPart,
    entry_of,
)
from opencode_sync.desktop.chat.transcript import Transcript
from opencode_sync.run_events import run_event
from opencode_sync.wire.oc_message_pb2 import OcMessage
from tests.desktop.chat.said import answer, with_reasoning, with_tool
from tests.support import backend as b


def take(transcript: Transcript, *pushes: dict[str, Any]) -> list[Entry | None]:
    return [transcript.apply(run_event(each["event"].event)) for each in pushes]


def message_updated(message: OcMessage, session_id: str = "ses_1") -> dict[str, Any]:
    made = b.event("message.updated", session_id=session_id)
    updated = made["event"].event.event.message_updated
    updated.session_id = session_id
    updated.message.CopyFrom(message)
    return made


def part_removed(message_id: str, part_id: str) -> dict[str, Any]:
    made = b.event("message.part.removed", session_id="ses_1")
    removed = made["event"].event.event.message_part_removed
    removed.message_id, removed.part_id = message_id, part_id
    return made


# --- One message ---


def test_an_answer_has_its_parts_in_their_order_and_what_it_took() -> None:
    message = with_tool(with_reasoning(answer("msg_1", "Done.", cost=0.5), "hm"), command="ls")
    message.assistant.usage.input = 7
    entry = entry_of(message)
    assert (entry.id, entry.role, entry.model) == ("msg_1", "assistant", "stub/stub-1")
    assert (entry.cost, entry.tokens.input, entry.error) == (0.5, 7, None)
    text, reasoning, tool = entry.parts.values()
    assert isinstance(text, TextPart)
    assert (text.text, text.reasoning) == ("Done.", False)
    assert isinstance(reasoning, TextPart)
    assert (reasoning.text, reasoning.reasoning) == ("hm", True)
    assert isinstance(tool, ToolPart)
    assert tool.call.input == {"command": "ls"}
    assert entry.text == "Done."


def test_a_message_without_parts_says_its_text() -> None:
    assert entry_of(OcMessage(user={"id": "msg_1", "text": "Hi"})).text == "Hi"


def test_what_opencode_added_to_a_message_is_left_out() -> None:
    message = answer("msg_1", "mine")
    message.assistant.parts.add().text.MergeFrom(
        type(message.assistant.parts[0].text)(id="p", text="not mine", synthetic=True)
    )
    assert entry_of(message).text == "mine"


def test_other_parts_are_notes_and_unknown_ones_nothing() -> None:
    message = answer("msg_1")
    parts = message.assistant.parts
    parts.add().file.path = "a.txt"
    parts.add().patch.path = "b.txt"
    parts.add().agent.agent_name = "plan"
    parts.add().subtask.subtask_id = "x"
    parts.add().compaction.summary = "so far"
    parts.add().retry.error = "429"
    parts.add().step_start.title = "nobody wants to know"
    parts.add()
    assert list(entry_of(message).parts.values()) == [
        Note("file", "a.txt"),
        Note("patch", "b.txt"),
        Note("agent", "plan"),
        Note("subtask", ""),
        Note("compaction", "so far"),
        Note("retry", "429"),
    ]


def test_an_answer_that_failed_says_why() -> None:
    message = answer("msg_1")
    message.assistant.error.api.message = "too many"
    message.assistant.error.api.status = 429
    assert "too many" in (entry_of(message).error or "")


# --- A run ---


def test_a_run_appears_as_its_events_come() -> None:
    transcript = Transcript("ses_1")
    prompt = transcript.add_prompt("Hi")
    take(
        transcript,
        message_updated(OcMessage(user={"id": "msg_0"})),
        message_updated(answer("msg_1", cost=0.25)),
        b.delta("let me see", "reasoning"),
        b.tool_updated("running"),
        b.tool_updated("completed"),
    )
    assert transcript.entries[0] is prompt
    assert (prompt.id, prompt.text) == ("msg_0", "Hi")
    reply = transcript.entries[1]
    assert (reply.id, reply.cost, reply.model) == ("msg_1", 0.25, "stub/stub-1")
    reasoning, tool = reply.parts.values()
    assert isinstance(reasoning, TextPart)
    assert reasoning.reasoning
    assert isinstance(tool, ToolPart)
    assert tool.call.status == "completed"


def test_pieces_become_one_text() -> None:
    transcript = Transcript("ses_1")
    first, *_ = take(transcript, b.delta("Hel"), b.delta("lo "), b.delta("you"), b.delta(""))
    assert first is not None
    assert first.text == "Hello you"
    take(transcript, b.delta("!"))
    assert first.text == "Hello you!"


def test_what_sessions_below_say_is_not_this_sessions() -> None:
    transcript = Transcript("ses_1")
    below = b.tool_updated()
    below["event"].event.event.message_part_updated.session_id = "ses_below"
    updated = message_updated(answer("msg_9"), "ses_below")
    assert take(transcript, b.delta("x", session_id="ses_below"), below, updated) == [None] * 3
    assert transcript.entries == []


def test_events_that_show_nothing_change_nothing() -> None:
    transcript = Transcript("ses_1")
    assert take(transcript, b.retry(), b.event()) == [None, None]


def test_a_part_that_is_taken_back_goes() -> None:
    transcript = Transcript("ses_1")
    (entry,) = take(transcript, b.delta("in vain"))
    assert entry is not None
    assert take(transcript, part_removed("msg_1", "prt_1")) == [entry]
    assert entry.text == ""
    gone = part_removed("msg_1", "prt_1"), part_removed("msg_7", "prt_1")
    assert take(transcript, *gone) == [None, None]


def test_the_end_of_a_run_has_the_last_word() -> None:
    transcript = Transcript("ses_1")
    prompt = transcript.add_prompt("Hi")
    take(transcript, b.delta("Hel"))  # and the rest was lost
    said = [answer("msg_1", "Hello", cost=0.5), answer("msg_2", "again")]
    settled = transcript.settle(said, "msg_0")
    assert prompt.id == "msg_0"
    assert [entry.text for entry in transcript.entries] == ["Hi", "Hello", "again"]
    assert settled == transcript.entries[1:]


def test_the_end_of_a_run_without_parts_takes_nothing_away() -> None:
    transcript = Transcript("ses_1")
    take(transcript, b.delta("Hello"))
    transcript.settle([answer("msg_1", cost=0.5)])
    assert [(entry.text, entry.cost) for entry in transcript.entries] == [("Hello", 0.5)]


def test_a_prompt_of_somebody_else_is_a_message_of_its_own() -> None:
    transcript = Transcript("ses_1")
    take(transcript, message_updated(OcMessage(user={"id": "msg_0", "agent": "plan"})))
    assert [(each.id, each.role, each.agent) for each in transcript.entries] == [
        ("msg_0", "user", "plan")
    ]


# --- Reading the history again ---


def test_what_was_read_before_stays_the_same_entry() -> None:
    transcript = Transcript("ses_1")
    transcript.load([entry_of(answer("msg_1", "one")), entry_of(answer("msg_2", "two"))])
    one, two = transcript.entries
    transcript.load([entry_of(answer(f"msg_{n}", f"{n}")) for n in (0, 1, 2)])
    assert transcript.entries[1:] == [one, two]
    assert [each.text for each in transcript.entries] == ["0", "1", "2"]


def test_messages_without_an_id_are_never_the_same() -> None:
    transcript = Transcript("ses_1")
    transcript.load([entry_of(answer("", "one")), entry_of(answer("", "two"))])
    transcript.load([entry_of(answer("", "one")), entry_of(answer("", "two"))])
    assert [each.text for each in transcript.entries] == ["one", "two"]


def test_a_prompt_that_reached_nobody_can_be_taken_back() -> None:
    transcript = Transcript("ses_1")
    prompt = transcript.add_prompt("Hi")
    transcript.remove(prompt)
    transcript.remove(prompt)
    assert transcript.entries == []


# --- What was cut off ---


def cut_off(text: str) -> tuple[Transcript, Entry]:
    """A message of which so much was shown when the connection was lost."""
    transcript = Transcript("ses_1")
    entry = entry_of(answer("msg_1", text))
    transcript.load([entry])
    entry.cut = True
    return transcript, entry


def test_a_history_that_says_less_takes_nothing_away_and_adds_its_tools() -> None:
    transcript, entry = cut_off("Half a")
    transcript.load([entry_of(with_tool(answer("msg_1", "Half"), output="x"))])
    assert (entry.text, entry.cut) == ("Half a", True)
    assert any(isinstance(part, ToolPart) for part in entry.parts.values())


def test_an_answer_that_failed_may_still_have_less() -> None:
    transcript, entry = cut_off("Half a")
    failed = answer("msg_1", "")
    failed.assistant.error.aborted.name = "MessageAbortedError"
    transcript.load([entry_of(failed)])
    assert (entry.text, entry.cut, entry.error_kind) == ("Half a", True, "aborted")


@pytest.mark.parametrize(
    ("said", "completed"), [("Half a sentence", 0), ("Half a", 1_700_000_000_000), ("Half", 1)]
)
def test_a_history_that_says_more_or_is_complete_counts(said: str, completed: int) -> None:
    transcript, entry = cut_off("Half a")
    transcript.load([entry_of(answer("msg_1", said, completed=completed))])
    assert (entry.text, entry.cut) == (said, False)


def test_a_failure_of_which_nobody_said_anything_is_one() -> None:
    message = answer("msg_1")
    message.assistant.error.SetInParent()
    entry = entry_of(message)
    assert (entry.error_kind, entry.error is not None) == ("unknown", True)
