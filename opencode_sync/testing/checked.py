"""A conversation that was agreed on beforehand: at the end of its block it is looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__all__ = ["Checked"]


class Checked(ABC):
    """Closes at the end of a ``with`` block, and then verifies, unless the block has failed.

    The error of a block that has failed gets a note of what did not go as agreed.
    """

    @abstractmethod
    def close(self) -> None:
        """End all connections and their threads. Idempotent."""

    @abstractmethod
    def verify(self) -> None:
        """Raise what there is to raise about how it went."""

    @abstractmethod
    def _report(self) -> str:
        """Return all that did not go as agreed; "" when all did."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if error is None:
            self.verify()
        elif problems := self._report():
            error.add_note(problems)
