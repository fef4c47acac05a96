"""From Ctrl+N until the session is there: what is typed meanwhile, and who has gone elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.sessions.layout import Shown
from opencode_sync.gateway import BackendError
from opencode_sync.types import OcSessionInfo
from opencode_sync.wire import ipc_pb2
from tests.desktop.chat.conftest import ChatBackend

from .conftest import PATIENCE, Held, OpenWindow, session, shown, titles

_CTRL = Qt.KeyboardModifier.ControlModifier
_LEFT = Qt.MouseButton.LeftButton

CREATED = session(9, "The new one", updated=9)


@pytest.fixture
def backend() -> ChatBackend:
    """With two sessions, and models to write to."""
    made = ChatBackend()
    made.script["list_sessions"] = lambda: [session(1), session(2, updated=60)]
    return made


@pytest.fixture
def answer(backend: ChatBackend) -> Held:
    """The creation's answer, which does not come before the test lets it."""
    held = backend.script["create_session"] = Held(lambda title: CREATED)
    return held


def refuse(title: str) -> OcSessionInfo:
    raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "the disk is full")


@pytest.fixture
def refusal(backend: ChatBackend) -> Held:
    """As ``answer``, that there is none."""
    held = backend.script["create_session"] = Held(refuse)
    return held


@pytest.fixture
def window(scripted: IpcConfig, loaded: OpenWindow, tmp_path: Path) -> MainWindow:
    """With the real chat, and the keyboard in the list."""
    store = QSettings(str(tmp_path / "chat.ini"), QSettings.Format.IniFormat)
    made = loaded(scripted, make_chat=lambda service: ChatPane(service, settings=store))
    made.sessions.parts.view.setFocus()
    made.sessions.parts.view.select_row(0)
    return made


@pytest.fixture
def chatting(qtbot: QtBot, window: MainWindow) -> MainWindow:
    """The window, with the first session open and a draft for it."""
    window.sessions.open_action.trigger()
    qtbot.waitUntil(lambda: chat_of(window).choices.usable, timeout=PATIENCE)
    type_letters(qtbot, window, "a draft")
    return window


def chat_of(window: MainWindow) -> ChatPane:
    assert window.chat is not None
    return window.chat


def press(qtbot: QtBot, window: MainWindow) -> None:
    """Ctrl+N, wherever the keyboard is."""
    qtbot.keyClick(window, Qt.Key.Key_N, _CTRL)


def type_letters(qtbot: QtBot, window: MainWindow, text: str) -> None:
    """Type as users do: each letter goes to what has the keyboard then."""
    for letter in text:
        at = window.focusWidget()
        assert at is not None
        qtbot.keyClick(at, letter)


def arrive(qtbot: QtBot, window: MainWindow, held: Held) -> None:
    """Have the session come, and wait until the window knows of it."""
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    creation = window.sessions.creation
    seen: list[object] = []
    for each in (creation.opened, creation.kept_aside):
        each.connect(seen.append)
    held.go_on.set()
    qtbot.waitUntil(lambda: bool(seen), timeout=PATIENCE)


def fail(qtbot: QtBot, window: MainWindow, held: Held) -> None:
    held.go_on.set()
    qtbot.waitUntil(window.error_banner.isVisible, timeout=PATIENCE)
    told = "The session was not created: "
    assert window.error_banner.text.text().startswith(told)


# --- What is typed ---


def test_letters_typed_before_the_session_is_there_are_in_its_message_box(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend, answer: Held
) -> None:
    press(qtbot, window)
    type_letters(qtbot, window, "fix the ")
    chat = chat_of(window)
    assert (chat.isVisible(), chat.composer.text, chat.session_id) == (True, "fix the ", None)
    arrive(qtbot, window, answer)
    type_letters(qtbot, window, "cart")
    assert (chat.session_id, chat.composer.text) == (CREATED.id, "fix the cart")
    current = window.sessions.parts.view.current
    assert current is not None
    assert current.id == CREATED.id
    qtbot.waitUntil(chat.send_button.isEnabled, timeout=PATIENCE)
    qtbot.keyClick(chat.composer, Qt.Key.Key_Return)
    assert (backend.run().request.session_id, backend.run().request.text) == (
        CREATED.id,
        "fix the cart",
    )
    backend.end_runs()


