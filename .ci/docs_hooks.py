"""What the site (.mkdocs.yml) needs beyond the pages in docs/.

Pages link to files outside docs/, as they do for readers of the repository. On the site three of
those files are pages of their own; of a link to any other the words are left.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

_ROOT: Final = Path(__file__).parents[1]
_PAGES: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Where the site has what is in a file at the top; the README has a page in docs/ in its place."""

_LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    for source, page in _PAGES.items():
        if files.get_file_from_path(page) is None:
            text = (_ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Turn links that leave docs/ into links to pages, or into plain words."""
    here = page.file.src_uri
    at_top = here in _PAGES.values() and here != "index.md"
    folder = "." if at_top else posixpath.dirname(f"docs/{here}")

    def replace(link: re.Match[str]) -> str:
        words, path, anchor = link[1], link[2], link[3] or ""
        if ":" in path:
            return link[0]
        target = posixpath.normpath(posixpath.join(folder, path))
        inside = target.removeprefix("docs/") if target.startswith("docs/") else _PAGES.get(target)
        if inside is None:
            return words
        if target == "README.md":
            anchor = ""  # the page in its place has other headings
        return f"[{words}]({posixpath.relpath(inside, posixpath.dirname(here) or '.')}{anchor})"

    # Not within code, where such a thing is no link.
    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        part if index % 2 else _LINK.sub(replace, part) for index, part in enumerate(parts)
    )
