"""Docstrings, which are read as plain text too, become the Markdown that the site needs."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.docs.blocks import ROOT


@pytest.fixture(scope="module")
def reading() -> ModuleType:
    """The extension that the site's settings name; it is in no package."""
    place = ROOT / ".ci" / "docs_docstrings.py"
    found = importlib.util.spec_from_file_location("docs_docstrings", place)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One line.", "One line."),
        ("Example::\n\n    x = 1", "Example:\n\n    x = 1"),
        (
            "=====  =====\n``a``  first\n       and on\n``b``  a | b\n=====  =====\n\nEnd.",
            "|  |  |\n| --- | --- |\n| ``a`` | first and on |\n| ``b`` | a \\| b |\n\nEnd.",
        ),
        (
            "====  ====\nname  does\n====  ====\nx     this\n====  ====",
            "| name | does |\n| --- | --- |\n| x | this |",
        ),
        (
            "  ====  ====\n  x     longer than the border\n  ====  ====",
            "  |  |  |\n  | --- | --- |\n  | x | longer than the border |",
        ),
    ],
    ids=["plain", "example", "table", "header", "indented"],
)
def test_docstring_becomes_markdown(reading: ModuleType, text: str, expected: str) -> None:
    """Nothing is lost, and nothing that was Markdown is touched."""
    assert reading.as_markdown(text) == expected
