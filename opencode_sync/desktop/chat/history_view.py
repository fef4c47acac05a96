"""The messages one below the other: a stretch of them, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import QFrame, QPushButton, QScrollArea, QWidget

from opencode_sync.desktop.chat.budget import Budget
from opencode_sync.desktop.chat.column import Stack
from opencode_sync.desktop.chat.entry import Entry
from opencode_sync.desktop.chat.message_view import MessageView
from opencode_sync.desktop.chat.quiet_bar import QuietBar
from opencode_sync.desktop.chat.stretch import Stretch
from opencode_sync.desktop.chat.transcript import Transcript

__all__ = ["HistoryView"]

_TURN_SECONDS: Final = 0.008
"""Of the Qt thread's time, before other events get theirs."""

_INTERVAL_MS: Final = 50
"""Between two drawings of an answer that is being written."""

_REST: Final = 4.0
"""How many times as long as the last drawing took is waited for the next."""


class HistoryView(QScrollArea):
    """Shows a stretch of a ``Transcript``, its end at first, and keeps up with it.

    While the end is in sight it stays there; whoever has scrolled away is left in peace. Drawing is
    done in turns of a few milliseconds, the newest message first.
    """

    earlier_wanted = Signal()
    """Somebody wants to see what is before the first message of the transcript."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make one that shows nothing."""
        super().__init__(parent)
        self._transcript: Transcript | None = None
        self._stretch = Stretch()
        self._has_earlier = self._awaits_earlier = False
        self._views: dict[int, MessageView] = {}
        self._dirty: dict[int, Entry] = {}
        self._interval = _INTERVAL_MS
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw)
        self._sticks = True  # to the end
        self._held: tuple[MessageView, int] | None = None  # has to stay at that height
        self._moving = False
        self._build()

    def _build(self) -> None:
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Always, because each change of the width would lay out everything again; but nobody sees
        # it while there is nothing to scroll.
        self.setVerticalScrollBar(QuietBar(self.viewport()))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAccessibleName(self.tr("Conversation"))
        self.viewport().setBackgroundRole(QPalette.ColorRole.Base)
        self._inside = QWidget(self)
        self._inside.setBackgroundRole(QPalette.ColorRole.Base)
        self._earlier = QPushButton(self.tr("Show &earlier messages"), self._inside)
        self._earlier.clicked.connect(self.show_earlier)
        self._later = QPushButton(self.tr("Show &later messages"), self._inside)
        self._later.clicked.connect(self.show_later)
        outer = Stack(self._inside, spacing=0)
        self._column = Stack(spacing=2)
        outer.addWidget(self._earlier)
        outer.addLayout(self._column)
        outer.addWidget(self._later)
        outer.addStretch(1)
        self.setWidget(self._inside)
        bar = self.verticalScrollBar()
        bar.rangeChanged.connect(self._range_changed)
        bar.valueChanged.connect(self._scrolled)
        self._show_buttons()

    # --- What is shown ---

    @property
    def views(self) -> list[MessageView]:
        """The messages on the page as far as they are drawn, from the top."""
        shown = (self._views.get(entry.key) for entry in self._stretch.shown)
        return [view for view in shown if view is not None]

    @property
    def busy(self) -> bool:
        """Whether something is still to be drawn."""
        return self._timer.isActive()

    def show_transcript(self, transcript: Transcript | None) -> None:
        """Show the end of this one, and nothing of what was shown before."""
        self._transcript, self._stretch = transcript, Stretch()
        self._has_earlier = self._awaits_earlier = False
        self._dirty = {}
        self._sticks, self._held = True, None
        self.refresh()

    def refresh(self, *, has_earlier: bool = False) -> None:
        """Look at the whole transcript again.

        Args:
            has_earlier: Whether ``earlier_wanted`` can bring more.
        """
        self._has_earlier = has_earlier
        self._update()
        for entry in self._stretch.shown:
            self._mark(entry)
        if self._awaits_earlier and not self._stretch.at_start:
            self._awaits_earlier = False
            self.show_earlier()
        self._plan(0)

    def update_entry(self, entry: Entry) -> None:
        """Look at one entry again, which may be new."""
        self._update()
        self._mark(entry)
        self._plan(self._interval)

    def _mark(self, entry: Entry) -> None:
        """Have all of an entry looked at again."""
        self._dirty[entry.key] = entry
        view = self._views.get(entry.key)
        if view is not None:
            view.look_again()

    def _update(self) -> None:
        entries = [] if self._transcript is None else self._transcript.entries
        # Nothing goes away under the eyes of somebody who reads it.
        self._stretch.update(entries, trim=self._sticks)

    def show_earlier(self) -> None:
        """Show what is before the stretch."""
        if self._stretch.at_start:
            self._awaits_earlier = True
            self.earlier_wanted.emit()
            return
        self._hold()
        self._stretch.move_up()
        self._moved()

    def show_later(self) -> None:
        """Show what is after the stretch."""
        self._hold()
        self._stretch.move_down()
        self._moved()

    def show_end(self) -> None:
        """Show the end, and stay there."""
        self._sticks, self._held = True, None
        self._stretch.move_to_end()
        self._moved()
        self._keep_place()

    def _moved(self) -> None:
        shown = self._stretch.shown
        self._dirty |= {each.key: each for each in shown if each.key not in self._views}
        self._plan(0)

    def _show_buttons(self) -> None:
        self._earlier.setVisible(not self._stretch.at_start or self._has_earlier)
        self._later.setVisible(not self._stretch.at_end)

    # --- Drawing ---

    def _plan(self, milliseconds: int) -> None:
        if not self._timer.isActive() or self._timer.remainingTime() > milliseconds:
            self._timer.start(milliseconds)

    def _draw(self) -> None:
        """Bring widgets up to date, for a moment; the rest follows when others had theirs."""
        budget = Budget(_TURN_SECONDS)
        shown = self._stretch.shown
        if not self._drop_views({entry.key for entry in shown}, budget):
            self._plan(0)
            return
        left: dict[int, Entry] = {}
        dirty = [each for each in range(len(shown)) if shown[each].key in self._dirty]
        # What one looks at first, then from the newest up.
        for position in sorted(dirty, key=lambda each: (not self._is_seen(shown[each]), -each)):
            entry = shown[position]
            if budget.over or not self._view_of(shown, position).sync(budget):
                left[entry.key] = entry
        self._dirty = left
        self._show_buttons()
        self._interval = max(_INTERVAL_MS, round(_REST * budget.spent * 1000))
        if left:
            self._plan(0)

    def _is_seen(self, entry: Entry) -> bool:
        view = self._views.get(entry.key)
        top = self.verticalScrollBar().value()
        return view is not None and (
            view.y() < top + self.viewport().height() and view.y() + view.height() > top
        )

    def _drop_views(self, kept: set[int], budget: Budget) -> bool:
        """Take away the views of what is not shown any more; False when there was no time."""
        for key in [key for key in self._views if key not in kept]:
            if budget.over:
                return False
            view = self._views.pop(key)
            if self._held is not None and self._held[0] is view:
                self._held = None
            self._column.removeWidget(view)
            view.hide()
            view.deleteLater()
        return True

    def _view_of(self, shown: Sequence[Entry], position: int) -> MessageView:
        entry = shown[position]
        view = self._views.get(entry.key)
        if view is None:
            view = self._views[entry.key] = MessageView(entry, self._inside)
            above = sum(each.key in self._views for each in shown[:position])
            self._column.insertWidget(above, view)
        return view

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme and the font, in turns as well."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.PaletteChange):
            self._draw_again()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Likewise the width."""
        if event.size().width() != event.oldSize().width():
            for view in self._views.values():
                view.wait()
            self._draw_again()
        super().resizeEvent(event)

    def _draw_again(self) -> None:
        if not self._sticks:
            self._hold()
        for entry in self._stretch.shown:
            self._mark(entry)
        self._plan(0)

    # --- Scrolling ---

    def _hold(self) -> None:
        """Have what is in sight stay where it is while something is put before it."""
        self._sticks, self._held = False, None
        top = self.verticalScrollBar().value()
        for view in self._views.values():
            if view.y() + view.height() > top and (
                self._held is None or view.y() < self._held[0].y()
            ):
                self._held = (view, view.y() - top)

    def _range_changed(self) -> None:
        if self._sticks or self._held is not None:
            self._keep_place()

    def _keep_place(self) -> None:
        bar = self.verticalScrollBar()
        value = bar.maximum()
        if not self._sticks and self._held is not None:
            layout = self._inside.layout()
            assert layout is not None
            layout.activate()  # or the views are still where they were
            view, height = self._held
            value = view.y() - height
        self._moving = True
        bar.setValue(value)
        self._moving = False

    def _scrolled(self, value: int) -> None:
        if not self._moving:
            self._sticks = value >= self.verticalScrollBar().maximum()
            self._held = None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Have Home and End lead there, too."""
        bar = self.verticalScrollBar()
        if event.key() == Qt.Key.Key_Home:
            bar.setValue(bar.minimum())
        elif event.key() == Qt.Key.Key_End:
            bar.setValue(bar.maximum())
        else:
            super().keyPressEvent(event)
