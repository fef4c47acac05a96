"""Requests and answers as plain values that anybody may see: keys, tokens and passwords masked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from opencode_sync.masking import HIDDEN as MASK
from opencode_sync.masking import mask

__all__ = ["MASK", "Masker", "fields_of", "map_strings"]

_SECRET_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "opencode.IpcAuthHandshake": frozenset({"token"}),
    "opencode.auth.OcApiAuth": frozenset({"key"}),
    "opencode.auth.OcOAuth": frozenset({"access", "refresh"}),
    "opencode.auth.OcWellKnownAuth": frozenset({"token"}),
}
"""What holds a secret by what it is."""

# A member of a JSON document, also of one that is text within another. What else has the shape of a
# secret is known to ``opencode_sync.masking``.
_MEMBER: Final = re.compile(
    r"(\\*[\"'](?:[\w-]*(?:api[_-]?key|password|passwd|secret|authorization)|[\w-]*token)"
    r"\\*[\"']\s*:\s*\\*[\"'])[^\"'\\]+",
    re.IGNORECASE,
)
_SHORTEST: Final = 6


class Masker:
    """Masks secrets. Any thread may call any method."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know some secrets.

        Args:
            secrets: Texts to mask wherever they are; shorter ones than 6 characters are passed
                over. What has the shape of a key is masked anyway.
        """
        self._secrets: frozenset[str] = frozenset()
        # Replaced as a whole when one is added.
        self._known = _any_of(self._secrets)
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Know one more."""
        if len(secret) >= _SHORTEST:
            self._secrets |= {str(secret)}
            self._known = _any_of(self._secrets)

    def learn(self, message: Message) -> None:
        """Know what a message holds as a secret, to mask it wherever else it is quoted."""
        for each, name in _secrets_in(message):
            self.add(getattr(each, name))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return _MEMBER.sub(rf"\g<1>{MASK}", mask(self._known.sub(MASK, text)))

    def fields(self, message: Message) -> dict[str, Any]:
        """Return a message as plain values without secrets."""
        public = type(message)()
        public.CopyFrom(message)
        for each, name in list(_secrets_in(public)):
            setattr(each, name, MASK)
        plain = MessageToDict(public, preserving_proto_field_name=True)
        masked: dict[str, Any] = map_strings(plain, self.text)
        return masked

    def __repr__(self) -> str:
        return f"Masker({len(self._secrets)} secrets)"


def _any_of(secrets: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of some texts; the longest first, one may be a part of another."""
    longest_first = sorted(secrets, key=lambda each: (-len(each), each))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def fields_of(message: Message) -> dict[str, Any]:
    """Return a message as plain values, with what is known to be a secret masked."""
    return Masker().fields(message)


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return plain values with every text in them changed, keys included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): map_strings(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [map_strings(each, change) for each in value]
    return value


def _secrets_in(message: Message) -> Iterator[tuple[Message, str]]:
    """Yield where in a message something is set that is a secret by what it is."""
    secret = _SECRET_FIELDS.get(message.DESCRIPTOR.full_name, frozenset())
    for descriptor, value in message.ListFields():
        if descriptor.name in secret:
            yield message, descriptor.name
        elif isinstance(value, Message):
            yield from _secrets_in(value)
        elif descriptor.message_type is not None and not _is_map(descriptor.message_type):
            for each in value:
                yield from _secrets_in(each)


def _is_map(descriptor: Descriptor) -> bool:
    return bool(descriptor.GetOptions().map_entry)
