"""The strips above the page together: what each says, and what makes it go."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from opencode_sync.desktop.banner import Banner
from opencode_sync.desktop.errors import Kind, Problem, problem_of
from opencode_sync.desktop.symbols import Symbol
from opencode_sync.desktop.theme import Tone

__all__ = ["Banners"]

_OF_THE_LINK: Final = (Kind.CONNECTION, Kind.TIMEOUT)


class Banners(QWidget):
    """One strip for a lost connection and one for the newest error; no room without either."""

    retry_wanted = Signal()
    offer_taken = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lost = Banner()
        self.error = Banner()
        self._problem: Problem | None = None
        self._of_loading = False
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 0)
        for banner in (self.lost, self.error):
            column.addWidget(banner)
            banner.retry_wanted.connect(self.retry_wanted)
            banner.closed.connect(self._arrange)
        self.error.offer_taken.connect(self.offer_taken)
        self._arrange()

    # --- The connection ---

    def show_lost(self, cause: BaseException) -> None:
        """Say that the connection is gone, and that it is being restored."""
        self.lost.show_problem(
            Problem(
                kind=Kind.CONNECTION,
                symbol=Symbol.NO_LINK,
                tone=Tone.DANGER,
                title=self.tr("Connection to backend lost"),
                text=self.tr("Trying to come back. ({0})").format(problem_of(cause).text),
                retry=True,
            )
        )
        self._arrange()

    def hide_lost(self) -> None:
        """Say no more that the connection is gone."""
        self.lost.hide()
        self._arrange()

    def show_connected(self) -> None:
        """The connection is there: what was wrong with it is over."""
        self.hide_lost()
        if self._problem is not None and self._problem.kind in _OF_THE_LINK:
            self.hide_error()

    # --- Errors ---

    def show_error(self, problem: Problem, *, of_loading: bool = False) -> None:
        """Show an error in the place of the one before.

        Args:
            problem: What the strip says.
            of_loading: Whether it is over once the list of sessions is there; see ``show_loaded``.
        """
        self._problem, self._of_loading = problem, of_loading
        self.error.show_problem(problem)
        self._arrange()

    def show_failure(self, error: BaseException, doing: str) -> None:
        """Show why something of the list failed, unless the lost connection says so already.

        Args:
            error: What was raised.
            doing: What was tried, as the beginning of the text; "" for loading the list, which is
                done again by itself once the connection is back.
        """
        problem = problem_of(error, doing)
        if self.lost.isHidden() or doing or problem.kind not in _OF_THE_LINK:
            self.show_error(problem, of_loading=not doing)

    def hide_error(self) -> None:
        """Show no error: something else is tried now."""
        self._problem, self._of_loading = None, False
        self.error.hide()
        self._arrange()

    def show_loaded(self) -> None:
        """The list is there: why it was not before matters no more."""
        if self._of_loading:
            self.hide_error()

    def _arrange(self) -> None:
        self.setVisible(not (self.lost.isHidden() and self.error.isHidden()))
