"""One message of many parts: all of them are drawn, in turns, in their order."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QTextBrowser
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat.budget import Budget
from opencode_sync.desktop.chat.entry import Entry, Note, Part, TextPart, ToolPart
from opencode_sync.desktop.chat.folds import NoteView, ToolView
from opencode_sync.desktop.chat.history_view import HistoryView
from opencode_sync.desktop.chat.message_view import MessageView
from opencode_sync.desktop.chat.transcript import Transcript
from opencode_sync.messages import ToolCall
from tests.desktop.watch import Watch, never_held


def tool(number: int) -> ToolPart:
    return ToolPart(ToolCall(f"call_{number}", "bash", "completed", {"command": f"do {number}"}))


def many(count: int) -> Entry:
    return Entry("msg_1", "assistant", {f"part_{n}": tool(n) for n in range(count)})


def titles(view: MessageView) -> list[str]:
    """What the parts are called, from the top."""
    QApplication.processEvents()
    shown = [each for each in view.findChildren(ToolView) if each.isVisible()]
    shown.sort(key=lambda each: each.mapTo(view, each.rect().topLeft()).y())
    return [each.handle.text().removeprefix("bash: do ").split()[0] for each in shown]


@pytest.fixture
def view(qtbot: QtBot) -> MessageView:
    made = MessageView(many(100))
    qtbot.addWidget(made)
    made.resize(400, 3_000)
    made.show()
    while not made.sync(Budget(0)):
        pass
    return made


def test_without_time_each_turn_draws_one_part_more(qtbot: QtBot) -> None:
    view = MessageView(many(100))
    qtbot.addWidget(view)
    seen = []
    while not view.sync(Budget(0)):
        seen.append(len(view.findChildren(ToolView)))
    assert seen == list(range(1, 100))
    assert len(view.findChildren(ToolView)) == 100


def test_parts_are_in_their_order_wherever_new_ones_come(view: MessageView) -> None:
    assert titles(view) == [str(number) for number in range(100)]
    parts = view.entry.parts
    view.entry.parts = {"new": tool(1_000), **parts, "last": tool(1_001)}
    view.look_again()
    while not view.sync(Budget(0)):
        pass
    assert titles(view) == ["1000", *(str(number) for number in range(100)), "1001"]


@pytest.mark.parametrize(("role", "name"), [("user", "What you wrote"), ("assistant", "Answer")])
def test_texts_that_the_tab_key_leads_to_have_a_name(qtbot: QtBot, role: str, name: str) -> None:
    view = MessageView(Entry("msg_1", role, {"part_1": TextPart("hello")}))
    qtbot.addWidget(view)
    assert view.sync(Budget(1))
    assert [each.accessibleName() for each in view.findChildren(QTextBrowser)] == [name]


def test_what_is_taken_away_goes(view: MessageView) -> None:
    del view.entry.parts["part_0"], view.entry.parts["part_50"]
    view.look_again()
    assert view.sync(Budget(1))
    assert titles(view) == [str(number) for number in range(100) if number not in (0, 50)]


def test_what_changes_while_it_is_drawn_is_seen(qtbot: QtBot) -> None:
    view = MessageView(many(3))
    qtbot.addWidget(view)
    view.show()
    assert not view.sync(Budget(0))
    view.entry.parts["part_0"] = Note("file", "a.txt")
    view.look_again()
    while not view.sync(Budget(0)):
        pass
    assert [each.text() for each in view.findChildren(NoteView)] == ["File: a.txt"]
    assert titles(view) == ["1", "2"]


@pytest.mark.parametrize("kind", ["tool", "text"])
def test_an_answer_of_a_thousand_parts_is_drawn_to_its_end(qtbot: QtBot, kind: str) -> None:
    entry = many(1_000)
    if kind == "text":
        entry.parts = {name: TextPart("hello") for name in entry.parts}
    transcript = Transcript("ses_1")
    transcript.load([entry])

    def draw(watch: Watch) -> None:
        history = HistoryView()
        qtbot.addWidget(history)
        history.resize(600, 700)
        history.show()
        watch.during(lambda: history.show_transcript(transcript))
        watch.until(lambda: not history.busy)
        assert len(history.views[0]._views) == 1_000

    never_held(draw)


def test_a_call_with_an_input_of_any_length_opens_at_once(qtbot: QtBot) -> None:
    call = ToolCall("call_1", "write", "completed", {"content": "x = 1\n" * 3_000_000}, output="")

    def open_it(watch: Watch) -> None:
        view = ToolView()
        qtbot.addWidget(view)
        view.show()
        watch.during(lambda: view.show_call(call))
        watch.during(view.handle.click)
        given = view.findChildren(QPlainTextEdit)[0].toPlainText()
        assert "characters more)" in given

    never_held(open_it)


# --- Answers without an end ---


def unfinished(*parts: Part) -> Entry:
    """An answer that has no end, and nobody is known to write."""
    entry = Entry("msg_1", "assistant", {f"part_{n}": part for n, part in enumerate(parts)})
    entry.left = True
    return entry


def told(qtbot: QtBot, entry: Entry) -> str:
    """What is said of its end; "" for nothing."""
    view = MessageView(entry)
    qtbot.addWidget(view)
    view.show()
    assert view.sync(Budget(10))
    label = view.labels[-1]
    return label.text() if label.isVisible() else ""


RUNNING = ToolPart(ToolCall("call_1", "bash", "running", {}))
DONE = ToolPart(ToolCall("call_1", "bash", "completed", {}, output=""))
NOT_FINISHED = "Not finished: cut off, or another program is still writing it."


@pytest.mark.parametrize(
    "parts",
    [(), (TextPart(""),), (TextPart("Hm", reasoning=True),), (TextPart("I look."), RUNNING)],
    ids=["nothing", "no words", "thoughts", "a tool at work"],
)
def test_an_answer_that_nobody_goes_on_with_says_so(qtbot: QtBot, parts: tuple[Part, ...]) -> None:
    assert told(qtbot, unfinished(*parts)) == NOT_FINISHED


@pytest.mark.parametrize("part", [TextPart("Words"), DONE, Note("file", "a.txt")])
def test_an_answer_with_something_to_show_needs_no_explanation(qtbot: QtBot, part: Part) -> None:
    assert told(qtbot, unfinished(part)) == ""


def test_an_end_without_words_is_an_end(qtbot: QtBot) -> None:
    entry = unfinished()
    entry.complete = True
    assert told(qtbot, entry) == ""


def test_of_an_answer_that_is_being_written_nothing_is_said(qtbot: QtBot) -> None:
    transcript = Transcript("ses_1")
    old, new = Entry("msg_1", "assistant"), Entry("msg_2", "assistant")
    transcript.load([Entry("msg_0", "user"), old, new])
    transcript.mark_left(at_work=True)
    assert [told(qtbot, each) for each in transcript.entries] == ["", NOT_FINISHED, ""]
    transcript.mark_left(at_work=False)
    assert told(qtbot, new) == NOT_FINISHED
