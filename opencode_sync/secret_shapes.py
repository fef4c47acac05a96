"""What a secret looks like in a text, and what it goes by.

The text is of any length, and may be meant to be slow to search. So the time that each shape takes
grows as the text does: what repeats without a bound is possessive, which never takes back what it
took, and begins where no other run of the same kind can have begun before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, cached_property
from typing import Final

__all__ = ["HIDDEN", "is_secret_name", "mask_keys", "mask_shapes"]

HIDDEN: Final = "[secret]"
"""What stands in the place of a secret."""


def _counts(*words: str) -> str:
    """Return what fails behind "max_token" and its like. The words are of the same length."""
    word = "|".join(words)
    return rf"(?<!(?:{word})token)(?<!(?:{word})[_-]token)"


_TOKEN: Final = (
    f"token{_counts('max', 'min', 'num', 'per')}{_counts('input', 'total')}"
    f"{_counts('cached', 'output', 'prompt')}"
)

_NAMES: Final = (
    rf"(?i:password|passwd|passphrase|secret|{_TOKEN}|authorization|cookie|credentials?"
    r"|(?:api|access|auth|private|secret)[_-]?key)"
)
"""What a secret goes by, or how its name ends: DB_PASSWORD, accessToken, x-api-key."""

_KEY: Final = r"(?<![A-Za-z])(?i:key)|(?<=[a-z])Key"

# A word of a sentence: "token: is missing", "Basic functions".
_NO_WORD: Final = r"(?![a-z]{1,19}[,;]?[ \t]++[A-Za-z])"

# The same on a command line, where any word may follow: "give --password instead of it".
_NO_TALK: Final = (
    r"(?!(?i:does|from|have|instead|into|must|needs?|only|than|that|then|when|which|will"
    r"|with|without)\b)"
)

_BARE: Final = r"(?!\[secret\]|(?i:none|null|true|false)\b)[^\s&;,'\"\\]{4,}+"

# Up to the quote it began with, which is \" in a document that is text within another. One with
# more backslashes belongs to the value.
_QUOTED: Final = r"(?:[^\\\"'\n]|(?!(?<!\\)\2)\\{0,99}+[\"']|\\++(?![\"'\\]))++"

_QUOTE: Final = r"\\{0,9}+[\"']"

# Between the name of a header and its value.
_IS: Final = r"\\{0,9}+[\"']?[ \t]{0,9}+[:=][ \t]{0,9}+"

# Bytes, as Python writes them.
_OF_BYTES: Final = r"(?:[bB](?=[\\\"']))?+"

# The rest of a header's line, in which what is quoted stands behind "=". Any other quote ends the
# text that the line is a part of, and so do the characters \r and \n.
_LINE: Final = (
    r"(?:[^\r\n\"'\\=]|\\++(?![rn\"'\\])"
    r"|=(?:\\{0,9}+(?:\"[^\"\r\n]{0,1999}+\"?+|'[^'\r\n]{0,1999}+'?+))?+)++"
)

_WORD: Final = r"[^\s;&|,'\"\\]"

# What stands between two words of a command line, also in a list as Python and JSON write it.
_NEXT: Final = rf"(?:{_QUOTE},[ \t]{{0,9}}+(?={_QUOTE})|[ \t]{{1,9}}+)"

# curl's. By number it is a container's user and group; "http://" or "module::name" is no login.
_LOGIN: Final = rf"(?<![\w-])(?:-u|--user|--proxy-user)(?:{_NEXT}|=)"
_USER: Final = r"\w[\w.@+-]{0,99}+:(?![:/]|\d{1,10}+(?![^\s\"'\\]))"

_SECRET_OPTION: Final = rf"(?<![\w-])--(?:[A-Za-z\d]{{1,20}}-){{0,3}}{_NAMES}{_NEXT}"

# Up to its password; without a space between, as it wants it. A pair of numbers are ports.
_MYSQL: Final = (
    r"(?<![\w-])(?:mysql|mariadb)(?:-?(?:dump|admin))?"
    rf"(?:{_NEXT}(?:{_QUOTE})?+(?!-p){_WORD}{{1,99}}+){{0,19}}+"
    rf"{_NEXT}(?:{_QUOTE})?+-p(?!\d{{1,5}}:\d)(?:{_QUOTE})?+"
)


class _Kind:
    """Shapes that are looked for together. Of each the first group is kept, to tell what it was."""

    def __init__(self, parts: str, *shapes: str) -> None:
        """Have shapes found.

        Args:
            parts: One of these words, in small letters, is in each text that has such a shape. To
                look for them takes a small part of the time.
            shapes: Regular expressions.
        """
        self.parts: Final = tuple(parts.split())
        self._sources: Final = shapes

    @cached_property
    def shapes(self) -> tuple[re.Pattern[str], ...]:
        """The expressions. All kinds would take 10 ms; most programs never need one."""
        return tuple(re.compile(source, re.ASCII) for source in self._sources)


_KEYS: Final = (
    # A key of a provider, by how it begins.
    _Kind(
        "sk- glpat- nvapi- pplx- xai- xox k_live_ k_test_ gsk_ hf_ npm_ gho_ ghp_ ghr_ ghs_ ghu_"
        " github_ aiza akia asia ya29.",
        r"(?<![A-Za-z0-9])((?:[cr]?sk|glpat|nvapi|pplx|xai|xox[abeprs])-|[prs]k_(?:live|test)_"
        r"|gsk_|hf_|npm_|gh[oprsu]_|github_pat_|AIza|AKIA|ASIA|ya29\.)[A-Za-z0-9_-]{8,}+",
    ),
    _Kind("r8_", r"(?<![A-Za-z0-9])(r8_)[A-Za-z0-9]{20,}+"),
    # What a request shows to be let in. Not a word that follows: "Bearer authentication".
    _Kind(
        "bearer",
        r"\b((?i:bearer)\s++)(?!(?i:auth\w{0,11}|access|credentials?|header|is|realm|scheme|tokens?"
        r"|was)\b)[\w.~+/=-]{6,}+",
    ),
)

_KINDS: Final = (
    *_KEYS,
    # A private key: all there is until its end.
    _Kind("-----begin", r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:(?!-----END)[\s\S])++"),
    # Three parts in base64, of which the first begins with '{"'.
    _Kind("eyj", r"(?<![\w-])((?>[\w-]*?eyJ))[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+"),
    # What a request shows to be let in, with a name and a password, or of several parts.
    _Kind("basic", r"\b((?i:basic)\s++)(?![a-z]{1,19}(?![\w~+/=-]))[\w.~+/=-]{6,}+"),
    _Kind(
        "authorization",
        rf"((?i:authorization){_IS})(?=[A-Za-z][\w-]{{0,40}}+[ \t]{{1,9}}+[\w-]{{1,40}}+=){_LINE}",
    ),
    _Kind(
        "digest hawk oauth aws4-",
        r"\b((?i:digest|hawk|oauth|aws4-[\w-]{1,30}+)[ \t]{1,9}+)"
        rf"(?=(?i:username|id|credential|oauth_\w{{1,30}}+)=){_LINE}",
    ),
    _Kind("cookie", rf"((?i:cookie){_IS})(?=[^\s=;,\"'\\]{{1,99}}+=){_LINE}"),
    _Kind(
        "pass secret token authorization cookie credential key",
        # A member of an object or a document: "password": "...", key='...', b'token': b'...'.
        rf"((?:{_NAMES}|{_KEY})\\{{0,9}}+[\"']?\]?\s{{0,9}}+(?:=>?|:)\s{{0,9}}+"
        rf"(?<!\\){_OF_BYTES}({_QUOTE})){_QUOTED}",
        # A pair: ('x-api-key', '...'). In a longer list it may be the next of some names.
        rf"([(\[]\s{{0,9}}+{_OF_BYTES}{_QUOTE}[\w.-]{{0,60}}?{_NAMES}{_QUOTE},\s{{0,9}}+"
        rf"{_OF_BYTES}({_QUOTE})){_QUOTED}(?={_QUOTE},?\s{{0,9}}+[)\]])",
        # An element: <password>...</password>
        rf"(<[\w.:-]{{0,60}}?{_NAMES}(?:\s[^<>]{{0,199}}+)?+>(?:<!\[CDATA\[)?+)"
        r"(?:[^<>\]]|\](?!\]>))++(?=</|\]\]>)",
        # A parameter, a variable of the environment, a setting: api_key=..., password = ...
        rf"({_NAMES}\\{{0,9}}+[\"']?\]?[ \t]{{0,9}}+=[ \t]{{0,9}}+|(?:{_KEY})=){_BARE}",
        # A header, or a line of YAML. A scheme in front of it is none.
        rf"({_NAMES}\\{{0,9}}+[\"']?\s{{0,9}}+:\s{{0,9}}+(?:(?i:bearer|basic|token|digest)\s++)?+)"
        rf"{_NO_WORD}{_BARE}",
    ),
    # In a URL, up to the last "@": "/" and "@" may be in it. What is a port is none.
    _Kind(
        "://",
        r"(://[^\s/:@]{0,99}+:)(?!\d{1,5}(?:[/?#\s]|$))"
        r"(?:[^\s@\"'<>]{0,99}+@)*[^\s@\"'<>]{1,99}+(?=@)",
    ),
    # On a command line: curl -u name:..., --password ..., mysql -p...
    _Kind(
        "-u",
        rf"({_LOGIN}({_QUOTE}){_USER}){_QUOTED}",
        rf"({_LOGIN}{_USER}){_WORD}++",
    ),
    _Kind(
        "--",
        rf"({_SECRET_OPTION}({_QUOTE})){_QUOTED}",
        rf"({_SECRET_OPTION}){_NO_TALK}{_BARE}",
    ),
    _Kind("mysql mariadb", rf"({_MYSQL}){_WORD}++"),
)


@cache
def _secret_name() -> re.Pattern[str]:
    return re.compile(rf"(?:{_NAMES}|{_KEY})\Z", re.ASCII)


def is_secret_name(name: str) -> bool:
    """Return whether what goes by this name is a secret: "password", "x-api-key", "authToken".

    What counts tokens is none: "max_token", "promptToken".
    """
    return _secret_name().search(name[-100:]) is not None


def mask_shapes(text: str) -> str:
    """Return a text without what has the shape of a secret."""
    return _masked(text, _KINDS)


def mask_keys(text: str) -> str:
    """Return a text without what has the shape of a provider's key; the rest is left as it is."""
    return _masked(text, _KEYS)


def _masked(text: str, kinds: Iterable[_Kind]) -> str:
    small = text.lower()
    for kind in kinds:
        for part in kind.parts:
            if part in small:
                for shape in kind.shapes:
                    text = shape.sub(rf"\g<1>{HIDDEN}", text)
                break
    return text
