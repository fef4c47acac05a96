"""Taking keys out of a provider's settings, which people write by hand and name as they like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["public_options", "public_url"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = frozenset(
    {
        "auth",
        "authentication",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "jwt",
        "pass",
        "passphrase",
        "passwd",
        "password",
        "pat",
        "secret",
        "secrets",
        "signature",
        "token",
    }
)
_SCHEME = re.compile(r"\s*(basic|bearer|token)\s", re.IGNORECASE)


_DEEPEST = 100
"""Levels that are looked at. What is deeper is left out: nobody could say that it is no secret."""


def public_options(
    options: Mapping[str, Any], secrets: Sequence[str], *, depth: int = 0
) -> dict[str, Any]:
    """Return options or headers without those that hold a secret, however deep they are.

    Args:
        options: Any JSON object.
        secrets: Keys that are known. Others are known by the name they go by.
        depth: How deep it lies in another.
    """
    return {
        key: _public(value, secrets, depth + 1)
        for key, value in options.items()
        if not _is_secret_name(key) and not _holds(value, secrets)
    }


def public_url(url: str, secrets: Sequence[str]) -> str:
    """Return an address without user, password and query; "" if it holds a secret all the same."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    public = urlunsplit((parts.scheme, host, parts.path, "", ""))
    return "" if _holds(public, secrets) else public


def _public(value: Any, secrets: Sequence[str], depth: int) -> Any:
    if isinstance(value, dict | list) and depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return public_options(value, secrets, depth=depth)
    if isinstance(value, list):
        return [_public(each, secrets, depth + 1) for each in value if not _holds(each, secrets)]
    return value


def _is_secret_name(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    if any(word in _SECRET_WORDS for word in words):
        return True
    # "promptCacheKey" names a place in a cache.
    return "cache" not in words and any(word.endswith(("key", "keys")) for word in words)


def _holds(value: Any, secrets: Sequence[str]) -> bool:
    if not isinstance(value, str):
        return False
    return bool(_SCHEME.match(value)) or any(secret in value for secret in secrets)
