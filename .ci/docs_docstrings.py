"""Reads docstrings for the site, where they are taken for Markdown.

In the source they use two forms of reStructuredText that are easier to read there: tables between
lines of "=", and "::" before an example.
"""

from __future__ import annotations

import re
from typing import Any, Final

from griffe import Extension, Object

__all__ = ["MarkdownDocstrings", "as_markdown"]

_BORDER: Final = re.compile(r"=+(?: +=+)+")


class MarkdownDocstrings(Extension):
    """Rewrites each docstring as it is read."""

    def on_object(self, *, obj: Object, **others: Any) -> None:
        """Change one."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Return a docstring's text as Markdown."""
    lines: list[str] = []
    waiting = text.splitlines()
    while waiting:
        line = waiting.pop(0)
        if _BORDER.fullmatch(line.strip()):
            lines += _table(line, waiting)
        else:
            lines.append(re.sub(r"::$", ":", line))
    return "\n".join(lines)


def _table(border: str, waiting: list[str]) -> list[str]:
    """Take a table's lines from those that wait, and return them in the other form."""
    indent = border[: len(border) - len(border.lstrip())]
    begins = [match.start() for match in re.finditer("=+", border)]
    ends = [*begins[1:], None]
    rows: list[list[str]] = []
    header = ["" for _ in begins]
    while waiting:
        line = waiting.pop(0)
        if _BORDER.fullmatch(line.strip()):
            if waiting and waiting[0].strip():
                header = rows.pop()
                continue
            break
        cells = [line[begin:end].strip() for begin, end in zip(begins, ends, strict=True)]
        if rows and not cells[0]:  # goes on with the row above
            rows[-1] = [
                f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)
            ]
        else:
            rows.append(cells)
    ruled = [header, ["---"] * len(begins), *rows]
    return [
        f"{indent}| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
        for row in ruled
    ]
