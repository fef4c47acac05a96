"""Keeping the token out of texts that came from the other side."""

from __future__ import annotations

from typing import Final

from opencode_sync.masking import remember_secret
from opencode_sync.transport.base import TransportClosed, TransportError

__all__ = ["Redactor"]

_STANDS_FOR_IT: Final = "[token]"


class Redactor:
    """Replaces one token in texts: a peer that quotes it must not get it into errors or logs."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        self._token = token
        remember_secret(token)

    def __call__(self, text: str) -> str:
        """Return ``text`` without the token."""
        return text.replace(self._token, _STANDS_FOR_IT) if self._token else text

    def clean(self, error: TransportError) -> TransportError:
        """Return ``error``, or one that says the same without the token and has no context."""
        if not isinstance(error, TransportClosed) or self._token not in f"{error} {error.reason}":
            return error
        return TransportClosed(
            self(str(error)), code=error.code, reason=self(error.reason), clean=error.clean
        )

    def __repr__(self) -> str:
        return "Redactor()"
