"""Requests and answers as plain values that anybody may see: keys, tokens and passwords masked."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from opencode_sync.masking import HIDDEN as MASK
from opencode_sync.masking import is_secret_name, mask, spellings

__all__ = ["MASK", "Masker", "fields_of", "map_strings"]

_SECRET_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "opencode.IpcAuthHandshake": frozenset({"token"}),
    "opencode.auth.OcApiAuth": frozenset({"key"}),
    "opencode.auth.OcOAuth": frozenset({"access", "refresh"}),
    "opencode.auth.OcWellKnownAuth": frozenset({"token"}),
    "opencode.provider.OcProviderInfo": frozenset({"key"}),
    "opencode.provider.OcProviderOptions": frozenset({"api_key"}),
}
"""What holds a secret by what it is."""

_FREE: Final = frozenset(f"google.protobuf.{name}" for name in ("Struct", "Value", "ListValue"))
"""What is free in its members, and known by their names only."""

# Beside those that are secret in a log, where they are part of what people read: what a tool or a
# provider is given under these names is nothing else.
_MORE_NAMES: Final = re.compile(r"(?:^|[^a-z])(?:access[_-]?key[_-]?id|pass|pwd?)\Z", re.IGNORECASE)

_OAUTH: Final = _SECRET_FIELDS["opencode.auth.OcOAuth"]

_SHORTEST: Final = 3
"""Characters of a secret; what is shorter would be found everywhere."""

_LONG: Final = 6
"""Characters from which on a secret is masked within words, too."""

_LONG_BASE64: Final = 8


class Masker:
    """Masks secrets. Any thread may call any method."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know some secrets.

        Args:
            secrets: Texts to mask wherever they are, also escaped, quoted for a URL or in base64;
                those of fewer than 6 characters as whole words, of fewer than 3 not at all. What
                has the shape of a secret, or the name of one, is masked anyway.
        """
        self._secrets: frozenset[str] = frozenset()
        # Replaced as a whole when one is added.
        self._known = _any_of(self._secrets)
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Know one more."""
        if len(secret) >= _SHORTEST and secret not in self._secrets:
            self._secrets |= {str(secret)}
            self._known = _any_of(self._secrets)

    def learn(self, message: Message) -> None:
        """Know what a message holds as a secret, to mask it wherever else it is quoted."""
        for each, name in _secrets_in(message):
            self.add(getattr(each, name))

    def text(self, text: str) -> str:
        """Return a text without secrets; a JSON document stays one."""
        if text.lstrip()[:1] in ("{", "["):
            try:
                value = json.loads(text)
                masked = self._free(value)
            except (ValueError, RecursionError):  # a text like any other
                return self._words(text)
            if masked == value:
                return text
            separators = (", ", ": ") if '": ' in text else (",", ":")
            return json.dumps(masked, ensure_ascii=False, separators=separators)
        return self._words(text)

    def fields(self, message: Message) -> dict[str, Any]:
        """Return a message as plain values without secrets."""
        plain = MessageToDict(message, preserving_proto_field_name=True)
        if message.DESCRIPTOR.full_name in _FREE:
            free: dict[str, Any] = self._free(plain)
            return free
        return self._message(message.DESCRIPTOR, plain)  # type: ignore[arg-type]  # of either kind

    def __repr__(self) -> str:
        return f"Masker({len(self._secrets)} secrets)"

    # --- Inner steps ---

    def _words(self, text: str) -> str:
        return mask(self._known.sub(MASK, text))

    def _message(self, descriptor: Descriptor, plain: dict[str, Any]) -> dict[str, Any]:
        """Mask what is in a message of the schema; the names of its fields are no texts."""
        secret = _SECRET_FIELDS.get(descriptor.full_name, frozenset())
        return {
            name: MASK if name in secret else self._field(descriptor.fields_by_name[name], value)
            for name, value in plain.items()
        }

    def _field(self, field: FieldDescriptor, value: Any) -> Any:
        kind = field.message_type
        if isinstance(value, list):
            return [self._field(field, each) for each in value]
        if kind is None:
            return self.text(value) if field.type == FieldDescriptor.TYPE_STRING else value
        if kind.full_name in _FREE:
            return self._free(value)
        if not _is_map(kind):
            return self._message(kind, value)
        of = kind.fields_by_name["value"]
        if of.message_type is None or of.message_type.full_name in _FREE:
            return self._free(value)
        return {self.text(name): self._field(of, each) for name, each in value.items()}

    def _free(self, value: Any, secret: bool = False) -> Any:
        """Mask what is in a document of any kind.

        Args:
            value: It, or a part of it.
            secret: Whether it has the name of a secret.
        """
        if isinstance(value, dict):
            oauth = value.get("type") == "oauth"
            return {
                self.text(name): self._free(
                    each,
                    secret
                    or is_secret_name(name)
                    or _MORE_NAMES.search(name) is not None
                    or (oauth and name in _OAUTH),
                )
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [self._free(each, secret) for each in value]
        if secret and value not in ("", True, False, None):
            return MASK
        return self.text(value) if isinstance(value, str) else value


def _any_of(secrets: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of some texts; the longest first, one may be a part of another."""
    known = {each for secret in secrets for each in (*spellings(secret), *_in_base64(secret))}
    longest_first = sorted(known, key=lambda each: (-len(each), each))
    shapes = [
        re.escape(MASK),  # "secret" may be a password
        *(
            re.escape(each) if len(each) >= _LONG else rf"(?<!\w){re.escape(each)}(?!\w)"
            for each in longest_first
        ),
    ]
    return re.compile("|".join(shapes))


def _in_base64(secret: str) -> Iterator[str]:
    """Yield how a secret looks in the base64 of a longer text, such as "user:password"."""
    data = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        text = b64encode(bytes(before) + data).decode()
        # Without the characters that what comes before and behind has a share in.
        inner = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        if len(inner) >= _LONG_BASE64:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")


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