def test_the_session_before_keeps_its_draft(
    qtbot: QtBot, chatting: MainWindow, answer: Held
) -> None:
    press(qtbot, chatting)
    type_letters(qtbot, chatting, "new")
    arrive(qtbot, chatting, answer)
    assert chat_of(chatting).composer.text == "new"
    chatting.open_session(session(1))
    assert chat_of(chatting).composer.text == "a draft"


def test_pressed_twice_it_creates_one(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend, answer: Held
) -> None:
    press(qtbot, window)
    type_letters(qtbot, window, "a")
    press(qtbot, window)
    type_letters(qtbot, window, "b")
    arrive(qtbot, window, answer)
    assert chat_of(window).composer.text == "ab"
    assert [call[0] for call in backend.calls].count("create_session") == 1


@pytest.fixture
def without_model(qtbot: QtBot, window: MainWindow, backend: ChatBackend) -> MainWindow:
    """As ``window``, its backend known to be one without a model, and the chat hidden again."""
    backend.refuses = True
    window.sessions.open_action.trigger()
    qtbot.waitUntil(lambda: chat_of(window).choices.refused, timeout=PATIENCE)
    qtbot.keyClick(window, Qt.Key.Key_W, _CTRL)
    return window


def test_without_a_model_nothing_is_shown_too_early_and_the_list_has_the_keyboard(
    qtbot: QtBot, without_model: MainWindow, answer: Held
) -> None:
    new, chat = without_model.sessions.parts.new, chat_of(without_model)
    new.setFocus()
    qtbot.mouseClick(new, _LEFT)
    assert (chat.isVisible(), new.hasFocus()) == (False, True)
    arrive(qtbot, without_model, answer)
    assert (chat.isVisible(), chat.session_id) == (True, CREATED.id)
    assert without_model.sessions.parts.view.hasFocus()


def test_without_a_model_who_has_gone_elsewhere_stays_there(
    qtbot: QtBot, without_model: MainWindow, answer: Held
) -> None:
    press(qtbot, without_model)
    without_model.sessions.parts.search.setFocus()
    arrive(qtbot, without_model, answer)
    assert without_model.sessions.parts.search.hasFocus()


def test_without_a_model_a_failure_leaves_all_as_it_is(
    qtbot: QtBot, without_model: MainWindow, refusal: Held
) -> None:
    press(qtbot, without_model)
    fail(qtbot, without_model, refusal)
    assert chat_of(without_model).isHidden()
    assert without_model.sessions.parts.view.hasFocus()


def test_that_there_is_no_model_may_be_learnt_meanwhile(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend, answer: Held
) -> None:
    backend.refuses = True
    new = window.sessions.parts.new
    new.setFocus()
    qtbot.mouseClick(new, _LEFT)
    chat = chat_of(window)
    qtbot.waitUntil(lambda: chat.choices.refused, timeout=PATIENCE)
    arrive(qtbot, window, answer)
    assert chat.session_id == CREATED.id
    assert window.sessions.parts.view.hasFocus()


# --- It fails ---


def test_when_it_fails_the_session_before_is_back_and_so_is_the_keyboard(
    qtbot: QtBot, chatting: MainWindow, backend: ChatBackend, refusal: Held
) -> None:
    chatting.sessions.parts.search.setFocus()
    press(qtbot, chatting)
    press(qtbot, chatting)  # from the message box, which is not where it came from
    type_letters(qtbot, chatting, "not in vain")
    fail(qtbot, chatting, refusal)
    chat = chat_of(chatting)
    assert (chat.session_id, chat.composer.text) == (session(1).id, "a draft")
    assert chatting.sessions.parts.search.hasFocus()
    backend.script["create_session"] = lambda title: CREATED
    with qtbot.waitSignal(chatting.sessions.creation.opened, timeout=PATIENCE):
        press(qtbot, chatting)
        assert chat.composer.text == "not in vain"
    assert chat.composer.text == "not in vain"


def test_when_the_first_of_all_fails_there_is_no_chat(
    qtbot: QtBot, window: MainWindow, refusal: Held
) -> None:
    press(qtbot, window)
    assert chat_of(window).isVisible()
    fail(qtbot, window, refusal)
    assert chat_of(window).isHidden()
    assert not window._chat.hide_action.isEnabled()
    assert window.sessions.parts.view.hasFocus()


