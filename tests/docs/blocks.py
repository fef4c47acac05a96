"""The code blocks of README and guides, and the pages they are on.

A mark is an HTML comment on the line above a block's fence. It says how the block is tested:

=========================  =======================================================================
``run: KIND``              ``tests/docs/test_blocks.py`` runs it; the kinds are in ``running.py``
``tested: PATH``           the test in that file does, as it needs what only that test has
``prints``                 of a block that is no Python: the Python block before it prints this
=========================  =======================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["DOCS", "PAGES", "ROOT", "Block", "blocks_of", "prose_of"]

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

PAGES: Final = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
"""All pages for users, in a fixed order."""

_FENCE: Final = re.compile(r"^(?P<indent>\s*)(?P<ticks>`{3,}|~{3,})\s*(?P<language>[\w+-]*)")
_MARK: Final = re.compile(r"^<!-- (?P<mark>.+?) -->$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: The file it is in.
        line: The line its fence is on, from 1.
        language: What stands behind the fence's backticks; "" for nothing.
        text: What is in it.
        mark: The comment on the line above; "" for none.
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def place(self) -> str:
        """``"docs/guides/threads.md:12"``."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def kind(self) -> str:
        """How it is run: what stands behind ``run:``; "" where that is not its mark."""
        return self.mark.removeprefix("run: ") if self.mark.startswith("run: ") else ""


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    return [each for each in _pieces(page) if isinstance(each, Block)]


def prose_of(page: Path) -> list[tuple[int, str]]:
    """Return the lines that are in no block, with their numbers from 1."""
    return [each for each in _pieces(page) if isinstance(each, tuple)]


def _pieces(page: Path) -> Iterator[Block | tuple[int, str]]:
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence is None:
            yield number + 1, lines[number]
            number += 1
            continue
        begin = number + 1
        end = next(
            index
            for index in (*range(begin, len(lines)), len(lines))
            if index == len(lines) or lines[index].strip() == fence["ticks"]
        )
        mark = _MARK.match(lines[number - 1]) if number else None
        yield Block(
            page=page,
            line=number + 1,
            language=fence["language"],
            text="".join(line.removeprefix(fence["indent"]) + "\n" for line in lines[begin:end]),
            mark="" if mark is None else mark["mark"],
        )
        number = end + 1
