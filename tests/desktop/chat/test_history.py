"""The history of a session: read in the background, long ones too, and where one looks stays."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QPalette, QTextDocument, QTextFormat
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QPushButton, QTextBrowser
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.folds import Fold, NoteView, ReasoningView, ToolView
from opencode_sync.desktop.chat.message_view import MessageView
from opencode_sync.desktop.service import Service
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.types import OcSessionInfo
from opencode_sync.wire.oc_message_pb2 import OcMessage
from tests.desktop.chat.conftest import ChatBackend, Open, session
from tests.desktop.chat.panes import PATIENCE, end, said, settled, texts
from tests.desktop.chat.said import answer, conversation, with_reasoning, with_tool
from tests.desktop.watch import Watch, never_held


def button(pane: ChatPane, text: str) -> QPushButton:
    (found,) = [
        each
        for each in pane.findChildren(QPushButton)
        if text in each.text() and each.isVisibleTo(pane)
    ]
    return found


def is_there(pane: ChatPane, text: str) -> bool:
    return any(
        text in each.text() and each.isVisibleTo(pane) for each in pane.findChildren(QPushButton)
    )


def folds(view: MessageView, kind: type[Fold]) -> Any:
    (found,) = view.findChildren(kind)
    return found


# --- What is shown ---


def test_without_a_session_the_pane_says_what_to_do(pane: ChatPane) -> None:
    assert pane.session_id is None
    assert pane.placeholder.isVisible()
    assert not pane.composer.isVisible()


def test_a_session_is_shown_with_its_messages(
    pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = conversation(4)
    show()
    assert pane.title.text() == "Fix the cart"
    assert pane.session_id == "ses_1"
    assert texts(pane) == ["question 0", "answer 1", "question 2", "answer 3"]
    assert not pane.notice.isVisible()
    assert not pane.run_bar.isVisible()


def test_a_session_without_a_title_has_a_name_all_the_same(pane: ChatPane, show: Open) -> None:
    show(session(title=" "))
    assert pane.title.text() == "Untitled session"


def test_a_session_shown_again_keeps_its_messages_and_takes_the_new_title(
    pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = conversation(2)
    show()
    views = pane.history.views
    show(session(title="Renamed"))
    assert pane.title.text() == "Renamed"
    assert pane.history.views == views


def test_another_session_takes_the_place_of_the_first(
    pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = conversation(6)
    show()
    backend.messages = [answer("msg_9", "elsewhere")]
    show(session("ses_2", "Other"))
    assert texts(pane) == ["elsewhere"]
    pane.show_session(None)
    assert pane.placeholder.isVisible()


def test_a_session_left_while_it_is_read_shows_nothing_later(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def wait(limit: int) -> list[OcMessage]:
        entered.set()
        assert go_on.wait(PATIENCE / 1000)
        return conversation(2)

    backend.script["list_messages"] = wait
    pane.show_session(session())
    assert entered.wait(PATIENCE / 1000)
    assert "Loading" in pane.run_bar.text
    del backend.script["list_messages"]
    backend.messages = [answer("msg_9", "elsewhere")]
    show(session("ses_2"))
    go_on.set()
    pane.reload()
    settled(qtbot, pane)
    assert texts(pane) == ["elsewhere"]


def test_who_speaks_with_which_model_and_why_it_failed(
    pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    failed = answer("msg_1", "as far as it came", agent="build")
    failed.assistant.error.api.name = "APIError"
    failed.assistant.error.api.message = "too many"
    failed.assistant.error.api.status = 429
    backend.messages = [OcMessage(user={"id": "msg_0", "text": "Hi"}), failed]
    show()
    user, model = pane.history.views
    assert [each.text() for each in user.labels if each.isVisibleTo(user)] == ["You", ""]
    assert [each.text() for each in model.labels if each.isVisibleTo(model)] == [
        "Assistant",
        "stub/stub-1 · build",
        "The provider allows no more requests for now. (too many, status 429)",
    ]


def test_a_message_can_be_copied(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [with_reasoning(answer("msg_1", "**loud**"), "not this")]
    show()
    qtbot.mouseClick(pane.history.views[0].copy_button, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text() == "**loud**"


# --- The scroll bar ---


def bar_colours(pane: ChatPane) -> set[str]:
    """What is seen where the bar is."""
    picture = pane.history.verticalScrollBar().grab().toImage()
    return {
        picture.pixelColor(x, y).name()
        for x in range(picture.width())
        for y in range(picture.height())
    }


def test_no_bar_is_seen_where_nothing_scrolls_and_the_width_stays(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    for scheme in ("#ffffff", "#101418"):
        palette = QPalette()
        palette.setColor(QPalette.ColorRole.Base, scheme)
        pane.setPalette(palette)
        backend.messages = []
        show(session(f"ses_{scheme}"))
        width = pane.history.viewport().width()
        assert bar_colours(pane) == {scheme}
        backend.messages = conversation(1)
        pane.reload()
        settled(qtbot, pane)
        assert bar_colours(pane) == {scheme}
        backend.messages = conversation(30)
        pane.reload()
        bar = pane.history.verticalScrollBar()
        qtbot.waitUntil(lambda bar=bar: bar.maximum() > 0, timeout=PATIENCE)
        assert len(bar_colours(pane)) > 1
        assert pane.history.viewport().width() == width


# --- Folded parts ---


def test_a_tool_call_is_folded_and_opens_by_the_keyboard(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [with_tool(answer("msg_1"), command="ls -la", output="cart.py\n<b>")]
    show()
    fold: ToolView = folds(pane.history.views[0], ToolView)
    assert fold.handle.text() == "bash: ls -la — done"
    assert fold.findChildren(QPlainTextEdit) == []
    qtbot.keyClick(fold.handle, Qt.Key.Key_Space)
    given, came = fold.findChildren(QPlainTextEdit)
    qtbot.waitUntil(came.isVisible)
    assert '"command": "ls -la"' in given.toPlainText()
    assert came.toPlainText() == "cart.py\n<b>"
    qtbot.keyClick(fold.handle, Qt.Key.Key_Space)
    assert not came.isVisible()


def test_a_tool_call_that_failed_says_so_and_why(
    pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [with_tool(answer("msg_1"), "edit", filePath="a & b", error="no such file")]
    show()
    fold: ToolView = folds(pane.history.views[0], ToolView)
    assert fold.handle.text() == "edit: a && b — failed"  # or the b would be a shortcut
    fold.handle.click()
    assert fold.findChildren(QPlainTextEdit)[1].toPlainText() == "no such file"


@pytest.mark.parametrize("output", ["x" * 300_000, "a line of many\n" * 20_000])
def test_more_output_than_anybody_reads_is_cut_but_can_be_copied(
    pane: ChatPane, show: Open, backend: ChatBackend, output: str
) -> None:
    """Also a line without an end, for which Qt takes its time, does not hold the window."""
    backend.messages = [with_tool(answer("msg_1"), output=output)]

    def open_it(watch: Watch) -> None:
        show(session("ses_other"))
        show()
        fold: ToolView = folds(pane.history.views[0], ToolView)
        watch.during(fold.handle.click)
        box = fold.findChildren(QPlainTextEdit)[1]
        watch.until(box.isVisible)
        watch.during(pane.grab)
        more = f"({len(output) - 20_000} characters more; Copy takes all)"
        assert box.toPlainText().endswith(more)
        fold.copy_button.click()
        assert QApplication.clipboard().text() == output

    never_held(open_it)


def test_reasoning_is_folded(pane: ChatPane, show: Open, backend: ChatBackend) -> None:
    backend.messages = [with_reasoning(answer("msg_1", "So."), "because *this*")]
    show()
    view = pane.history.views[0]
    assert said(view) == "So."
    folds(view, ReasoningView).handle.click()
    assert "because this" in said(view)


def test_long_reasoning_opens_in_turns(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    thought = ("thinking " * 50 + "\n\n") * 100
    backend.messages = [with_reasoning(answer("msg_1", "So."), thought)]

    def open_it(watch: Watch) -> None:
        show(session("ses_other"))
        show()
        view = pane.history.views[0]
        fold: ReasoningView = folds(view, ReasoningView)
        watch.during(fold.handle.click)
        watch.until(lambda: said(view).count("thinking") == 5_000)

    never_held(open_it)


def test_other_parts_are_a_line_each(pane: ChatPane, show: Open, backend: ChatBackend) -> None:
    message = answer("msg_1")
    message.assistant.parts.add().file.path = "a\nb.txt"
    message.assistant.parts.add().subtask.subtask_id = "x"
    backend.messages = [message]
    show()
    notes = [each.text() for each in pane.history.views[0].findChildren(NoteView)]
    assert notes == ["File: a\\nb.txt", "Handed to another agent"]


def test_what_changes_its_kind_gets_another_view(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [with_tool(answer("msg_1"), output="x")]
    show()
    message = answer("msg_1", "text")
    message.assistant.parts[0].text.id = "msg_1-tool"
    backend.messages = [message]
    pane.reload()
    settled(qtbot, pane)
    assert texts(pane) == ["text"]


# --- Long ones ---


def test_of_a_thousand_messages_few_have_widgets_and_all_can_be_reached(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = conversation(1_000)
    show()
    assert texts(pane)[-1] == "answer 999"
    assert len(pane.history.views) == 20
    seen = set(texts(pane))
    while is_there(pane, "earlier"):
        button(pane, "earlier").click()
        settled(qtbot, pane)
        seen |= set(texts(pane))
        assert len(pane.history.views) <= 60
    assert len(seen) == 1_000
    assert texts(pane)[0] == "question 0"
    limits = [call[1] for call in backend.calls if call[0] == "list_messages"]
    assert limits == [200, 1_000, 5_000]
    button(pane, "later").click()
    settled(qtbot, pane)
    assert texts(pane)[-1] == "answer 79"
    pane.history.show_end()
    settled(qtbot, pane)
    assert texts(pane)[-1] == "answer 999"
    assert not is_there(pane, "later")


def test_earlier_messages_do_not_move_what_one_looks_at(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = conversation(100)
    show()
    bar = pane.history.verticalScrollBar()
    bar.setValue(0)
    first = pane.history.views[0]
    above = first.mapTo(pane.history, first.rect().topLeft()).y()
    button(pane, "earlier").click()
    settled(qtbot, pane)
    qtbot.waitUntil(lambda: len(pane.history.views) == 40)
    QApplication.processEvents()
    assert pane.history.views[20] is first
    assert abs(first.mapTo(pane.history, first.rect().topLeft()).y() - above) <= 1


def test_the_end_stays_in_sight_until_somebody_scrolls_away(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = conversation(30)
    show()
    bar = pane.history.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0 and bar.value() == bar.maximum(), timeout=PATIENCE)
    backend.messages = conversation(40)
    before = bar.maximum()
    pane.reload()
    settled(qtbot, pane)
    qtbot.waitUntil(lambda: bar.maximum() > before and bar.value() == bar.maximum())
    bar.setValue(10)
    backend.messages = conversation(50)
    before = bar.maximum()
    pane.reload()
    settled(qtbot, pane)
    qtbot.waitUntil(lambda: bar.maximum() > before)
    assert bar.value() == 10


def test_a_long_history_never_holds_the_window(
    pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    """A thousand messages, each tenth of them pages of text, tables and code."""
    text = "## Title\n\nSome *words*.\n\n```py\nx = 1\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n"
    backend.messages = [
        with_tool(answer(f"msg_{n}", text * (30 if n % 10 == 0 else 1)), command="ls", output="x")
        for n in range(1_000)
    ]
    show(session("ses_warm"))

    def read(watch: Watch) -> None:
        watch.during(lambda: pane.show_session(session()))
        talk = pane._talks.shown
        assert talk is not None
        watch.until(lambda: not talk.reading.active and not pane.history.busy)
        for _ in range(5):
            watch.during(pane.history.show_earlier)
            watch.until(lambda: not talk.reading.active and not pane.history.busy)
        watch.during(lambda: pane.show_session(session("ses_2")))
        assert pane._talks.shown is not talk
        watch.until(lambda: not pane.history.busy and bool(pane.history.views))

    never_held(read)


LONG = "## A\n\nSome *b* with `c`.\n\n```py\nx = 1\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n"


def test_neither_theme_nor_font_nor_width_holds_the_window_and_all_follows(
    pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [answer(f"msg_{n}", LONG * 70) for n in range(10)]
    show()

    def change(watch: Watch) -> None:
        palette, font = QPalette(), pane.font()
        palette.setColor(QPalette.ColorRole.AlternateBase, f"#12345{watch.turns % 10}")
        font.setPointSize(30 - font.pointSize())
        for step in (
            lambda: pane.setPalette(palette),
            lambda: pane.setFont(font),
            lambda: pane.resize(1_100 - pane.width(), 700),
        ):
            watch.during(step)
            watch.during(QApplication.processEvents)
            watch.until(lambda: not pane.history.busy)
        shown = pane.history.findChildren(QTextBrowser)
        assert len(shown) > 50
        pane.grab()
        for piece in shown:
            document, width = piece.document(), piece.viewport().width()
            assert piece.height() == piece.heightForWidth(width)
            if not piece.visibleRegion().isEmpty():
                assert document.textWidth() == width > 300
            assert document.defaultFont().pointSize() == font.pointSize()
            assert grounds(document) <= {palette.alternateBase().color().name()}

    pane.resize(600, 700)
    never_held(change)


def grounds(document: QTextDocument) -> set[str]:
    """The colours on which its code stands."""
    found = set()
    block = document.begin()
    while block.isValid():
        if block.blockFormat().hasProperty(QTextFormat.Property.BackgroundBrush):
            found.add(block.blockFormat().background().color().name())
        block = block.next()
    return found


def test_with_another_font_one_still_looks_at_the_same_message(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [answer(f"msg_{n}", f"{n} " + "words " * 100) for n in range(20)]
    show()
    looked_at = pane.history.views[10]
    bar = pane.history.verticalScrollBar()
    place, length = looked_at.y(), bar.maximum()
    bar.setValue(place)
    font = pane.font()
    font.setPointSize(2 * font.pointSize())
    pane.setFont(font)
    settled(qtbot, pane)
    # Qt hands on the new heights from the inside to the outside, in turns of its own.
    qtbot.waitUntil(lambda: bar.maximum() > 1.5 * length, timeout=PATIENCE)
    qtbot.waitUntil(lambda: bar.value() == looked_at.y() > place, timeout=PATIENCE)
    length = bar.maximum()
    bar.setValue(length)
    font.setPointSize(2 * font.pointSize())
    pane.setFont(font)
    settled(qtbot, pane)
    qtbot.waitUntil(lambda: bar.value() == bar.maximum() > 1.5 * length, timeout=PATIENCE)


def test_what_was_folded_meanwhile_follows_when_it_is_opened(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [with_reasoning(answer("msg_1"), "I think\n\n" * 1_000)]
    show()
    fold = folds(pane.history.views[0], ReasoningView)
    fold.handle.click()
    fold.handle.click()
    font = pane.font()
    font.setPointSize(25)
    pane.setFont(font)
    pane.resize(500, 700)
    settled(qtbot, pane)
    fold.handle.click()
    qtbot.waitUntil(lambda: not fold._rest.isActive(), timeout=PATIENCE)
    shown = fold.findChildren(QTextBrowser)
    assert {piece.document().defaultFont().pointSize() for piece in shown} == {25}
    QApplication.processEvents()
    for piece in shown:
        piece.grab()
    assert all(each.document().textWidth() == each.viewport().width() for each in shown)


# --- When it cannot be read ---


def test_a_history_that_cannot_be_read_says_so_and_can_be_tried_again(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    def fail(limit: int) -> list[OcMessage]:
        raise OSError("of the test")

    backend.script["list_messages"] = fail
    show()
    assert "could not be read" in pane.notice.text
    del backend.script["list_messages"]
    backend.messages = conversation(2)
    pane.notice.retry.click()
    qtbot.waitUntil(lambda: not pane.notice.isVisible(), timeout=PATIENCE)
    settled(qtbot, pane)
    assert texts(pane) == ["question 0", "answer 1"]


def test_a_backend_without_a_model_says_what_to_do(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.refuses = True
    show()
    assert "--backend opencode" in pane.notice.text
    pane.composer.setPlainText("Hi")
    assert not pane.composer.isEnabled()
    assert not pane.send_button.isEnabled()
    pane.send()
    assert backend.runs == []
    backend.refuses = False
    pane.notice.retry.click()
    qtbot.waitUntil(lambda: pane.send_button.isEnabled(), timeout=PATIENCE)
    assert not pane.notice.isVisible()


def test_the_embedded_store_keeps_sessions_and_the_pane_says_so(
    qtbot: QtBot, backend: ChatBackend, settings: QSettings, tmp_path: Path
) -> None:
    store = EmbeddedBackend(tmp_path / "sessions.db", directory="/project")
    with Gateway(store) as gateway:
        service = Service(IpcConfig(gateway.port, gateway.auth_token), probe_seconds=3600.0)
        pane = ChatPane(service, settings=settings)
        pane.show()
        with qtbot.waitSignal(service.connected, timeout=PATIENCE):
            service.start()
        created: list[OcSessionInfo] = []
        service.create_session("Kept", created.append)
        qtbot.waitUntil(lambda: bool(created), timeout=PATIENCE)
        pane.show_session(created[0])
        settled(qtbot, pane)
        qtbot.waitUntil(lambda: not pane.composer.isEnabled(), timeout=PATIENCE)
        assert pane.title.text() == "Kept"
        assert "This backend has no model" in pane.notice.text
        assert "--backend opencode" in pane.notice.text
        pane.show_session(None)
        assert not pane.composer.isEnabled()  # its lists were refused as well
        end(pane, service)


@pytest.mark.parametrize("key", [Qt.Key.Key_PageUp, Qt.Key.Key_Home])
def test_the_history_scrolls_by_the_keyboard(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend, key: Qt.Key
) -> None:
    backend.messages = conversation(30)
    show()
    bar = pane.history.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0 and bar.value() == bar.maximum(), timeout=PATIENCE)
    end = bar.value()
    pane.history.setFocus()
    qtbot.keyClick(pane.history, key)
    assert bar.value() < end
    qtbot.keyClick(pane.history, Qt.Key.Key_End)
    assert bar.value() == bar.maximum()
