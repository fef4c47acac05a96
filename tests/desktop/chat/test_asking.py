"""What a run asks: permissions by buttons, the model's questions by choices."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat import form as forms
from opencode_sync.desktop.chat.asked import Questions
from opencode_sync.desktop.chat.folds import ToolView
from opencode_sync.desktop.chat.form import Form
from opencode_sync.desktop.chat.questions import PermissionForm, QuestionForm
from opencode_sync.gateway import BackendError
from opencode_sync.messages import ToolCall
from opencode_sync.run_events import PermissionAsked, QuestionAsked, QuestionItem, QuestionOption
from opencode_sync.wire import ipc_pb2
from tests.desktop.chat.conftest import ChatBackend, Open, ScriptedRun, session
from tests.desktop.chat.panes import PATIENCE, wait_form, write
from tests.desktop.watch import Watch, never_held
from tests.support import backend as b
from tests.unit.gateway.doubles import Held

ALLOW, DENY, ALLOW_ALL = 1, 2, 3
DIRECT = Qt.FindChildOption.FindDirectChildrenOnly


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "GUARD_MS", 0)


@pytest.fixture
def run(pane: ChatPane, show: Open, backend: ChatBackend) -> ScriptedRun:
    show()
    write(pane, "Hi")
    return backend.run()


def permission(qtbot: QtBot, pane: ChatPane) -> PermissionForm:
    form = wait_form(qtbot, pane, PermissionForm)
    assert isinstance(form, PermissionForm)
    return form


def question(qtbot: QtBot, pane: ChatPane) -> QuestionForm:
    form = wait_form(qtbot, pane, QuestionForm)
    assert isinstance(form, QuestionForm)
    return form


def wait_answered(qtbot: QtBot, pane: ChatPane) -> None:
    qtbot.waitUntil(lambda: pane.questions.form is None, timeout=PATIENCE)


# --- Permissions ---


@pytest.mark.parametrize(
    ("button", "reply"), [("once", ALLOW), ("always", ALLOW_ALL), ("reject", DENY)]
)
def test_a_permission_is_answered_by_a_button(
    qtbot: QtBot,
    pane: ChatPane,
    run: ScriptedRun,
    backend: ChatBackend,
    button: str,
    reply: int,
) -> None:
    run.push(b.permission_asked("per_7"))
    form = permission(qtbot, pane)
    assert pane.run_bar.text == "Waiting for your answer"
    assert "ls" in form.findChildren(QPlainTextEdit)[0].toPlainText()
    qtbot.mouseClick(getattr(form, button), Qt.MouseButton.LeftButton)
    wait_answered(qtbot, pane)
    (request,) = backend.replies
    assert (request.permission_id, request.reply) == ("per_7", reply)
    assert not request.HasField("message")
    assert request.directory == "/project"
    assert not pane.questions.isVisible()


def test_a_rejection_may_say_what_to_do_instead(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    run.push(b.permission_asked())
    form = permission(qtbot, pane)
    qtbot.keyClicks(form.why, "use git ls-files")
    qtbot.keyClick(form.why, Qt.Key.Key_Return)
    wait_answered(qtbot, pane)
    assert (backend.replies[0].reply, backend.replies[0].message) == (DENY, "use git ls-files")


def test_the_keyboard_stays_where_it_is_when_a_question_comes(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    pane.composer.setPlainText("half a sen")
    pane.composer.setFocus()
    run.push(b.permission_asked())
    form = permission(qtbot, pane)
    QApplication.processEvents()
    assert pane.focusWidget() is pane.composer
    qtbot.keyClick(pane.composer, Qt.Key.Key_Return)
    assert pane.questions.form is form
    way = []
    for _ in range(6):
        way.append(pane.focusWidget())
        qtbot.keyClick(way[-1], Qt.Key.Key_Tab)
    stops = [pane.composer, form.about, form.once, form.always, form.reject, form.why]
    assert [each.accessibleName() or each.text() for each in way] == [
        each.accessibleName() or each.text() for each in stops
    ]


def test_a_question_takes_the_keyboard_while_nothing_is_being_written(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    pane.composer.setFocus()
    run.push(b.permission_asked("per_1"), b.question_asked("que_1"))
    form = permission(qtbot, pane)
    assert pane.focusWidget() is form.about
    qtbot.keyClick(form.about, Qt.Key.Key_Return)  # of somebody who was about to send
    qtbot.keyClick(form.about, Qt.Key.Key_Space)
    assert form.isEnabled()
    qtbot.keyClick(form.about, Qt.Key.Key_Tab)
    qtbot.keyClick(form.once, Qt.Key.Key_Space)
    following = question(qtbot, pane)
    assert pane.focusWidget() is following.items[0].buttons[0]
    following.dismiss.setFocus()
    following.dismiss.click()
    wait_answered(qtbot, pane)
    assert pane.focusWidget() is pane.composer


def test_a_question_that_goes_by_itself_leaves_the_keyboard_in_the_message_box(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    pane.composer.setFocus()
    run.push(b.permission_asked("per_1"))
    form = permission(qtbot, pane)
    assert pane.focusWidget() is form.about
    pane.stop()
    assert pane.focusWidget() is pane.composer


def test_the_hint_of_what_to_do_instead_can_be_read(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    pane.resize(420, 700)
    run.push(b.permission_asked())
    why = permission(qtbot, pane).why
    QApplication.processEvents()
    assert why.fontMetrics().horizontalAdvance(why.placeholderText()) < why.width()


@pytest.mark.parametrize(
    ("patterns", "metadata", "shown"),
    [
        (
            ("echo hello", "sleep 1"),
            {"command": "echo hello; sleep 1"},
            "echo hello; sleep 1",
        ),
        (("ls",), {"command": "ls"}, "ls"),
        (("rm -rf /x",), {"command": "cat y"}, "rm -rf /x\ncat y"),
        (
            ("tmp/x/y.txt",),
            {"filepath": "/tmp/x/y.txt", "diff": "--- a\n+++ b"},
            "/tmp/x/y.txt\ndiff:\n--- a\n+++ b",
        ),
        (("/etc/*",), {"filepath": "/etc/hostname"}, "/etc/*\n/etc/hostname"),
        ((), {}, "*"),
    ],
)
def test_what_is_asked_for_is_said_once(
    qtbot: QtBot, patterns: tuple[str, ...], metadata: dict[str, Any], shown: str
) -> None:
    form = PermissionForm(PermissionAsked("per_1", "bash", patterns, metadata, "", "ses_1", ""))
    qtbot.addWidget(form)
    assert form.about.toPlainText() == shown


def test_questions_wait_for_their_turn_and_are_asked_once(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    run.push(b.permission_asked("per_1"), b.question_asked("que_1"), b.permission_asked("per_1"))
    permission(qtbot, pane).once.click()
    question(qtbot, pane).dismiss.click()
    wait_answered(qtbot, pane)
    assert len(backend.replies) == 2


def test_a_question_that_is_read_again_is_the_same(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    run.push(b.permission_asked("per_1"))
    form = permission(qtbot, pane)
    talk = pane._talks.shown
    assert talk is not None
    (asked,) = talk.questions.items
    talk.questions.add(asked)  # as the gateway may bring it after a loss of OpenCode's events
    assert talk.questions.items == [asked]
    assert pane.questions.form is form


def test_closing_while_an_answer_is_on_its_way(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    held = Held(None)
    backend.script["reply_permission"] = held
    run.push(b.permission_asked())
    permission(qtbot, pane).once.click()
    held.wait_entered()
    failures: list[object] = []
    pane.failed.connect(failures.append)
    pane.shutdown()
    held.released.set()
    assert run.aborted.wait(PATIENCE / 1000)
    assert failures == []


def test_a_question_that_somebody_else_has_answered_goes(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    run.push(b.permission_asked("per_1"))
    permission(qtbot, pane)
    run.push(b.event("permission.replied", properties_json='{"requestID": "per_1"}'))
    wait_answered(qtbot, pane)
    run.push(b.question_asked("que_1"))
    question(qtbot, pane)
    run.push(b.event("question.rejected", properties_json='{"requestID": "que_1"}'))
    wait_answered(qtbot, pane)
    assert backend.replies == []


def test_an_answer_that_comes_too_late_is_told(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    def refuse(request: Any) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "there is no such question")

    backend.script["reply_permission"] = refuse
    run.push(b.permission_asked())
    form = permission(qtbot, pane)
    with qtbot.waitSignal(pane.failed, timeout=PATIENCE) as failed:
        form.once.click()
    assert "no such question" in str(failed.args[0])
    wait_answered(qtbot, pane)


def test_an_answer_that_did_not_get_through_can_be_given_again(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    def refuse(request: Any) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "OpenCode is busy, try again")

    backend.script["reply_question"] = refuse
    run.push(b.question_asked("que_1"))
    form = question(qtbot, pane)
    with qtbot.waitSignal(pane.failed, timeout=PATIENCE) as failed:
        form.dismiss.click()
        assert not form.isEnabled()
    assert "try again" in str(failed.args[0])
    assert pane.questions.form is form
    assert form.isEnabled()
    del backend.script["reply_question"]
    form.dismiss.click()
    wait_answered(qtbot, pane)
    assert len(backend.replies) == 1


def test_the_end_of_the_run_is_the_end_of_its_questions(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    run.push(b.permission_asked())
    permission(qtbot, pane)
    run.end(b.ran())
    wait_answered(qtbot, pane)


def test_stopping_takes_the_question_away(qtbot: QtBot, pane: ChatPane, run: ScriptedRun) -> None:
    run.push(b.permission_asked())
    permission(qtbot, pane)
    pane.stop()
    assert pane.questions.form is None
    run.push(b.permission_asked("per_2"))
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)
    assert pane.questions.form is None


def test_a_question_waits_for_who_comes_back(
    qtbot: QtBot, pane: ChatPane, show: Open, run: ScriptedRun
) -> None:
    show(session("ses_2"))
    run.push(b.permission_asked())
    talk = pane._talks.running["ses_1"]
    qtbot.waitUntil(lambda: bool(talk.questions.items), timeout=PATIENCE)
    assert pane.questions.form is None
    show()
    assert isinstance(pane.questions.form, PermissionForm)


def test_what_is_asked_cannot_hide_itself(qtbot: QtBot) -> None:
    asked = PermissionAsked(
        id="per_1",
        permission="bash\n<b>harmless</b>",
        patterns=("rm -rf \u202e/ #", "rm -rf \u202e/ #"),
        metadata={"command": "rm -rf \u202e/ #", "diff": "+\x1b[8mline", "tries": 3, "no": None},
        tool_call_id="",
        session_id="ses_1",
        directory="",
    )
    form = PermissionForm(asked)
    qtbot.addWidget(form)
    shown = form.findChildren(QPlainTextEdit)[0].toPlainText()
    assert "rm -rf \\u202e/ #" in shown
    assert "\\x1b[8mline" in shown
    assert "tries: 3" in shown
    assert "\u202e" not in shown


# --- Questions ---


def asked_item(*labels: str, multiple: bool = False, custom: bool = False) -> QuestionItem:
    options = tuple(QuestionOption(label, f"about {label}") for label in labels)
    return QuestionItem("Pick & choose", "Which one?", options, multiple, custom)


@pytest.fixture
def ask(qtbot: QtBot) -> Any:
    """``ask(item, ...)``: a form, and what it replies."""
    replies: list[Any] = []

    def ask(*items: QuestionItem) -> tuple[QuestionForm, list[Any]]:
        form = QuestionForm(QuestionAsked("que_1", items, "ses_1", ""))
        qtbot.addWidget(form)
        form.replied.connect(replies.append)
        form.show()
        return form, replies

    return ask


def test_one_of_several(ask: Any) -> None:
    form, replies = ask(asked_item("A", "B"))
    assert not form.answer.isEnabled()
    first, second = form.items[0].buttons
    assert second.text() == "B — about B"
    first.click()
    second.click()
    form.answer.click()
    assert replies == [[["B"]]]
    assert not form.isEnabled()


def test_any_of_several_and_one_of_ones_own(qtbot: QtBot, ask: Any) -> None:
    form, replies = ask(asked_item("A", "B", "C", multiple=True, custom=True))
    for button in form.items[0].buttons[:2]:
        button.click()
    qtbot.keyClicks(form.items[0].other, "D")
    form.answer.click()
    assert replies == [[["A", "B", "D"]]]


def test_an_answer_of_ones_own_takes_the_place_of_the_others(qtbot: QtBot, ask: Any) -> None:
    form, replies = ask(asked_item("A", "B", custom=True))
    (item,) = form.items
    item.buttons[0].click()
    qtbot.keyClicks(item.other, "C")
    assert not item.buttons[0].isEnabled()
    form.answer.click()
    assert replies == [[["C"]]]


def test_a_question_without_options_is_answered_in_words(qtbot: QtBot, ask: Any) -> None:
    form, replies = ask(asked_item())
    qtbot.keyClicks(form.items[0].other, "blue")
    form.answer.click()
    assert replies == [[["blue"]]]


def test_each_question_has_to_be_answered(ask: Any) -> None:
    form, replies = ask(asked_item("A"), asked_item("B"))
    form.items[0].buttons[0].click()
    assert not form.answer.isEnabled()
    form.items[1].buttons[0].click()
    form.answer.click()
    assert replies == [[["A"], ["B"]]]


def test_dismissing_answers_nothing(ask: Any) -> None:
    form, replies = ask(asked_item("A"))
    form.dismiss.click()
    assert replies == [None]


def test_many_questions_scroll(ask: Any) -> None:
    form, _ = ask(*(asked_item("A", "B", "C") for _ in range(20)))
    assert form.sizeHint().height() < 400


def test_the_models_question_reaches_the_user_and_the_answer_the_model(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    run.push(b.question_asked("que_1", "Which colour?"))
    form = question(qtbot, pane)
    form.items[0].buttons[1].click()
    form.answer.click()
    wait_answered(qtbot, pane)
    (request,) = backend.replies
    assert request.question_id == "que_1"
    assert [list(each.labels) for each in request.answers] == [["blue"]]


def test_a_question_of_any_length_is_cut_and_says_so(ask: Any) -> None:
    def ask_all(watch: Watch) -> None:
        watch.during(lambda: ask(QuestionItem("", "word " * 200_000, (), False, True)))
        watch.during(lambda: ask(QuestionItem("", "x\n" * 100_000, (), False, True)))

    never_held(ask_all)
    form, _ = ask(QuestionItem("", "x\n" * 1_000, (), False, True))
    said = [label.text() for label in form.items[0].findChildren(QLabel)]
    assert any(text.endswith("x... (1801 characters more)") for text in said)


def test_of_many_possible_answers_some_are_shown(ask: Any) -> None:
    form, replies = ask(asked_item(*(f"L{number}" for number in range(3_000))))
    assert len(form.items[0].buttons) == 50
    said = [label.text() for label in form.items[0].findChildren(QLabel)]
    assert "2950 possible answers more are not shown." in said
    form.items[0].buttons[49].click()
    form.answer.click()
    assert replies == [[["L49"]]]


def test_of_many_questions_some_are_asked_and_the_others_stay_without_an_answer(ask: Any) -> None:
    form, replies = ask(*(asked_item("A") for _ in range(500)))
    assert len(form.items) == 20
    assert any("480 questions more" in label.text() for label in form.findChildren(QLabel))
    for item in form.items:
        item.buttons[0].click()
    form.answer.click()
    assert replies == [[["A"]] * 20 + [[]] * 480]


def of_sizes(*sizes: tuple[int, int, int]) -> list[QuestionItem]:
    """Questions of so many characters, lines and possible answers, with none of one's own."""
    return [
        QuestionItem(
            "",
            "\n" * (lines - 1) + "x" * (characters - lines + 1),
            tuple(QuestionOption(f"L{number}", "") for number in range(options)),
            False,
            False,
        )
        for characters, lines, options in sizes
    ]


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ([(4_000, 1, 50)] * 20, [5] * 20),
        ([(4_000, 100, 3_000)] * 500, [5] * 20),
        ([(100, 1, 60), (4_000, 1, 2), (4_000, 1, 60)], [49, 2, 49]),
        ([(4_000, 1, 60)], [50]),
        ([(20, 1, 50)] * 2, [50, 50]),
    ],
)
def test_all_questions_together_have_no_more_than_the_window_can_make_at_once(
    ask: Any, sizes: list[tuple[int, int, int]], options: list[int]
) -> None:
    asked = of_sizes(*sizes)
    form, replies = ask(*asked)
    assert [len(item.buttons) for item in form.items] == options
    texts = [item.findChildren(QLabel)[0].text() for item in form.items]
    assert sum(text.count("\n") + 1 for text in texts) <= 100
    shown = [text.split("... (")[0] for text in texts]
    assert sum(len(text) for text in shown) <= 4_000
    for item, each in zip(form.items, asked, strict=False):
        said = [label.text() for label in item.findChildren(QLabel)]
        more = len(each.options) - len(item.buttons)
        assert (f"{more} possible answers more are not shown." in said) is (more > 0)
        item.buttons[-1].click()
    form.answer.click()  # each can be answered
    left_out = len(asked) - len(form.items)
    assert replies == [[[f"L{count - 1}"] for count in options] + [[]] * left_out]


