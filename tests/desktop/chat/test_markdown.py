"""Markdown of somebody whom nobody trusts: it loads nothing, runs nothing, and stays readable."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import (
    QDesktopServices,
    QFont,
    QFontInfo,
    QImage,
    QKeyEvent,
    QPalette,
    QTextBlock,
    QTextCharFormat,
    QTextDocument,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QLabel, QTextBrowser
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import segments
from opencode_sync.desktop.chat.budget import Budget
from opencode_sync.desktop.chat.entry import Entry, TextPart
from opencode_sync.desktop.chat.history_view import HistoryView
from opencode_sync.desktop.chat.markdown import (
    is_safe,
    markdown_document,
    open_link,
    plain_document,
)
from opencode_sync.desktop.chat.texts import MarkdownText
from opencode_sync.desktop.chat.transcript import Transcript
from tests.desktop.watch import Watch, never_held

pytestmark = pytest.mark.usefixtures("qapp")


def document(text: str) -> QTextDocument:
    made = markdown_document(text, QFont(), QPalette())
    made.setTextWidth(400)  # lays it out, which is when Qt looks for pictures
    return made


def blocks(made: QTextDocument) -> list[QTextBlock]:
    found, block = [], made.begin()
    while block.isValid():
        found.append(block)
        block = block.next()
    return found


def styles(made: QTextDocument) -> list[tuple[str, QTextCharFormat]]:
    return [
        (step.fragment().text(), step.fragment().charFormat())
        for block in blocks(made)
        for step in block
    ]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user's browser was asked to open."""
    links: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: links.append(url.toString()))
    return links


# --- Pictures and HTML ---


@pytest.mark.parametrize(
    "place", ["![a cat]({0})", "| ![a cat]({0}) |\n|---|\n| x |", "- ![a cat]({0})"]
)
def test_a_picture_is_its_description_and_its_file_is_not_read(place: str, tmp_path: Path) -> None:
    """A picture of 300 pixels would make the text that high, if it were looked at."""
    file = tmp_path / "cat.png"
    assert QImage(300, 300, QImage.Format.Format_RGB32).save(str(file))
    made = document(place.format(file.as_uri()))
    assert "[a cat]" in made.toPlainText()
    assert not any(style.isImageFormat() for _, style in styles(made))
    assert made.size().height() < 200


def test_several_pictures_in_a_line_with_text_between() -> None:
    made = document("one ![A](http://x/a.png) two ![B](https://x/b.png) three ![](c.png)")
    assert made.toPlainText().strip() == "one [A] two [B] three"


def test_a_long_description_is_cut() -> None:
    assert len(document(f"![{'x' * 5_000}](a.png)").toPlainText()) < 300


def test_html_is_text() -> None:
    text = "<b>bold</b> <img src='file:///etc/hostname'> <a href='http://x'>y</a>"
    made = document(text)
    assert made.toPlainText() == text
    assert not any(style.isAnchor() or style.isImageFormat() for word, style in styles(made))


def test_nothing_is_hidden_that_stands_between_dashes_at_the_beginning() -> None:
    """There Qt expects what is about the document, and shows none of it."""
    shown = document("---\nhidden: words\n---\nvisible").toPlainText()
    assert "hidden: words" in shown
    assert "visible" in shown


def test_what_turns_the_writing_direction_is_seen_and_does_nothing() -> None:
    assert document("a \u202eb\u2066c").toPlainText() == "a \ufffdb\ufffdc"
    assert plain_document("a \u202eb", QFont()).toPlainText() == "a \ufffdb"


# --- Links ---


@pytest.mark.parametrize(
    "link",
    ["file:///etc/passwd", "javascript:alert(1)", "smb://host/share", "vscode://x", "a.html", "#x"],
)
def test_a_link_to_elsewhere_is_no_link(link: str, opened: list[str]) -> None:
    made = document(f"see [this]({link}) and go on")
    assert made.toPlainText() == "see this and go on"
    assert not any(style.isAnchor() or style.anchorHref() for _, style in styles(made))
    open_link(QUrl(link))
    assert opened == []


