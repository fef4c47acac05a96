"""The last line of defence of secrets in the log: what is known as one, or looks like one.

The first is that nothing secret is logged at all. This is for the text of a peer, or of a library,
that quotes what it should not.

Such a text may also forge lines or steer a terminal, so what could is spelt out.
"""

from __future__ import annotations

import re
import threading
import traceback
from typing import Any, Final

from opencode_sync.printable import printable, printable_block
from opencode_sync.secret_shapes import HIDDEN, is_secret_name, mask_keys, mask_shapes

__all__ = [
    "HIDDEN",
    "MaskedError",
    "is_secret_name",
    "mask",
    "mask_keys",
    "mask_record",
    "remember_secret",
    "show",
    "spellings",
]

_SHORTEST: Final = 4
"""Characters; what is shorter is in every other word."""

_LONG: Final = 8
"""Characters from which on a secret is hidden within words, too."""

_MOST: Final = 1_000

_LOGGED: Final = 1 << 16
"""Characters of a text that are looked at for a log, which is for people to read."""

_EDGE: Final = 1 << 12
"""Characters before that which are left out: a secret may have been cut there."""

_PLAIN: Final = frozenset({bool, int, float, type(None)})
"""Of these no value is a secret; of a class derived from one its text may be anything."""

_lock = threading.Lock()  # guards the change of the next four
_newest: dict[str, None] = {}  # the secrets, the oldest first
_stale = False  # whether there are some of which the next two do not know yet
_secrets: tuple[str, ...] = ()  # all spellings, the longest first: one may be a part of another
_words: re.Pattern[str] | None = None  # the short ones


class MaskedError(Exception):
    """Stands for an exception whose text held a secret: the whole text, without it."""


def remember_secret(secret: str) -> None:
    """Have a secret kept out of all logs of this package from now on. Any thread may call it.

    The newest 1,000 are remembered. Those of fewer than 8 characters are hidden as whole words
    only, those of fewer than 4 not at all.
    """
    global _stale
    if len(secret) < _SHORTEST or secret in _newest:
        return
    with _lock:
        _newest[secret] = None
        if len(_newest) > _MOST:
            del _newest[next(iter(_newest))]
        _stale = True  # how they are spelt is found out when there is a text


def _learn() -> None:
    """Find out how the secrets that are new may be spelt."""
    global _secrets, _stale, _words
    with _lock:
        known = sorted({each for some in _newest for each in spellings(some)}, key=len)[::-1]
        _secrets = tuple(each for each in known if len(each) >= _LONG)
        short = [re.escape(each) for each in known if _SHORTEST <= len(each) < _LONG]
        _words = re.compile(rf"(?<!\w)(?:{'|'.join(short)})(?!\w)") if short else None
        _stale = False


def spellings(secret: str) -> tuple[str, ...]:
    """Return a secret as it may be written: as it is, escaped, quoted for a URL, in base64."""
    # Not before there is a text: what only connects does without them.
    from base64 import b64encode, urlsafe_b64encode
    from json import dumps
    from urllib.parse import quote, quote_plus

    data = secret.encode("utf-8", "surrogatepass")
    plain = (secret, dumps(secret)[1:-1], dumps(secret, ensure_ascii=False)[1:-1])
    found = [
        *plain,
        repr(secret)[1:-1],
        # What is shown of what was escaped before.
        *(repr(each)[1:-1] for each in plain[1:]),
        *(dumps(each)[1:-1] for each in plain[1:]),
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        b64encode(data).decode().rstrip("="),
        urlsafe_b64encode(data).decode().rstrip("="),
    ]
    return tuple(dict.fromkeys(found))


def mask(text: str) -> str:
    """Return a text without what is known to be a secret, and what has the shape of one."""
    if _stale:
        _learn()
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    if _words is not None:
        text = _words.sub(HIDDEN, text)
    return mask_shapes(text)


def show(value: object) -> str:
    """Return a value's ``repr``, or why it has none. Values in a log may be of the program's."""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - it is told in its place
        return _unshown(error)


def mask_record(record: Any) -> None:
    """Make a record of loguru's fit to be seen: its message, its fields and its exception.

    Secrets are taken out, and what is longer than a log is good for is cut. What could pass for a
    line of its own, or steer a terminal, is spelt out; an exception's text keeps its lines. A field
    that cannot be shown says so.
    """
    record["message"] = printable(_for_log(record["message"]))
    extra = record["extra"]
    for name, value in extra.items():
        if type(value) in _PLAIN:
            continue
        if isinstance(name, str) and is_secret_name(name):
            extra[name] = HIDDEN
        else:
            extra[name] = _masked_field(value)
    exception = record["exception"]
    if exception is not None and exception.value is not None:
        shown = "".join(traceback.format_exception(exception.value))
        masked = printable_block(_for_log(shown))
        if masked != shown:
            record["exception"] = type(exception)(MaskedError, MaskedError(masked), None)


def _masked_field(value: object) -> object:
    """Return a field's value itself, or its text, if a sink must not show it as it is."""
    if isinstance(value, str):
        return printable(_for_log(value))
    try:
        # A sink may show either, and an exception's differ.
        texts = dict.fromkeys((repr(value), str(value)))
    except Exception as error:  # noqa: BLE001 - it is told in its place
        return _unshown(error)
    for shown in texts:
        masked = printable(_for_log(shown))
        if masked != shown:
            return masked
    return value


def _unshown(error: Exception) -> str:
    return f"(cannot be shown: {type(error).__name__})"


def _for_log(text: str) -> str:
    if len(text) <= _LOGGED:
        return mask(text)
    more = len(text) - _LOGGED + _EDGE
    return f"{mask(text[:_LOGGED])[:-_EDGE]}... {more} characters more"
