"""Questions in the middle of an answer: put to whoever sits at the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from opencode_sync.cli.reading import read_line
from opencode_sync.cli.screen import Screen
from opencode_sync.printable import printable
from opencode_sync.run_events import PermissionAsked, QuestionAsked, QuestionItem

__all__ = ["ask_permission", "ask_questions", "permission_text"]

Reply = Literal["once", "always", "reject"]
ReadLine = Callable[[str], str]

_REPLIES: Final[dict[str, Reply]] = {
    "y": "once",
    "yes": "once",
    "once": "once",
    "a": "always",
    "always": "always",
    "n": "reject",
    "no": "reject",
    "reject": "reject",
}
_SHOWN_CHARACTERS: Final = 500


def permission_text(asked: PermissionAsked) -> str:
    """Return what is asked for in one line: ``"bash: rm -rf build"``."""
    return printable(f"{asked.permission}: {', '.join(asked.patterns) or '*'}", _SHOWN_CHARACTERS)


def ask_permission(
    asked: PermissionAsked, screen: Screen, read: ReadLine = read_line
) -> tuple[Reply, str | None]:
    """Ask whether a tool may do something.

    Returns:
        The reply, and with "reject" what the model is to be told, if anything. The end of the input
        rejects.

    Raises:
        KeyboardInterrupt: Ctrl-C, which is about the whole answer.
    """
    screen.note(f"The model asks for permission. {permission_text(asked)}")
    try:
        while True:
            answer = read("Allow? [y]es, [a]lways, [n]o, or tell it what to do instead: ").strip()
            if not answer:
                continue
            reply = _REPLIES.get(answer.lower())
            return (reply, None) if reply is not None else ("reject", answer)
    except EOFError:
        return "reject", None


def ask_questions(
    asked: QuestionAsked, screen: Screen, read: ReadLine = read_line
) -> list[list[str]] | None:
    """Ask what the model asks.

    Returns:
        For each question the answers; None to dismiss them, which the end of the input does.

    Raises:
        KeyboardInterrupt: Ctrl-C, which is about the whole answer.
    """
    try:
        return [_ask_one(item, screen, read) for item in asked.items]
    except EOFError:
        return None


def _ask_one(item: QuestionItem, screen: Screen, read: ReadLine) -> list[str]:
    screen.note(f"The model asks: {item.question or item.header}")
    for number, option in enumerate(item.options, start=1):
        described = f" - {option.description}" if option.description else ""
        screen.note(f"  {number}  {option.label}{described}")
    labels = [option.label for option in item.options]
    while True:
        answer = read(_prompt(item)).strip()
        chosen = _chosen(answer, labels, multiple=item.multiple)
        if chosen:
            return chosen
        if answer and (item.custom or not labels):
            return [answer]


def _prompt(item: QuestionItem) -> str:
    if not item.options:
        return "Your answer: "
    numbers = "Numbers, with spaces between" if item.multiple else "Number"
    return f"{numbers}, or an answer of your own: " if item.custom else f"{numbers}: "


def _chosen(answer: str, labels: Sequence[str], *, multiple: bool) -> list[str]:
    """Return the labels that an answer stands for; none if it is no such answer."""
    if answer in labels:
        return [answer]
    words = answer.replace(",", " ").split()
    if not words or (len(words) > 1 and not multiple):
        return []
    if not all(word.isdecimal() and 1 <= int(word) <= len(labels) for word in words):
        return []
    return [labels[int(word) - 1] for word in dict.fromkeys(words)]