def test_what_short_questions_leave_is_there_for_a_long_one(ask: Any) -> None:
    form, _ = ask(*of_sizes((10, 1, 1), (10_000, 1, 1)))
    first, second = (item.findChildren(QLabel)[0].text() for item in form.items)
    assert first == "x" * 10
    assert second == "x" * 3_990 + "... (6010 characters more)"


def test_many_long_questions_do_not_hold_the_window(qtbot: QtBot, ask: Any) -> None:
    asked = of_sizes(*[(4_000, 1, 50)] * 20)

    def ask_all(watch: Watch) -> None:
        watch.during(lambda: ask(*asked))
        watch.during(QApplication.processEvents)

    never_held(ask_all)


def test_a_permission_of_any_length_is_cut_and_says_so(qtbot: QtBot) -> None:
    asked = PermissionAsked(
        id="per_1",
        permission="bash",
        patterns=("rm " * 1_000_000,),
        metadata={"command": "ls;" * 1_000_000, "files": ["x" * 1_000] * 10_000},
        tool_call_id="",
        session_id="ses_1",
        directory="",
    )
    never_held(lambda watch: watch.during(lambda: qtbot.addWidget(PermissionForm(asked))))


@pytest.mark.parametrize(
    ("patterns", "metadata"),
    [
        (
            tuple(f"echo {n}" for n in range(3_000)),
            {"command": " && ".join(f"echo {n}" for n in range(3_000))},
        ),
        (tuple(f"f/{n}" for n in range(20_000)), {"path": "/x"}),
        (("x",), {f"k{n}": "v" * 50 for n in range(20_000)}),
        (tuple("\u202e" * n for n in range(1_000)), {"command": "\U000e0001" * 50_000}),
    ],
    ids=["pieces", "patterns", "details", "invisible"],
)
def test_a_permission_of_a_models_own_making_does_not_hold_the_window(
    qtbot: QtBot, patterns: tuple[str, ...], metadata: dict[str, Any]
) -> None:
    asked = PermissionAsked("per_1", "bash", patterns, metadata, "", "ses_1", "")
    never_held(lambda watch: watch.during(lambda: qtbot.addWidget(PermissionForm(asked))))


