"""Switching this package's log on. It is off by default, as loguru asks of libraries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from opencode_sync.errors import IpcArgumentError

__all__ = ["enable_logging"]

_PACKAGE: Final = "opencode_sync"
_LAST_LINES: Final = 1.0
"""Seconds that the sinks have for what happened before the log was switched off."""

_lock = threading.Lock()  # guards _users, and the switch with it
_users = 0


def enable_logging(
    level: str | int = "DEBUG", sink: Any = None, *, json: bool = False
) -> Callable[[], None]:
    """Let this package log. What it says at which level is in ``docs/logging.md``.

    Messages have fields (``request_id``, ``operation``, ``size``, ``state``, ...), which a sink
    shows behind the text. No token and no key is logged; all that is known to be a secret, or looks
    like one, is masked besides, in text, fields and exceptions.

    Args:
        level: The lowest level that ``sink`` gets, by name or number; of no effect without one.
        sink: Where to:

            - a stream, a file's path or a function, or whatever else ``loguru.logger.add`` takes;
            - a ``logging.Logger`` or ``logging.Handler`` of the standard library, which gets the
              fields as the record's attribute ``opencode_sync``;
            - None adds no sink: the messages go to those that the program has in loguru, which
              decide what is shown. By loguru's default that is standard error, where nothing is
              shown once more of what a sink given here gets.
        json: Whether each message is one line of JSON: ``time``, ``level``, ``logger``,
            ``thread``, ``message``, ``fields`` and, if there is one, ``exception``.

    Returns:
        A function that removes the sink, and switches the log off unless another call has it on.

    Raises:
        IpcArgumentError: there is no such level, or ``json`` is asked for without a sink.
    """
    if sink is None and json:
        raise IpcArgumentError(
            "json says how a sink's lines look and there is no sink; give one, such as sys.stderr",
            field="json",
        )
    from opencode_sync.log_sinks import add_sink, show_in_program
    from opencode_sync.log_thread import finish_log

    remove: Callable[[], None]
    if sink is None:
        show_in_program(1)
        remove = partial(show_in_program, -1)
    else:
        remove = add_sink(level, sink, json=json)
    _count(1)
    once = threading.Lock()  # taken for good by the call that ends it

    def disable() -> None:
        if once.acquire(False):
            finish_log(_LAST_LINES)  # what has happened so far is still told
            _count(-1)
            remove()

    return disable


def _count(step: int) -> None:
    global _users
    from loguru import logger  # not before somebody wants it

    with _lock:
        _users += step
        if _users:
            logger.enable(_PACKAGE)
        else:
            logger.disable(_PACKAGE)
