"""Switching this package's log on. It is off by default, as loguru asks of libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loguru import logger

__all__ = ["enable_logging"]


def enable_logging(sink: Any = None, level: str = "DEBUG") -> Callable[[], None]:
    """Let this package log through loguru.

    Messages carry structured fields (``request_id``, ``operation``, ``size``, ``state``) in
    ``record["extra"]`` and never a token.

    Args:
        sink: Where to, as ``loguru.logger.add`` takes it. None adds none: the messages go to the
            sinks the program has, which by loguru's default is standard error.
        level: The lowest level ``sink`` gets; of no effect without one.

    Returns:
        A function that switches it off again and removes the sink.
    """
    handler = None if sink is None else logger.add(sink, level=level, filter="opencode_sync")
    logger.enable("opencode_sync")

    def disable() -> None:
        logger.disable("opencode_sync")
        if handler is not None:
            logger.remove(handler)

    return disable