def shown_of(
    qtbot: QtBot, patterns: tuple[str, ...], metadata: dict[str, Any]
) -> tuple[str, list[str]]:
    """What a permission shows in its box, and what it says elsewhere, but for its title."""
    form = PermissionForm(PermissionAsked("per_1", "bash", patterns, metadata, "", "ses_1", ""))
    qtbot.addWidget(form)
    labels = [each.text() for each in form.findChildren(QLabel, None, DIRECT)]
    return form.about.toPlainText(), labels[1:]


def test_patterns_that_are_not_shown_are_said_not_to_be(qtbot: QtBot) -> None:
    text, said = shown_of(qtbot, tuple(f"f/{n}" for n in range(2_000)), {"path": "/x"})
    assert text.splitlines() == [*(f"f/{n}" for n in range(50)), "/x"]
    assert said == ["Also asked for, and not shown: 1950 more."]
    text, said = shown_of(qtbot, ("x" * 5_990, "y" * 100, "rm -rf /"), {"command": "ls"})
    assert "y" * 10 + "... (90 characters more)" in text.replace("\n", "")
    assert said == ["Also asked for, and not shown: 1 more."]


def test_what_the_cut_end_of_a_command_says_is_not_taken_for_said(qtbot: QtBot) -> None:
    command = "a" * 10_996 + "; rm important; rm more"
    text, said = shown_of(
        qtbot, ("rm", "a" * 10_996, "rm important", "rm more"), {"command": command}
    )
    lines = text.splitlines()
    assert lines[:3] == ["rm", "rm important", "rm more"]
    assert text.endswith("; rm... (19 characters more)")
    assert said == []


