"""Permission questions and the model's own, as they are put and answered."""

from __future__ import annotations

import pytest

from opencode_sync.cli.asking import ask_permission, ask_questions, permission_text
from opencode_sync.cli.screen import Screen
from opencode_sync.run_events import (
    PermissionAsked,
    QuestionAsked,
    QuestionItem,
    QuestionOption,
)

from .doubles import typed

ASKED = PermissionAsked("per_1", "bash", ("rm -rf \x1b[31mx", "ls"), {}, "", "ses_1", "/p")
OPTIONS = (QuestionOption("Red", "warm"), QuestionOption("Blue", ""))


def item(*, multiple: bool = False, custom: bool = False, options: bool = True) -> QuestionItem:
    return QuestionItem("Colour", "Which one?", OPTIONS if options else (), multiple, custom)


def answers(question: QuestionItem, *lines: str | BaseException) -> list[list[str]] | None:
    asked = QuestionAsked("que_1", (question,), "ses_1", "/p")
    return ask_questions(asked, Screen(), typed(*lines))


def test_what_is_asked_for_is_on_one_line_that_obeys_nothing() -> None:
    assert permission_text(ASKED) == "bash: rm -rf \\x1b[31mx, ls"
    bare = PermissionAsked("per_1", "edit", (), {}, "", "ses_1", "")
    assert permission_text(bare) == "edit: *"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("y", ("once", None)),
        (" YES ", ("once", None)),
        ("a", ("always", None)),
        ("n", ("reject", None)),
        ("use the cache", ("reject", "use the cache")),
    ],
)
def test_a_permission_is_given_or_refused_or_explained(
    line: str, reply: tuple[str, str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask_permission(ASKED, Screen(), typed("", line)) == reply
    assert "asks for permission. bash: rm" in capsys.readouterr().err


def test_nobody_left_to_answer_rejects_and_dismisses() -> None:
    assert ask_permission(ASKED, Screen(), typed()) == ("reject", None)
    assert answers(item()) is None


def test_ctrl_c_at_a_question_is_about_the_whole_answer() -> None:
    with pytest.raises(KeyboardInterrupt):
        ask_permission(ASKED, Screen(), typed(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        answers(item(), KeyboardInterrupt())


@pytest.mark.parametrize(
    ("question", "lines", "chosen"),
    [
        (item(), ["2"], ["Blue"]),
        (item(), ["Red"], ["Red"]),
        (item(), ["", "0", "3", "x", "1 2", "1"], ["Red"]),
        (item(multiple=True), ["2, 1 2"], ["Blue", "Red"]),
        (item(custom=True), ["green"], ["green"]),
        (item(options=False), ["anything"], ["anything"]),
    ],
)
def test_questions_are_answered_by_number_name_or_freely(
    question: QuestionItem, lines: list[str], chosen: list[str]
) -> None:
    assert answers(question, *lines) == [chosen]


def test_the_options_are_shown_with_what_they_mean(capsys: pytest.CaptureFixture[str]) -> None:
    answers(item(), "1")
    said = capsys.readouterr().err
    assert said.splitlines() == ["The model asks: Which one?", "  1  Red - warm", "  2  Blue"]
