"""Every block of code on every page for users does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, Block, blocks_of
from tests.docs.running import KINDS

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language in ("python", "py", "pycon")]
# What README's own test runs, and looks at more closely, is not run twice.
RUN = [block for block in PYTHON if block.kind and block.page.name != "README.md"]


def _printed_by(block: Block) -> str | None:
    """What a page says that a block prints; None where it says nothing."""
    following = [each for each in blocks_of(block.page) if each.line > block.line][:1]
    return following[0].text if following and following[0].mark == "prints" else None


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_block_of_python_says_how_it_is_tested(block: Block) -> None:
    """Nothing on a page is left to the reader to find out."""
    path, is_elsewhere = block.mark.removeprefix("tested: "), block.mark.startswith("tested: ")
    if is_elsewhere:
        assert block.page.name in (ROOT / path).read_text(encoding="utf-8")
    else:
        assert block.kind in KINDS, (
            f"{block.place} has the mark {block.mark!r}; write one of these on the line above it: "
            f"{', '.join(f'<!-- run: {kind} -->' for kind in KINDS)}, <!-- tested: PATH -->"
        )


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.place)
def test_block_runs(
    block: Block,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It ends without an error, and prints what the page says that it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENCODE_IPC_PORT", raising=False)
    monkeypatch.delenv("OPENCODE_IPC_TOKEN", raising=False)
    KINDS[block.kind](block, tmp_path, monkeypatch)
    expected = _printed_by(block)
    if expected is not None:
        assert capsys.readouterr().out == expected


def test_output_follows_what_prints_it() -> None:
    """A mark that belongs to no block would be checked against nothing."""
    for page in PAGES:
        blocks = blocks_of(page)
        for before, block in zip([None, *blocks], blocks, strict=False):
            if block.mark == "prints":
                assert before is not None
                assert before.kind, f"{block.place} comes after a block that is not run"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```python\nx = 1\n```\n", [(1, "python", "x = 1\n", "")]),
        ("<!-- run: alone -->\n```python\nx\n```\n", [(2, "python", "x\n", "run: alone")]),
        ("<!-- run: alone -->\n\n```python\nx\n```\n", [(3, "python", "x\n", "")]),
        ("````md\n```python\nx\n```\n````\n", [(1, "md", "```python\nx\n```\n", "")]),
        ("- item\n\n  ```sh\n  a\n  ```\n", [(3, "sh", "a\n", "")]),
        ("```\nno end\n", [(1, "", "no end\n", "")]),
    ],
    ids=["plain", "marked", "mark-apart", "nested", "indented", "open"],
)
def test_reader_of_blocks_sees_every_form(
    tmp_path: Path, text: str, expected: list[tuple[int, str, str, str]]
) -> None:
    """The tests above see all blocks that a reader sees."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    found = [(each.line, each.language, each.text, each.mark) for each in blocks_of(page)]
    assert found == expected
