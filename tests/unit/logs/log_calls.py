"""What the package's source logs, read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import opencode_sync

ROOT = Path(opencode_sync.__file__).parent

_LEVELS = {
    "trace": "TRACE",
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
}


class LogCall(NamedTuple):
    """One message that may be logged."""

    level: str
    message: str
    fields: tuple[str, ...]
    """The names that are bound, sorted."""
    module: str


def calls_in_package() -> set[LogCall]:
    """Return all messages of the package."""
    found: set[LogCall] = set()
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found.update(calls_in(path.read_text("utf-8"), module))
    return found


def calls_in(source: str, module: str) -> Iterator[LogCall]:
    """Yield the messages that a module logs by its ``logger``."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, fields = node.func.attr, _bound(node.func.value)
        if fields is None or name not in {*_LEVELS, "log"}:
            continue
        if name == "log":
            levels, message = _levels(node.args[0], tree), node.args[1]
        else:
            levels, message = [_LEVELS[name]], node.args[0]
        assert isinstance(message, ast.Constant), f"{module}:{node.lineno} logs no plain text"
        for level in levels:
            yield LogCall(level, str(message.value), fields, module)


def _bound(node: ast.expr) -> tuple[str, ...] | None:
    """Return what is bound to ``logger`` in front of a call; None if it is no logger."""
    if isinstance(node, ast.Name):
        return () if node.id == "logger" else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        before = _bound(node.func.value)
        if before is None or node.func.attr not in ("bind", "opt"):
            return None
        names = [each.arg or "" for each in node.keywords] if node.func.attr == "bind" else []
        return tuple(sorted([*before, *names]))
    return None


def _levels(node: ast.expr, tree: ast.Module) -> list[str]:
    """Return the levels that an expression may be: names, or a choice of two."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return _levels(node.body, tree) + _levels(node.orelse, tree)
    assert isinstance(node, ast.Name), f"line {node.lineno} chooses its level too cleverly"
    for each in ast.walk(tree):
        if (
            isinstance(each, ast.Assign)
            and isinstance(each.targets[0], ast.Name)
            and each.targets[0].id == node.id
        ):
            return _levels(each.value, tree)
    raise AssertionError(f"line {node.lineno}: what is {node.id}?")