def test_a_link_to_the_web_is_one(opened: list[str]) -> None:
    made = document("see [this](https://example.com/a)")
    assert [(word, s.anchorHref()) for word, s in styles(made) if s.isAnchor()] == [
        ("this", "https://example.com/a")
    ]
    open_link(QUrl("https://example.com/a"))
    assert opened == ["https://example.com/a"]


@pytest.mark.parametrize("link", ["https://", "http:///x", "", "https:x"])
def test_a_link_without_a_host_is_not_safe(link: str) -> None:
    assert not is_safe(QUrl(link))


def test_a_click_opens_a_link_and_hovering_tells_where_it_leads(
    qtbot: QtBot, opened: list[str]
) -> None:
    text = MarkdownText()
    qtbot.addWidget(text)
    text.show_text("[a bank](https://evil.example/<b>)", Budget(1))
    (piece,) = text.findChildren(QTextBrowser)
    piece.highlighted.emit(QUrl("https://evil.example/<b>"))
    assert piece.toolTip().startswith("<qt>https://evil.example/")
    assert "<b>" not in piece.toolTip()
    assert opened == []
    piece.anchorClicked.emit(QUrl("https://evil.example/"))
    assert opened == ["https://evil.example/"]


# --- Looks ---


@pytest.mark.parametrize(
    ("base", "link", "seen"),
    [
        ("#ffffff", "#0000ff", "#0000ff"),
        ("#000000", "#0000ff", "#eeeeee"),  # which nobody could read
        ("#1b1e23", "#5f9cff", "#5f9cff"),
    ],
)
def test_links_can_be_read_on_any_ground(base: str, link: str, seen: str) -> None:
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.Base, base)
    palette.setColor(QPalette.ColorRole.Link, link)
    palette.setColor(QPalette.ColorRole.Text, "#eeeeee")
    made = markdown_document("a [link](https://x.org) and [none](x:y)", QFont(), palette)
    look = dict(styles(made))
    assert look["link"].foreground().color().name() == seen
    assert look["link"].fontUnderline()
    plain = "".join(word for word, style in styles(made) if not style.fontUnderline())
    assert plain == "a  and none"


def test_long_lines_of_code_wrap_on_a_ground_of_their_own() -> None:
    made = document("```py\nx = '" + "long " * 100 + "'\n```")
    (code,) = [block for block in blocks(made) if "long" in block.text()]
    assert not code.blockFormat().nonBreakableLines()
    assert code.blockFormat().background().color() == QPalette().color(
        QPalette.ColorRole.AlternateBase
    )
    assert made.idealWidth() <= 400


@pytest.mark.parametrize("before", ["", "```\nx\n```\n\n", "text\n\n"])
def test_all_headings_of_a_table_look_alike(before: str) -> None:
    made = document(f"{before}| first | second |\n|---|---|\n| 1 | 2 |\n")
    weight = {word: style.fontWeight() for word, style in styles(made)}
    assert weight["first"] == weight["second"] == QFont.Weight.Bold
    margin = {block.text(): block.blockFormat().topMargin() for block in blocks(made)}
    assert margin["first"] == margin["second"]
    texts = [block.text() for block in blocks(made)]
    assert texts.index("second") - texts.index("first") == 1


def test_no_text_at_all_is_nothing() -> None:
    assert document("").toPlainText() == ""


# --- The widget ---


@pytest.fixture
def widget(qtbot: QtBot) -> MarkdownText:
    made = MarkdownText()
    qtbot.addWidget(made)
    made.resize(300, 100)
    made.show()
    return made


def pieces(widget: MarkdownText) -> list[QTextBrowser]:
    layout = widget.layout()
    assert layout is not None
    inside = [layout.itemAt(index).widget() for index in range(layout.count())]
    return [each for each in inside if isinstance(each, QTextBrowser)]


