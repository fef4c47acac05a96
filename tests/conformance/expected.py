"""Cases that may deviate: how, and why that is right."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["EXPECTED", "Deviation"]


class Deviation(NamedTuple):
    """How one case may fail. Another failure of the same case is not expected."""

    close: str
    """What Autobahn says of the link's end."""

    codes: tuple[int | None, ...]
    """The close codes that our side may have sent then."""

    reason: str


_INVALID_TEXT: Final = {
    "6.3": (1, 2),
    "6.4": (1, 2, 3, 4),
    "6.6": (1, 3, 4, 6, 8, 10),
    "6.8": (1, 2),
    "6.10": (1, 2, 3),
    "6.11": (5,),
    "6.12": range(1, 9),
    "6.13": range(1, 6),
    "6.14": range(1, 11),
    "6.15": (1,),
    "6.16": range(1, 4),
    "6.17": range(1, 6),
    "6.18": range(1, 6),
    "6.19": range(1, 6),
    "6.20": range(1, 8),
    "6.21": range(1, 9),
}
"""All cases that send text that is not UTF-8."""

_NOT_LOOKED_INTO: Final = Deviation(
    "FAILED",
    (None, 1007),  # 1007 is Autobahn's own, for what came back, and given back to it
    "the text is not UTF-8; text is ignored by the product, so nobody looks into it",
)
_TEXT: Final = {
    f"{section}.{number}": _NOT_LOOKED_INTO
    for section, numbers in _INVALID_TEXT.items()
    for number in numbers
}

_ONE_PONG: Final = Deviation(
    "OK",
    (1000,),
    "of pings that wait together only the newest is answered, which RFC 6455, 5.5.3 allows",
)

_CLOSE_INSIDE: Final = Deviation(
    "WRONG CODE",
    (1002,),
    "to the websockets library a close inside a fragmented message is a fault; the link ends "
    "either way",
)

_FRAGMENTS: Final = Deviation(
    "FAILED",
    (1009,),
    "a message of 65,537 fragments is one more than the gateway's limit",
)

EXPECTED: Final[dict[str, dict[str, Deviation]]] = {
    "client": {**_TEXT, "2.10": _ONE_PONG, "2.11": _ONE_PONG},
    "gateway": {**_TEXT, "7.1.5": _CLOSE_INSIDE, "9.3.1": _FRAGMENTS, "9.4.1": _FRAGMENTS},
}
"""By side and case."""
