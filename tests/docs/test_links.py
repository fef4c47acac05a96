"""Every link on every page leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.docs.blocks import DOCS, PAGES, ROOT, prose_of

ALL_PAGES: Final = (
    *PAGES,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
)
_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)


def _text(page: Path) -> str:
    """Return a page without code, where nothing is a link."""
    return re.sub(r"`[^`\n]*`", "", "\n".join(line for _, line in prose_of(page)))


def _links(page: Path) -> list[str]:
    return [first or second for first, second in _LINK.findall(_text(page))]


def _anchors(page: Path) -> set[str]:
    """Return the names that headings have on this page, as mkdocs and GitHub make them."""
    anchors: set[str] = set()
    for _, line in prose_of(page):
        heading = re.match(r"#+ (.*)", line)
        if heading is not None:
            words = re.sub(r"[^\w\s-]", "", heading[1].replace("`", "")).strip().lower()
            anchors.add(re.sub(r"\s", "-", words))
    return anchors


LINKS: Final = [(page, link) for page in ALL_PAGES for link in _links(page)]
INTERNAL: Final = sorted({(p, link) for p, link in LINKS if not urlsplit(link).scheme})
EXTERNAL: Final = sorted({link for _, link in LINKS if urlsplit(link).scheme})


def _place(value: object) -> str:
    return value.relative_to(ROOT).as_posix() if isinstance(value, Path) else str(value)


@pytest.mark.parametrize(("page", "link"), INTERNAL, ids=_place)
def test_link_within_the_repository_leads_to_something(page: Path, link: str) -> None:
    """To a file that is there, and to a heading that it has."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists(), f"{link} is not there"
    assert target.is_relative_to(ROOT)
    if anchor:
        assert anchor in _anchors(target), f"{target.name} has no heading #{anchor}"


@pytest.mark.parametrize("link", EXTERNAL)
def test_link_to_the_outside_has_the_form_of_one(link: str) -> None:
    """Nothing is fetched: a test must not depend on other people's servers."""
    parts = urlsplit(link)
    assert parts.scheme == "https"
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc)
    assert not re.search(r"[<>\"\\^`{|}]", link)


def test_guides_are_linked_from_the_first_page() -> None:
    """Whoever comes in by the home page finds every guide."""
    home = _links(DOCS / "index.md")
    guides = {each.relative_to(DOCS).as_posix() for each in (DOCS / "guides").glob("*.md")}
    assert guides <= {link.partition("#")[0] for link in home}