def test_it_is_as_high_as_its_text_at_each_width(qtbot: QtBot, widget: MarkdownText) -> None:
    widget.show_text("words " * 200, Budget(1))
    qtbot.waitUntil(lambda: widget.heightForWidth(600) > 0)  # the piece is visible
    wide, narrow = widget.heightForWidth(600), widget.heightForWidth(200)
    assert narrow > 2 * wide > 0
    assert widget.heightForWidth(600) == wide


def test_growing_leaves_the_pieces_before_the_last_alone(widget: MarkdownText) -> None:
    paragraph = "words " * 100 + "\n\n"
    widget.show_text(paragraph * 20, Budget(1))
    before = [each.document() for each in pieces(widget)]
    widget.show_text(paragraph * 20 + "more", Budget(1))
    after = [each.document() for each in pieces(widget)]
    assert len(before) == len(after) > 3
    assert after[:-1] == before[:-1]
    assert after[-1] is not before[-1]


def test_a_long_text_is_shown_in_turns(widget: MarkdownText) -> None:
    text = ("words " * 100 + "\n\n") * 40
    turns = 1
    while not widget.show_text(text, Budget(0)):
        turns += 1
    assert turns == len(pieces(widget)) > 5
    assert "".join(each.toPlainText() for each in pieces(widget)).count("words") == 4_000


@pytest.mark.parametrize(
    "text",
    [
        "|a|b|c|d|e|f|g|h|\n" + "|-" * 8 + "|\n" + "|1|2|3|4|5|6|7|8|\n" * 100,
        "|a|b|\n|-|-|\n" + "|x|y|\n" * 2_000,
        "`a" * 2_400,
        "\u202e\u05d0\u0627" * 1_600,
        "\u1820a\u05301" * 1_200,
        "www.a.b " * 1_200,
        "\n" * 40_000 + "end",
        "a\n\n" * 3_000,
        "![a](x) " * 600,
        "a\n=\n" * 2_000,
        "e" + "\u0301" * 20_000,
    ],
    ids=[
        "table",
        "rows",
        "code",
        "turns",
        "scripts",
        "links",
        "blank",
        "parts",
        "pictures",
        "titles",
        "marks",
    ],
)
@pytest.mark.parametrize("role", ["assistant", "user"])
def test_no_text_holds_the_window(
    qtbot: QtBot, role: Literal["assistant", "user"], text: str
) -> None:
    transcript = Transcript("ses_1")
    transcript.load([Entry("msg_1", role, {"part": TextPart(text)})])

    def draw(watch: Watch) -> None:
        history = HistoryView()
        qtbot.addWidget(history)
        history.resize(600, 700)
        history.show()
        QApplication.processEvents()
        watch.during(lambda: history.show_transcript(transcript))
        watch.until(lambda: not history.busy)

    never_held(draw)


def test_a_prompt_of_megabytes_in_the_history_does_not_hold_the_window(qtbot: QtBot) -> None:
    transcript = Transcript("ses_1")
    transcript.load([Entry("msg_1", "user", {"part": TextPart("a line of it\n" * 400_000)})])
    history = HistoryView()
    qtbot.addWidget(history)
    history.resize(600, 700)
    history.show()

    def draw(watch: Watch) -> None:
        history.show_transcript(None)
        watch.during(lambda: history.show_transcript(transcript))
        # Those that follow are as these.
        watch.until(lambda: len(history.findChildren(QTextBrowser)) >= 30)
        watch.during(lambda: history.show_transcript(None))
        watch.until(lambda: not history.busy and not history.views)

    never_held(draw)


def test_more_pieces_than_anybody_reads_are_left_out_and_said_to_be(widget: MarkdownText) -> None:
    columns = "|a" * 20 + "|\n" + "|-" * 20 + "|\n"
    widget.show_text(columns + "|\n" * 40, Budget(5))
    assert len(pieces(widget)) > 5
    limited = MarkdownText(widget)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_MOST", 5)
        assert limited.show_text(columns + "|\n" * 40, Budget(5))
    assert len(pieces(limited)) == 5
    assert "characters more" in limited.findChildren(QLabel)[0].text()