def test_when_it_fails_what_had_the_keyboard_may_be_gone(
    qtbot: QtBot, chatting: MainWindow, refusal: Held
) -> None:
    chatting.sessions.parts.search.setFocus()
    press(qtbot, chatting)
    chatting.sessions.parts.search.hide()
    fail(qtbot, chatting, refusal)
    assert chatting.sessions.parts.view.hasFocus()


def test_when_it_fails_who_has_gone_elsewhere_stays_there(
    qtbot: QtBot, window: MainWindow, refusal: Held
) -> None:
    press(qtbot, window)
    window.sessions.parts.search.setFocus()
    fail(qtbot, window, refusal)
    assert window.sessions.parts.search.hasFocus()


def test_without_a_connection_none_is_begun(
    qtbot: QtBot, chatting: MainWindow, backend: ChatBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the moment before the window has heard that it is gone."""
    client = type(chatting.service.client)
    monkeypatch.setattr(client, "is_connected", property(lambda client: False))
    press(qtbot, chatting)
    assert chatting.error_banner.isVisible()
    assert chat_of(chatting).session_id == session(1).id
    assert not [call for call in backend.calls if call[0] == "create_session"]


# --- The user goes on ---


def test_a_session_chosen_meanwhile_stays_open_and_the_new_one_is_listed(
    qtbot: QtBot, window: MainWindow, answer: Held
) -> None:
    view = window.sessions.parts.view
    press(qtbot, window)
    type_letters(qtbot, window, "for the new one")
    place = view.visualRect(view.model().index(1, 0)).center()
    qtbot.mouseClick(view.viewport(), _LEFT, pos=place)
    chat = chat_of(window)
    assert (chat.session_id, chat.composer.text) == (session(2, "").id, "")
    type_letters(qtbot, window, "for the other")
    arrive(qtbot, window, answer)
    assert (chat.session_id, chat.composer.text) == (session(2).id, "for the other")
    assert titles(window) == ["Session 1", "The new one", "Session 2"]
    assert view.current is not None
    assert view.current.id == session(2).id
    window.open_session(CREATED)
    assert chat.composer.text == "for the new one"


def test_who_wants_it_again_gets_the_one_that_is_being_created(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend, answer: Held
) -> None:
    press(qtbot, window)
    type_letters(qtbot, window, "mine")
    window.sessions.open_action.trigger()
    press(qtbot, window)
    arrive(qtbot, window, answer)
    chat = chat_of(window)
    assert (chat.session_id, chat.composer.text) == (CREATED.id, "mine")
    assert [call[0] for call in backend.calls].count("create_session") == 1


def test_a_chat_that_was_hidden_meanwhile_stays_hidden(
    qtbot: QtBot, chatting: MainWindow, answer: Held
) -> None:
    press(qtbot, chatting)
    qtbot.keyClick(chatting, Qt.Key.Key_W, _CTRL)
    arrive(qtbot, chatting, answer)
    assert chat_of(chatting).isHidden()
    assert "The new one" in titles(chatting)
    assert chatting.sessions.parts.view.hasFocus()


def test_what_is_searched_for_meanwhile_is_not_swept_away(
    qtbot: QtBot, window: MainWindow, answer: Held
) -> None:
    press(qtbot, window)
    qtbot.keyClick(window, Qt.Key.Key_F, _CTRL)
    type_letters(qtbot, window, "session 2")
    arrive(qtbot, window, answer)
    parts = window.sessions.parts
    assert (titles(window), parts.search.text()) == (["Session 2"], "session 2")
    assert parts.search.hasFocus()
    assert parts.count.text() == "1 of 3"
    assert chat_of(window).session_id == CREATED.id


def test_the_row_that_is_selected_meanwhile_stays_so(
    qtbot: QtBot, window: MainWindow, answer: Held
) -> None:
    """What a key does would be done to another session, which has come under it."""
    view = window.sessions.parts.view
    press(qtbot, window)
    qtbot.keyClick(chat_of(window).composer, Qt.Key.Key_Escape)
    qtbot.keyClick(view, Qt.Key.Key_Down)
    arrive(qtbot, window, answer)
    assert view.current is not None
    assert view.current.id == session(2).id
    assert view.hasFocus()
    assert chat_of(window).session_id == CREATED.id


def test_a_title_that_is_being_typed_meanwhile_is_typed_to_its_end(
    qtbot: QtBot, window: MainWindow, answer: Held
) -> None:
    press(qtbot, window)
    window.sessions.rename_action.trigger()
    arrive(qtbot, window, answer)
    view = window.sessions.parts.view
    assert view.is_renaming
    view.setFocus()  # which ends it
    qtbot.waitUntil(lambda: "The new one" in titles(window), timeout=PATIENCE)
    assert view.current is not None
    assert view.current.id == session(1).id


def test_the_session_before_may_be_deleted_meanwhile(
    qtbot: QtBot, chatting: MainWindow, refusal: Held
) -> None:
    press(qtbot, chatting)
    type_letters(qtbot, chatting, "new")
    chatting.sessions.session_removed.emit(session(1).id)
    assert (chat_of(chatting).isVisible(), chat_of(chatting).composer.text) == (True, "new")
    fail(qtbot, chatting, refusal)
    assert chat_of(chatting).isHidden()


@pytest.mark.parametrize("in_chat", [True, False])
def test_only_from_a_chat_that_goes_is_the_keyboard_taken(
    chatting: MainWindow, in_chat: bool
) -> None:
    """Its session was deleted by another program, while the user may be busy elsewhere."""
    parts = chatting.sessions.parts
    if not in_chat:
        parts.search.setFocus()
    chatting.sessions.session_removed.emit(session(1).id)
    assert chat_of(chatting).isHidden() is not in_chat
    assert (chat_of(chatting).placeholder if in_chat else parts.search).hasFocus()


def test_what_is_typed_on_into_a_chat_that_is_gone_does_nothing_to_other_sessions(
    qtbot: QtBot, chatting: MainWindow, backend: ChatBackend, answer: Held
) -> None:
    chatting.sessions.session_removed.emit(session(1).id)
    type_letters(qtbot, chatting, "2 and more")
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Delete, Qt.Key.Key_Return):
        at = chatting.focusWidget()
        assert at is not None
        qtbot.keyClick(at, key)
    chat = chat_of(chatting)
    assert (chat.session_id, chat.placeholder.isVisible()) == (None, True)
    assert not chatting.sessions.parts.search.text()
    assert QApplication.activeModalWidget() is None
    press(qtbot, chatting)
    arrive(qtbot, chatting, answer)
    assert (chat.session_id, chat.composer.text) == (CREATED.id, "a draft")


def test_a_chat_whose_session_is_gone_can_be_left_as_ever(
    qtbot: QtBot, chatting: MainWindow
) -> None:
    chatting.sessions.session_removed.emit(session(1).id)
    qtbot.keyClick(chat_of(chatting).placeholder, Qt.Key.Key_Escape)
    assert chatting.sessions.parts.view.hasFocus()
    qtbot.keyClick(chatting, Qt.Key.Key_W, _CTRL)
    assert chat_of(chatting).isHidden()


def test_another_backend_knows_nothing_of_it(
    qtbot: QtBot, chatting: MainWindow, scripted: IpcConfig, answer: Held
) -> None:
    told: list[object] = []
    for each in (chatting.sessions.session_chosen, chatting.sessions.failed):
        each.connect(told.append)
    press(qtbot, chatting)
    qtbot.waitUntil(answer.begun.is_set, timeout=PATIENCE)
    with qtbot.waitSignal(chatting.sessions.loaded, timeout=PATIENCE):
        chatting.choosing.use_address(scripted)
    answer.go_on.set()
    assert (told, chat_of(chatting).isHidden()) == ([], True)
    assert shown(chatting) is Shown.LIST


def test_a_connection_that_is_lost_meanwhile_is_a_failure(
    qtbot: QtBot, chatting: MainWindow, answer: Held
) -> None:
    press(qtbot, chatting)
    qtbot.waitUntil(answer.begun.is_set, timeout=PATIENCE)
    chatting.service.client.close()
    fail(qtbot, chatting, answer)
    assert chat_of(chatting).session_id == session(1).id


def test_closing_meanwhile_asks_nothing(qtbot: QtBot, window: MainWindow, answer: Held) -> None:
    press(qtbot, window)
    qtbot.waitUntil(answer.begun.is_set, timeout=PATIENCE)
    assert window.close()
    answer.go_on.set()
