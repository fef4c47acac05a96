"""What a permission is asked for, in as many characters as anybody reads. What is not is counted.

A model decides of how many pieces a command is, and how long. What it takes to show them must not
grow with that, and nothing may count as said that is not on the screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from opencode_sync.desktop.chat.excerpt import json_excerpt, shortened
from opencode_sync.desktop.chat.words import line
from opencode_sync.printable import printable_block
from opencode_sync.run_events import PermissionAsked

__all__ = ["PermissionText", "permission_text"]

_PATHS: Final = ("filepath", "filePath", "path")
_ITSELF: Final = ("command", *_PATHS)
"""Under these names tools say what they want to do or to touch: that needs no name."""

_ROOM: Final = 19_000
"""Characters of all that is shown: fewer than those at which the box would cut it."""

_ROOM_ITSELF: Final = 11_000
_ROOM_PATTERNS: Final = 6_000

_MOST: Final = 50
"""Patterns that are shown, and likewise details."""

_WIDEST: Final = 10
"""Characters that one takes at most when it is spelt out."""


class PermissionText(NamedTuple):
    """What is shown of a permission.

    Attributes:
        text: What is asked for, each thing once, with whatever else the tool says about it. Of what
            is there in part it says how much is missing.
        patterns: How many patterns it does not mention.
        details: How many things that the tool says it does not mention.
    """

    text: str
    patterns: int
    details: int


class _Shown(NamedTuple):
    """Texts as far as there is room.

    Attributes:
        lines: What is shown of them.
        kept: What of each text that is; all of it, if it has not been cut.
        left: Characters for which there is room still.
    """

    lines: list[str]
    kept: list[str]
    left: int


def permission_text(asked: PermissionAsked) -> PermissionText:
    """Return what there is to know before one answers."""
    told = {
        name: value
        for name in _ITSELF
        if isinstance(value := asked.metadata.get(name), str) and value
    }
    commands = [told[name] for name in _ITSELF[:1] if name in told]
    paths = [told[name] for name in _PATHS if name in told]
    tells = list(dict.fromkeys([*commands, *paths]))
    itself = _fitting(tells, _ROOM_ITSELF)
    is_said = _judge(commands, paths, itself.kept)
    unsaid = [each for each in dict.fromkeys(asked.patterns) if not is_said(each)]
    patterns = _fitting(unsaid, _ROOM_PATTERNS)
    shown = {"", *patterns.kept} & {"", *unsaid}  # without what is there in part
    others = [
        (name, value)
        for name, value in asked.metadata.items()
        if name not in told and not (isinstance(value, str) and value in shown)
    ]
    room = _ROOM - _ROOM_ITSELF - _ROOM_PATTERNS + itself.left + patterns.left
    details = _details(others, room)
    return PermissionText(
        "\n".join([*([*patterns.lines, *itself.lines] or ["*"]), *details]),
        len(unsaid) - len(patterns.lines),
        len(others) - len(details) + len(tells) - len(itself.lines),
    )


def _fitting(texts: Sequence[str], room: int) -> _Shown:
    lines: list[str] = []
    kept: list[str] = []
    for text in texts[:_MOST]:
        if room <= 0:
            break
        kept.append(_cut(text, room))
        lines.append(printable_block(shortened(text, len(kept[-1]))))
        room -= len(lines[-1])
    return _Shown(lines, kept, max(room, 0))


def _cut(text: str, room: int) -> str:
    """Return as much of a text as there is room for when nothing in it is invisible any more."""
    begin = text[:room]
    return begin if len(printable_block(begin)) <= room else text[: max(room // _WIDEST, 1)]


def _details(others: Iterable[tuple[str, Any]], room: int) -> list[str]:
    details: list[str] = []
    for name, value in others:
        if room <= 0 or len(details) >= _MOST:
            break
        said = value if isinstance(value, str) else json_excerpt(value, room)
        shown = printable_block(shortened(said, len(_cut(said, room))))
        details.append(f"{line(name)}:{chr(10) if chr(10) in shown else ' '}{shown}")
        room -= len(details[-1])
    return details


def _judge(
    commands: Sequence[str], paths: Sequence[str], shown: Sequence[str]
) -> Callable[[str], bool]:
    """Return what tells whether that which is shown says a pattern in full.

    Commands come in their pieces as well, and a path in the form that permissions are kept in.
    """
    said = set(shown) & {*commands, *paths}
    said_paths = [path for path in paths if path in said]
    for command in commands:
        pieces = _pieces(shown[0])
        said.update(pieces if command in said else pieces[:-1])  # for the last one is cut itself

    def is_said(pattern: str) -> bool:
        return pattern in said or any(path.endswith(f"/{pattern}") for path in said_paths)

    return is_said


def _pieces(command: str) -> list[str]:
    """Return the commands that a line of the shell is put together of."""
    return [each.strip() for each in re.split(r"&&|\|\||[;|&\n]", command)]
