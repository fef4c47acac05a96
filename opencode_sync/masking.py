"""The last line of defence of secrets in the log: what is known as one, or looks like one.

The first is that nothing secret is logged at all. This is for the text of a peer, or of a library,
that quotes what it should not.

That text is of any length, and may be meant to be slow to search. So the time that each shape takes
grows as the text does: what repeats without a bound is possessive, which never takes back what it
took, and begins where no other run of the same kind can have begun before it.
"""

from __future__ import annotations

import re
import threading
import traceback
from typing import Any, Final

__all__ = [
    "HIDDEN",
    "MaskedError",
    "is_secret_name",
    "mask",
    "mask_record",
    "remember_secret",
    "spellings",
]

HIDDEN: Final = "[secret]"
"""What stands in the place of a secret."""

_SHORTEST: Final = 4
"""Characters; what is shorter is in every other word."""

_LONG: Final = 8
"""Characters from which on a secret is hidden within words, too."""

_MOST: Final = 1_000

_LOGGED: Final = 1 << 16
"""Characters of a text that are looked at for a log, which is for people to read."""

_EDGE: Final = 1 << 12
"""Characters before that which are left out: a secret may have been cut there."""

_NAMES: Final = (
    r"(?i:password|passwd|passphrase|secret|token|authorization|cookie|credentials?"
    r"|(?:api|access|auth|private|secret)[_-]?key)"
)
"""What a secret goes by, or how its name ends: DB_PASSWORD, accessToken, x-api-key."""

_KEY: Final = r"(?<![A-Za-z])(?i:key)|(?<=[a-z])Key"

# A word of a sentence: "token: is missing", "Basic functions".
_NO_WORD: Final = r"(?![a-z]{1,19}[,;]?[ \t]++[A-Za-z])"

_BARE: Final = r"(?!\[secret\]|(?i:none|null|true|false)\b)[^\s&;,'\"\\]{4,}+"

# Up to the quote it began with, which is \" in a document that is text within another. One with
# more backslashes belongs to the value.
_QUOTED: Final = r"(?:[^\\\"'\n]|(?!(?<!\\)\2)\\{0,99}+[\"']|\\++(?![\"'\\]))++"

# Each keeps its first group, which tells people what kind of secret it was.
_SHAPES: Final = tuple(
    re.compile(shape, re.ASCII)
    for shape in (
        # A key of a provider, by how it begins.
        r"(?<![A-Za-z0-9])((?:[cr]?sk|glpat|nvapi|pplx|xai|xox[abeprs])-|[prs]k_(?:live|test)_"
        r"|gsk_|hf_|npm_|gh[oprsu]_|github_pat_|AIza|AKIA|ASIA|ya29\.)[A-Za-z0-9_-]{8,}+",
        r"(?<![A-Za-z0-9])(r8_)[A-Za-z0-9]{20,}+",
        # A private key: all there is until its end.
        r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:(?!-----END)[\s\S])++",
        # Three parts in base64, of which the first begins with '{"'.
        r"(?<![\w-])((?>[\w-]*?eyJ))[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+",
        # What a request shows to be let in. Not a word that follows: "Bearer authentication".
        r"\b((?i:bearer)\s++)(?!(?i:auth\w{0,11}|access|credentials?|header|is|realm|scheme|tokens?"
        r"|was)\b)[\w.~+/=-]{6,}+",
        r"\b((?i:basic)\s++)(?![a-z]{1,19}(?![\w~+/=-]))[\w.~+/=-]{6,}+",
        # A member of an object or a document: "password": "...", key='...'.
        rf"((?:{_NAMES}|{_KEY})\\{{0,9}}+[\"']?\]?\s{{0,9}}+(?:=>?|:)\s{{0,9}}+"
        rf"(?<!\\)(\\{{0,9}}+[\"'])){_QUOTED}",
        # A parameter, a variable of the environment: api_key=...
        rf"((?:{_NAMES}|{_KEY})=){_BARE}",
        # A header, or a line of YAML. A scheme in front of it is none.
        rf"({_NAMES}\\{{0,9}}+[\"']?\s{{0,9}}+:\s{{0,9}}+(?:(?i:bearer|basic|token|digest)\s++)?+)"
        rf"{_NO_WORD}{_BARE}",
        # In a URL, up to the last "@": "/" and "@" may be in it. What is a port is none.
        r"(://[^\s/:@]{0,99}+:)(?!\d{1,5}(?:[/?#\s]|$))(?:[^\s@\"'<>]{0,99}+@)*[^\s@\"'<>]{1,99}+(?=@)",
    )
)

_SECRET_NAME: Final = re.compile(rf"(?:{_NAMES}|{_KEY})\Z", re.ASCII)

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


def is_secret_name(name: str) -> bool:
    """Return whether what goes by this name is a secret: "password", "x-api-key", "authToken"."""
    return _SECRET_NAME.search(name[-100:]) is not None


def mask(text: str) -> str:
    """Return a text without what is known to be a secret, and what has the shape of one."""
    if _stale:
        _learn()
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    if _words is not None:
        text = _words.sub(HIDDEN, text)
    for shape in _SHAPES:
        text = shape.sub(rf"\g<1>{HIDDEN}", text)
    return text


def mask_record(record: Any) -> None:
    """Take secrets out of a record of loguru's: out of its message, fields and exception.

    What is longer than a log is good for is cut.
    """
    record["message"] = _for_log(record["message"])
    extra = record["extra"]
    for name, value in extra.items():
        if isinstance(value, bool | int | float | None):
            continue
        if is_secret_name(name):
            extra[name] = HIDDEN
            continue
        shown = value if isinstance(value, str) else repr(value)
        masked = _for_log(shown)
        if masked != shown:
            extra[name] = masked
    exception = record["exception"]
    if exception is not None and exception.value is not None:
        shown = "".join(traceback.format_exception(exception.value))
        masked = _for_log(shown)
        if masked != shown:
            record["exception"] = type(exception)(MaskedError, MaskedError(masked), None)


def _for_log(text: str) -> str:
    if len(text) <= _LOGGED:
        return mask(text)
    more = len(text) - _LOGGED + _EDGE
    return f"{mask(text[:_LOGGED])[:-_EDGE]}... {more} characters more"