def test_another_text_takes_the_place_of_a_longer_one(widget: MarkdownText) -> None:
    widget.show_text(("words " * 100 + "\n\n") * 20, Budget(1))
    widget.show_text("short", Budget(1))
    assert [each.toPlainText() for each in pieces(widget)] == ["short"]


def test_more_than_anybody_reads_is_left_out_and_said_to_be(widget: MarkdownText) -> None:
    text = ("x" * 99 + "\n") * 2_050
    while not widget.show_text(text, Budget(0.5)):
        pass
    shown = "".join(each.toPlainText() for each in pieces(widget))
    assert 190_000 < len(shown) <= 200_000
    (said,) = widget.findChildren(QLabel)
    assert "5000 characters more" in said.text()
    widget.show_text(text + "y", Budget(0.5))
    assert "5001 characters more" in said.text()


def test_it_follows_the_theme_and_the_font_when_there_is_time(widget: MarkdownText) -> None:
    text = "```\ncode\n```"
    widget.show_text(text, Budget(1))
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.AlternateBase, "#123456")
    widget.setPalette(palette)
    (piece,) = pieces(widget)
    assert widget.show_text(text, Budget(0))
    ground = piece.document().begin().blockFormat().background().color()
    assert ground.name() == "#123456"
    font = QFont()
    font.setPointSize(30)
    shown = piece.document()
    widget.setFont(font)
    assert piece.document() is shown
    assert QFontInfo(shown.defaultFont()).pointSize() < 30
    assert widget.show_text(text, Budget(0))
    assert QFontInfo(piece.document().defaultFont()).pointSize() == 30


def test_what_waits_follows_the_width_piece_by_piece(widget: MarkdownText) -> None:
    text = "words " * 2_000
    widget.show_text(text, Budget(1))
    QApplication.processEvents()
    before = [piece.document().textWidth() for piece in pieces(widget)]
    widget.wait()
    widget.resize(250, 100)
    QApplication.processEvents()
    assert [piece.document().textWidth() for piece in pieces(widget)] == before
    assert not widget.show_text(text, Budget(0))
    assert [piece.document().textWidth() for piece in pieces(widget)] == [250, *before[1:]]
    while not widget.show_text(text, Budget(0)):
        pass
    assert {piece.document().textWidth() for piece in pieces(widget)} == {250}


def test_what_waits_is_seen_at_the_width_it_had(widget: MarkdownText) -> None:
    widget.show_text("words " * 200, Budget(1))
    QApplication.processEvents()
    widget.grab()
    (piece,) = pieces(widget)
    before, height = piece.document().textWidth(), piece.heightForWidth(piece.width())
    piece.heightForWidth(100)  # as layouts ask
    widget.wait()
    piece.grab()
    assert piece.document().textWidth() == before
    assert piece.heightForWidth(120) == height


def test_what_was_never_seen_does_not_wait_for_its_width(widget: MarkdownText) -> None:
    widget.show_text("words " * 200, Budget(1))
    widget.wait()
    widget.resize(321, 400)
    QApplication.processEvents()
    widget.grab()
    (piece,) = pieces(widget)
    assert piece.document().textWidth() == piece.viewport().width() == widget.width()


@pytest.mark.parametrize("key", ["PageDown", "Up", "End"])
def test_scrolling_is_left_to_what_it_is_in(widget: MarkdownText, key: str) -> None:
    widget.show_text("words", Budget(1))
    (piece,) = pieces(widget)
    none = Qt.KeyboardModifier.NoModifier
    pressed = QKeyEvent(QEvent.Type.KeyPress, getattr(Qt.Key, f"Key_{key}"), none)
    piece.keyPressEvent(pressed)
    assert not pressed.isAccepted()
    turned = QWheelEvent(
        QPointF(1, 1),
        QPointF(1, 1),
        QPoint(0, 1),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        none,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    piece.wheelEvent(turned)
    assert not turned.isAccepted()
    copied = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    piece.keyPressEvent(copied)
    assert copied.isAccepted()
