"""What several of the doubles ask of their arguments."""

from __future__ import annotations

from collections.abc import Iterable

from opencode_sync.errors import IpcArgumentError

__all__ = ["check_all", "check_count"]


def check_count(field: str, count: object) -> None:
    """See to it that it says how often.

    Raises:
        IpcArgumentError: it is no whole number of at least 1.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise IpcArgumentError(
            f"{field} is {count!r:.60}; give a whole number of at least 1", field=field
        )


def check_all(field: str, given: Iterable[object], wanted: type) -> None:
    """See to it that all are of a type of ``opencode_sync.types``.

    Raises:
        IpcArgumentError: one is not.
    """
    for each in given:
        if not isinstance(each, wanted):
            raise IpcArgumentError(
                f"{field} holds {each!r:.60}; give objects of type {wanted.__name__}, which is in "
                "opencode_sync.types",
                field=field,
            )