def test_a_detail_that_only_a_hidden_pattern_says_is_shown(qtbot: QtBot) -> None:
    patterns = (*(f"p{n}" for n in range(60)), "http://evil")
    text, _ = shown_of(qtbot, patterns, {"url": "http://evil", "other": "p1", "none": ""})
    assert text.splitlines()[-1] == "url: http://evil"
    assert text.count("p1\n") == 1


def test_details_that_are_not_shown_are_said_not_to_be(qtbot: QtBot) -> None:
    text, said = shown_of(qtbot, ("x",), {f"k{n}": n for n in range(70)})
    assert text.splitlines() == ["x", *(f"k{n}: {n}" for n in range(50))]
    assert said == ["Also said by the tool, and not shown: 20 more."]
    text, said = shown_of(
        qtbot, (), {"command": "a" * 12_000, "path": "/b", "diff": "d" * 9_000, "e": 1}
    )
    assert text.startswith("a" * 400)
    assert "aaa... (1000 characters more)" in text
    assert "/b" not in text
    assert "ddd... (1000 characters more)" in text
    assert said == ["Also said by the tool, and not shown: 2 more."]
    assert "Copy takes all" not in text


# --- What waits for the answer ---


def tool(pane: ChatPane) -> str:
    """The line of the only tool call."""
    (view,) = pane.history.findChildren(ToolView)
    return view.handle.text()


