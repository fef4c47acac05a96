"""Providers' keys in what providers say: a refusal may quote the key that it refuses.

Only such words are cleaned: errors, the reasons of retries, and events of kinds that are not known
here. What user, model and tools write is left as it is. It is the conversation, which has to read
the same wherever it is read, and a "key" may well be an everyday word: a local model's is often
its provider's name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.checks import providers
from opencode_sync.gateway.backends.opencode.events.tables import is_known
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.logger import logger
from opencode_sync.masking import mask_keys

__all__ = ["HIDDEN", "Secrets", "ServerSecrets", "has_providers_words"]

HIDDEN = "[key]"

_ASK_TIMEOUT = 2.0
_AGE = 30.0
"""Seconds for which a server's keys are taken to be the same."""

_MOST_DIRECTORIES = 1000
_SHORTEST = 8
_MOST = 10_000
_WHOLE = frozenset({"session.error", "session.status"})
_DEEPEST = 50
_CONTENT = ("session.", "message.", "permission.", "question.", "todo.", "file.", "command.")
"""Beginnings of the types whose properties are the conversation's, but for the errors in them."""


class Secrets:
    """Strings that no event may show. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the change of _secrets
        self._secrets: tuple[str, ...] = ()

    def hide(self, secrets: Iterable[str]) -> None:
        """Add some; those of fewer than 8 characters are no keys, and passed over."""
        with self._lock:
            known = {*self._secrets, *(each for each in secrets if len(each) >= _SHORTEST)}
            # The longest first: one may be the beginning of another.
            self._secrets = tuple(sorted(known, key=lambda each: (-len(each), each))[:_MOST])

    def clean(self, kind: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Return an event's properties without them; they are not changed themselves.

        What has the shape of a key goes the same way, in the same places.

        Args:
            kind: The event's type.
            properties: Its own.
        """
        secrets = self._secrets
        if kind in _WHOLE or not (is_known(kind) or kind.startswith(_CONTENT)):
            cleaned: dict[str, Any] = _without(properties, secrets, everything=True)
        elif _errors_in(properties):
            cleaned = _without(properties, secrets, everything=False)
        else:
            return properties
        return cleaned


class ServerSecrets:
    """Those that were named, and those that a server knows itself. For any thread."""

    def __init__(self, http: OpenCodeHttp) -> None:
        """Do no I/O."""
        self._http = http
        self._secrets = Secrets()
        self._asking = threading.Lock()  # guards _asked, and is held until the answer is there
        self._asked: dict[str, float] = {}  # when, by directory

    def hide(self, secrets: Iterable[str]) -> None:
        """Add some; any thread may."""
        self._secrets.hide(secrets)

    def clean(self, kind: str, properties: dict[str, Any], directory: str) -> dict[str, Any]:
        """Return an event's properties as ``Secrets.clean`` does.

        If a provider may have had its say in them the server is asked for its keys before, for some
        seconds at most.
        """
        if has_providers_words(kind, properties):
            with self._asking:
                self._ask(directory)
        return self._secrets.clean(kind, properties)

    def _ask(self, directory: str) -> None:
        """Learn the keys of a folder. The caller holds the lock."""
        now = time.monotonic()
        if now - self._asked.get(directory, float("-inf")) < _AGE:
            return
        if len(self._asked) >= _MOST_DIRECTORIES:
            self._asked.clear()
        self._asked[directory] = now
        query = {"directory": directory} if directory else {}
        deadline = Deadline.after(_ASK_TIMEOUT)
        try:
            document = self._http.call("GET", "/config/providers", deadline=deadline, query=query)
        except BackendError as error:
            logger.debug("The keys that errors may quote are not known: {}", error.message)
            return
        for provider in (providers(document) or {}).values():
            self._secrets.hide(provider.secrets)


def has_providers_words(kind: str, properties: Mapping[str, Any]) -> bool:
    """Return whether a provider may have had its say in this event."""
    if kind == "session.status":
        status = properties.get("status")
        return isinstance(status, dict) and "message" in status
    return kind == "session.error" or _errors_in(properties)


def _errors_in(properties: Mapping[str, Any]) -> bool:
    info, part = properties.get("info"), properties.get("part")
    return "error" in properties or any(
        isinstance(each, dict) and each.get("error") is not None for each in (info, part)
    )


def _without(value: Any, secrets: tuple[str, ...], *, everything: bool, depth: int = 0) -> Any:
    """Return a copy without the secrets: of all texts, or of those in an "error" alone."""
    if isinstance(value, str):
        if everything:
            for secret in secrets:
                value = value.replace(secret, HIDDEN)
            value = mask_keys(value)
        return value
    if depth > _DEEPEST:
        return HIDDEN if everything else value
    deeper = depth + 1
    if isinstance(value, list):
        return [_without(each, secrets, everything=everything, depth=deeper) for each in value]
    if isinstance(value, dict):
        return {
            key: each
            if isinstance(each, str) and _names_something(key)
            else _without(each, secrets, everything=everything or key == "error", depth=deeper)
            for key, each in value.items()
        }
    return value


def _names_something(key: str) -> bool:
    return key in ("id", "type", "name") or key.endswith("ID")
