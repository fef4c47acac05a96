"""The site builds without a warning, needs nobody else's server, and documents what is public."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Final

import pytest

import opencode_sync
from opencode_sync import gateway, testing
from opencode_sync.desktop import dispatch
from tests.docs.blocks import ROOT

# The site is the same whichever Python builds it.
pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the site is built on 3.11 only"
)

_SECONDS: Final = 110.0  # on a machine that is busy with the rest of the suite; it takes 5
_UNDER_ANOTHER_NAME: Final = {"opencode_sync.launch": "opencode_sync.launching.launch"}
"""A function in a module of its own name, which is what the reference takes the short name for."""

PUBLIC: Final = sorted(
    f"{module.__name__}.{name}"
    for module in (opencode_sync, gateway, testing, dispatch)
    for name in module.__all__
    if not name.startswith("_")
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as it is published."""
    folder = tmp_path_factory.mktemp("site")
    command = ["-m", "mkdocs", "build", "--strict", "-f", ".mkdocs.yml", "-d", str(folder)]
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},  # Material's word about its own future
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "WARNING" not in ended.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """No fonts, scripts, styles or pictures of other servers: readers are nobody's business."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"([^\"]*)\"", text)
        loaded += re.findall(r"<link[^>]*\shref=\"([^\"]*)\"", text)
        assert [each for each in loaded if "//" in each] == [], page.name


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    """Of the package, of its gateway, and of what it has for tests and for GUIs."""
    inventory = (site / "objects.inv").read_bytes()
    # Four lines in clear, and then all names, compressed.
    entries = zlib.decompress(inventory.split(b"\n", 4)[4]).decode()
    documented = {line.split(" ", 1)[0] for line in entries.splitlines()}
    names = [_UNDER_ANOTHER_NAME.get(name, name) for name in PUBLIC]
    assert [name for name in names if name not in documented] == []


def test_docstrings_leave_no_marks_of_another_language(site: Path) -> None:
    """They are read as Markdown: tables and references of reStructuredText would show as such."""
    for page in (site / "reference").glob("*.html"):
        text = re.sub(r"<pre>.*?</pre>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"={8,}|:(?:class|meth|func):|::</p>", text), page.name
