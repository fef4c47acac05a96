"""The sinks of this package's log: text or JSON, by loguru or the standard library, masked.

Imported when a sink is given, for it needs loguru.
"""

from __future__ import annotations

import json as json_module
import logging
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from loguru import logger

from opencode_sync.errors import IpcArgumentError
from opencode_sync.masking import show
from opencode_sync.printable import printable

__all__ = ["add_sink", "show_in_program"]

_PACKAGE: Final = "opencode_sync"

_TEXT: Final = (
    "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> | <level>{level: <8}</level> | "
    "<cyan>{name}</cyan> - <level>{message}</level>{opencode_sync}\n{exception}"
)
_JSON: Final = "{opencode_sync}\n"

_lock = threading.Lock()  # guards the change of the next three
_shown = 0  # who wants the program's own sinks to show all
_sinks = 0  # ours
_hushed: Any = None


def show_in_program(step: int) -> None:
    """Count one more (or, with -1, one less) who wants the program's own sinks to show all."""
    global _shown
    with _lock:
        _shown += step


def _count_sinks(step: int) -> None:
    global _sinks
    with _lock:
        _sinks += step


def _hush_default_sink() -> None:
    """Keep loguru's default sink from showing once more what a sink of ours shows.

    A program that knows nothing of loguru has that sink all the same, on standard error. There is
    no public way to it but to remove it, and then the program's own ``logger.remove(0)`` would
    fail. If loguru changes inside, messages are shown twice; nothing else comes of it.
    """
    global _hushed
    library: Any = logger
    try:
        default = library._core.handlers.get(0)
        if default is None or default is _hushed or default._name != "<stderr>":
            return
        before = default._filter
    except AttributeError:
        return

    def passes(record: Any) -> bool:
        if _sinks and not _shown and _belongs_to_us(record):
            return False
        return before is None or bool(before(record))

    with _lock:
        default._filter, _hushed = passes, default


def add_sink(level: str | int, sink: Any, *, json: bool) -> Callable[[], None]:
    """Have this package's messages go to a sink; the arguments are those of ``enable_logging``.

    Returns:
        A function that ends it.

    Raises:
        IpcArgumentError: there is no such level, or this is no sink.
    """
    if isinstance(sink, logging.Handler):
        sink = _forwarder(sink.name or _PACKAGE, sink.handle, partial(_reaches, sink))
    elif isinstance(sink, logging.Logger):
        sink = _forwarder(sink.name, sink.handle, sink.isEnabledFor)
    try:
        handler = logger.add(
            sink,
            level=level,
            filter=_take,
            format=_as_json if json else _as_text,
            # The values of variables, one of which may be a token, stay out of tracebacks.
            diagnose=False,
            backtrace=False,
        )
    except (ValueError, TypeError) as error:
        field = "level" if "level" in str(error).lower() else "sink"
        given = level if field == "level" else type(sink).__name__
        raise IpcArgumentError(
            f"{field} is {given!r}, which cannot be used ({error}); give "
            + ('"DEBUG", "INFO", "WARNING" or "ERROR"' if field == "level" else "a stream"),
            field=field,
        ) from None
    _hush_default_sink()
    _count_sinks(1)

    def remove() -> None:
        _count_sinks(-1)
        with suppress(ValueError):  # the program has removed it, as logger.remove() does with all
            logger.remove(handler)

    return remove


def _belongs_to_us(record: Any) -> bool:
    name = record["name"] or ""
    return name == _PACKAGE or name.startswith(f"{_PACKAGE}.")


def _take(record: Any) -> bool:
    """Return whether a record is for our sinks."""
    # What this module forwards may come back, in a program that has loguru take it all in.
    return _belongs_to_us(record) and record["name"] != __name__


def _as_text(record: Any) -> str:
    fields = " ".join(f"{name}={show(value)}" for name, value in record["extra"].items())
    record[_PACKAGE] = f" [{fields}]" if fields else ""
    return _TEXT


def _as_json(record: Any) -> str:
    line: dict[str, Any] = {
        "time": record["time"].isoformat(),
        "level": record["level"].name,
        "logger": record["name"],
        "thread": record["thread"].name,
        "message": record["message"],
        "fields": {str(name): _plain(value) for name, value in record["extra"].items()},
    }
    exception = record["exception"]
    if exception is not None:
        line["exception"] = "".join(traceback.format_exception(*exception))
    text = json_module.dumps(line, ensure_ascii=False)
    # Within texts JSON escapes not all that a terminal might obey, unless it escapes all but ASCII.
    record[_PACKAGE] = text if printable(text) == text else json_module.dumps(line)
    return _JSON


def _plain(value: Any) -> Any:
    """Return a value as JSON can carry it: parts that it cannot, or else the whole, as a text."""
    if value is None or isinstance(value, bool | str):
        return value
    try:
        text = json_module.dumps(value, default=show, ensure_ascii=False, allow_nan=False)
        text.encode()  # not if half a character is in it
        # The copy: the program may change the value meanwhile.
        return json_module.loads(text)
    except Exception:  # noqa: BLE001 - no number, a circle, keys of another kind, ...
        return show(value)


def _reaches(handler: logging.Handler, level: int) -> bool:
    return level >= handler.level


def _forwarder(
    name: str, handle: Callable[[logging.LogRecord], object], wants: Callable[[int], bool]
) -> Callable[[Any], None]:
    """Return a sink that hands messages to the standard library's logging."""

    def forward(message: Any) -> None:
        record = message.record
        number = record["level"].no
        if not wants(number):
            return
        exception = record["exception"]
        forwarded = logging.LogRecord(
            name,
            number,
            record["file"].path,
            record["line"],
            record["message"],
            (),
            None if exception is None else tuple(exception),
            record["function"],
        )
        forwarded.__dict__[_PACKAGE] = dict(record["extra"])
        handle(forwarded)

    return forward
