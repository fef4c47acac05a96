"""Every command line on every page for users is one that the programs understand."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.main import get_command

from opencode_sync.cli.app import app
from tests.docs.blocks import DOCS, PAGES, ROOT, blocks_of, prose_of

_SHELLS: Final = ("sh", "bash", "console", "shell")
_PROGRAM: Final = "opencode-sync"
_PLACEHOLDERS: Final = {"N": "1024", "SECONDS": "5"}
"""What stands for a value on a page, where the option takes not just any text."""

_MUST_EXIST: Final = ("--directory",)
"""Options of which the value has to be there: here it is the current folder."""

_UsageError: Final[type[Any]] = typer.BadParameter.__mro__[1]  # as opencode_sync.cli.app says

_SETTINGS: Final = configparser.ConfigParser()
_SETTINGS.read(ROOT / "setup.cfg", encoding="utf-8")
EXTRAS: Final = set(_SETTINGS["options.extras_require"])


def _written_commands() -> Iterator[tuple[str, str]]:
    """Return each command line of ours with its place: in shell blocks, and in the text."""
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        for block in blocks_of(page):
            if block.language in _SHELLS:
                for number, line in enumerate(block.text.splitlines(), block.line + 1):
                    for command in re.split(r"&&|\|\||[;|]", line):
                        yield f"{name}:{number}", command.removeprefix("$ ")
        for number, line in prose_of(page):
            for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", line):
                yield f"{name}:{number}", code.replace(r"\|", "|")


def _arguments(command: str) -> list[str] | None:
    """Return what follows our program's name; None where it is not called."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"\w+=.*|exec|nohup|opentelemetry-instrument|--", words[0]):
        words = words[1:]
    if not words or Path(words[0]).name != _PROGRAM:
        return None
    return list(_without_redirections(words[1:]))


def _without_redirections(words: list[str]) -> Iterator[str]:
    words = [word for word in words if word not in ("&", "...", "…")]
    for before, word in zip(["", *words], words, strict=False):
        if before in _MUST_EXIST:
            yield "."
        elif not re.match(r"\d?[<>]", word) and not re.fullmatch(r"\d?(>>?|<)", before):
            yield _PLACEHOLDERS.get(word, word)


COMMANDS: Final = [
    (place, arguments)
    for place, command in _written_commands()
    if _PROGRAM in command and (arguments := _arguments(command)) is not None
]


def _parse(arguments: list[str]) -> None:
    """Have our command line read these arguments, without doing what they say.

    Raises:
        UsageError: it does not understand them.
    """
    command: Any = get_command(app)
    context: Any = None
    name = _PROGRAM
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        # Of a group with a command these are the command's name and what follows it.
        arguments = [*context._protected_args, *context.args]
        if not hasattr(command, "resolve_command") or not arguments:
            return
        name, command, arguments = command.resolve_command(context, arguments)


@pytest.mark.parametrize(
    ("place", "arguments"),
    COMMANDS,
    ids=[f"{place} {' '.join(arguments)}" for place, arguments in COMMANDS],
)
def test_command_line_is_understood(
    place: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command and each option there is, and takes such a value."""
    monkeypatch.chdir(tmp_path)
    code = 0
    try:
        _parse(arguments)
    except typer.Exit as ended:  # --help and --version
        code = ended.exit_code
    assert code == 0, place


def test_command_lines_were_found() -> None:
    """So many commands are on our pages that few would mean that they are not seen."""
    assert len(COMMANDS) >= 20
    assert ["gateway"] in [arguments for _, arguments in COMMANDS]


@pytest.mark.parametrize(
    "arguments",
    [["no-such-command"], ["gateway", "--no-such-option"], ["gateway", "--port", "80"]],
    ids=lambda arguments: " ".join(arguments),
)
def test_wrong_command_line_is_not_understood(arguments: list[str]) -> None:
    """The test of the pages can fail."""
    with pytest.raises(_UsageError):
        _parse(arguments)


def test_extras_on_the_pages_are_there() -> None:
    """Each extra that a page tells to install is one, and each for users is told of."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    written = re.findall(r"(?:opencode-sync-sdk|'\.|\"\.)\[([a-z,]+)\]", text)
    named = {extra for each in written for extra in each.split(",")}
    assert named <= EXTRAS
    assert {"gateway", "cli"} <= named
    guide = (DOCS / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z]+)` \|", guide, re.MULTILINE)) == EXTRAS