def wait_tool(qtbot: QtBot, pane: ChatPane, line: str) -> None:
    qtbot.waitUntil(
        lambda: bool(pane.history.findChildren(ToolView)) and tool(pane) == line, timeout=PATIENCE
    )


@pytest.mark.parametrize("first", ["the call", "the question"])
def test_a_call_that_waits_for_the_user_says_so(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, first: str
) -> None:
    pushes = [b.tool_updated(), b.permission_asked()]
    run.push(*(pushes if first == "the call" else reversed(pushes)))
    wait_tool(qtbot, pane, "bash — waiting for you")
    run.push(b.event("permission.replied", properties_json='{"requestID": "per_1"}'))
    wait_tool(qtbot, pane, "bash — running…")


def test_a_call_beside_the_one_that_waits_goes_on(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    run.push(b.permission_asked(), b.tool_updated(call_id="call_2"))
    permission(qtbot, pane)
    wait_tool(qtbot, pane, "bash — running…")


def call(name: str, status: str = "running") -> ToolCall:
    return ToolCall("prt_1", name, status, {})


def test_the_models_own_question_and_a_task_that_asks_wait_as_well(pane: ChatPane) -> None:
    questions = Questions(pane._service, "ses_1")
    questions.add(QuestionAsked("que_1", (), "ses_1", "/project"))
    waits = questions.waits("ses_1")
    assert waits(call("question"))
    assert not waits(call("question", "completed"))
    assert not waits(call("task"))
    questions.clear()
    questions.add(PermissionAsked("per_1", "bash", (), {}, "call_7", "ses_below", "/project"))
    waits = questions.waits("ses_1")
    assert waits(call("task"))
    assert not waits(call("bash"))


# --- A no ---


@pytest.mark.parametrize("asked", [b.permission_asked(), b.question_asked()])
def test_a_run_that_ends_by_a_no_says_so_once(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, asked: Any
) -> None:
    run.push(asked)
    form = wait_form(qtbot, pane, Form)
    qtbot.mouseClick(
        form.reject if isinstance(form, PermissionForm) else form.dismiss,
        Qt.MouseButton.LeftButton,
    )
    run.end(b.failed("permission_rejected", "the run ended because what it asked was refused"))
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)
    assert pane.run_bar.text == "The run ended by what you rejected."
