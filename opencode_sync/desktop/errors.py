"""What went wrong, as the window shows it: one look per kind of error."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from PySide6.QtCore import QCoreApplication

from opencode_sync import (
    IpcAuthenticationError,
    IpcConfigError,
    IpcConnectionError,
    IpcError,
    IpcServerError,
    IpcTimeoutError,
)
from opencode_sync.desktop.symbols import Symbol
from opencode_sync.desktop.theme import Tone

__all__ = ["Kind", "Problem", "problem_of"]


class Kind(Enum):
    """What sort of thing went wrong, by what the user can do about it."""

    AUTHENTICATION = "authentication"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    SERVER = "server"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Problem:
    """What a banner shows.

    Attributes:
        kind: The sort of problem.
        symbol: Its picture.
        tone: How loud it is.
        title: A few words.
        text: A sentence.
        retry: Whether trying again may help.
        offer: What a button says that gets the user on; "" for none.
    """

    kind: Kind
    symbol: Symbol
    tone: Tone
    title: str
    text: str
    retry: bool
    offer: str = ""


_KINDS: Final = (
    (IpcAuthenticationError, Kind.AUTHENTICATION),
    (IpcConnectionError, Kind.CONNECTION),
    (IpcConfigError, Kind.CONNECTION),
    (IpcTimeoutError, Kind.TIMEOUT),
    (IpcServerError, Kind.SERVER),
)

_LOOKS: Final = {
    Kind.AUTHENTICATION: (Symbol.LOCK, Tone.WARNING),
    Kind.CONNECTION: (Symbol.NO_LINK, Tone.DANGER),
    Kind.TIMEOUT: (Symbol.CLOCK, Tone.WARNING),
    Kind.SERVER: (Symbol.EXCLAMATION, Tone.DANGER),
    Kind.UNKNOWN: (Symbol.EXCLAMATION, Tone.DANGER),
}


def problem_of(error: BaseException, doing: str = "") -> Problem:
    """Return how to show an error.

    Args:
        error: Any. The text of one that is not ours is not shown: it is for programmers.
        doing: What was tried, as the beginning of the text: "The session was not deleted".
    """
    kind = next((kind for cls, kind in _KINDS if isinstance(error, cls)), Kind.UNKNOWN)
    text = _text(error, kind)
    symbol, tone = _LOOKS[kind]
    return Problem(
        kind=kind,
        symbol=symbol,
        tone=tone,
        title=_title(kind),
        text=f"{doing}: {text}" if doing else text,
        retry=kind in (Kind.CONNECTION, Kind.TIMEOUT),
    )


def _title(kind: Kind) -> str:
    translate = QCoreApplication.translate
    return {
        Kind.AUTHENTICATION: translate("errors", "Authentication Failed"),
        Kind.CONNECTION: translate("errors", "Connection Error"),
        Kind.TIMEOUT: translate("errors", "Request Timeout"),
        Kind.SERVER: translate("errors", "Server Error"),
        Kind.UNKNOWN: translate("errors", "Error"),
    }[kind]


def _text(error: BaseException, kind: Kind) -> str:
    if kind is Kind.TIMEOUT:
        return QCoreApplication.translate("errors", "The request took too long. Please try again.")
    if isinstance(error, IpcError) and error.message:
        return error.message
    return QCoreApplication.translate("errors", "An unexpected error occurred. Please try again.")
