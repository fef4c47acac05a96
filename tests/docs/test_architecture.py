"""The architecture's tables of threads and locks are those of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import opencode_sync
from tests.docs.blocks import DOCS

_ROOT: Final = Path(opencode_sync.__path__[0])
_TEXT: Final = (DOCS / "architecture.md").read_text(encoding="utf-8")

_ELSEWHERE: Final = ("cli", "desktop", "metrics", "testing")
"""Rooms on top of what the page is about; their locks are leaves, and said in their own files."""

_SHOWN: Final = "desktop/dispatch/"
"""What programs of others build on all the same."""

_DISTRIBUTION: Final = "sdk"
"""What follows in the name by which pip knows the package."""

_LOCKS: Final = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore"}


def _section(heading: str) -> str:
    return re.split(r"^## ", _TEXT.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]


def _modules(*, without: tuple[str, ...] = ()) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(_ROOT.rglob("*.py")):
        name = path.relative_to(_ROOT).as_posix()
        if name.partition("/")[0] not in without or name.startswith(_SHOWN):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def _locks_of(node: ast.AST, owner: str) -> Iterator[str]:
    """Return each lock as ``Class._attribute`` or ``module._name``; local variables are none."""
    if isinstance(node, ast.ClassDef):
        owner = node.name
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        made = ast.unparse(node.value.func)
        target = node.targets[0]
        if made.removeprefix("threading.") in _LOCKS:
            if isinstance(target, ast.Attribute):
                yield f"{owner}.{target.attr}"
            elif isinstance(target, ast.Name) and target.col_offset == 0:
                yield f"{owner}.{target.id}"
    for child in ast.iter_child_nodes(node):
        yield from _locks_of(child, owner)


def test_every_lock_is_in_a_table() -> None:
    """With what it guards; and none that there is no more."""
    locks = {
        lock
        for name, module in _modules(without=_ELSEWHERE)
        for lock in _locks_of(module, Path(name).stem)
    }
    first_cells = re.findall(r"^\| (`.*?`) \|", _section("Locks"), re.MULTILINE)
    written = {name for cell in first_cells for name in re.findall(r"`([\w.]+)`", cell)}
    assert written == locks


def test_every_thread_is_in_a_table() -> None:
    """Under the name by which a debugger shows it."""
    section = _section("Threads")
    table = set(re.findall(r"^\| `?(\w+)`? \|", section, re.MULTILINE)) - {"thread"}
    named = set(re.findall(r"`opencode-sync-([\w-]+?)(?:-?\.\.\.)?`", section)) - {"gateway"}
    of_client = {name for name in table if f"| `{name}`" not in section} - {"callers"}
    of_gateway = {f"gateway-{name}" for name in table if f"| `{name}`" in section}
    made = {
        name
        for _, module in _modules(without=("desktop", "testing"))
        for name in _thread_names(module)
    }
    assert made == of_client | of_gateway | named


def _thread_names(module: ast.Module) -> Iterator[str]:
    """Return what follows ``opencode-sync-`` in texts that are names; those of files are none."""
    files = {
        id(each.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        for each in node.keywords
        if each.arg == "prefix"
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and id(node) not in files:
            name = re.fullmatch(r"opencode-sync-([a-z]+(?:-[a-z]+)*)-?", str(node.value))
            if name is not None and name[1] != _DISTRIBUTION:
                yield name[1]
