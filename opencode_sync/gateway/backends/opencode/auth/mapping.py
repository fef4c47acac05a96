"""OpenCode's credentials as the schema's messages, both ways; what leaves here holds no secret.

One of three kinds per provider: an API key, an OAuth login, or the two words of a "well-known"
address.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    number,
    text,
)
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire import oc_auth_pb2 as pb

__all__ = [
    "auth_json",
    "check_provider_id",
    "mask",
    "oauth_state",
    "read_auth",
    "without_secrets",
]

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_SHOW_END_FROM = 20
"""Characters a secret must have before its last four are shown: of a shorter one they are too much.
"""

_LARGEST_EXACT = 2**53
_PROVIDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+~-]{0,99}\Z")
_SECRET = re.compile(r"[\x21-\x7e]+\Z")

# From OpenCode's auth.json...

_TABLES: Mapping[str, tuple[str, Table]] = {
    "api": (
        "api",
        Table({"type": Field("type", text), "key": Field("key", text)}, frozenset({"metadata"})),
    ),
    "oauth": (
        "oauth",
        Table(
            {
                "type": Field("type", text),
                "refresh": Field("refresh", text),
                "access": Field("access", text),
                "expires": Field("expires", number),
                "enterpriseUrl": Field("enterprise_url", text),
            },
            left_out=frozenset({"accountId"}),
        ),
    ),
    "wellknown": (
        "well_known",
        Table(
            {
                "type": Field("type", text),
                "key": Field("key", text),
                "token": Field("token", text),
            }
        ),
    ),
}
_SECRETS: Mapping[str, tuple[str, ...]] = {
    "api": ("key",),
    "oauth": ("refresh", "access"),
    "well_known": ("key", "token"),
}


def read_auth(document: object, odd: Oddities) -> pb.OcAuth | None:
    """Return a provider's credentials with the secrets masked, None if these are none.

    Args:
        document: The provider's entry in auth.json.
        odd: Gets a count for everything that could not be carried.
    """
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(kind, str) or kind not in _TABLES:
        return None
    auth = pb.OcAuth()
    name, table = _TABLES[kind]
    target = getattr(auth, name)
    fill(target, table, document, odd, f"auth.{kind}")
    for secret in _SECRETS[name]:
        setattr(target, secret, mask(getattr(target, secret)))
    return auth


def mask(secret: str) -> str:
    """Return enough of a secret to tell which one it is: ``"sk-...abcd"``; "" stays ""."""
    if not secret:
        return ""
    if len(secret) < _SHOW_END_FROM:
        return _ELLIPSIS
    prefix = re.match(r"[A-Za-z]{1,3}-", secret)
    return f"{prefix[0] if prefix else ''}{_ELLIPSIS}{secret[-4:]}"


def oauth_state(document: object, provider_id: str) -> ipc_pb2.IpcOAuthStatusResponse:
    """Return how OpenCode is logged in to a provider, and why that is said.

    Args:
        document: The provider's entry in auth.json, None if there is none.
        provider_id: For the reason's words.
    """
    kind = document.get("type") if isinstance(document, dict) else None
    if kind == "oauth":
        return ipc_pb2.IpcOAuthStatusResponse(status=ipc_pb2.OAUTH_STATUS_TYPE_CONFIGURED)
    if kind == "api":
        return ipc_pb2.IpcOAuthStatusResponse(
            status=ipc_pb2.OAUTH_STATUS_TYPE_API_KEY,
            reason=f"OpenCode uses an API key for {provider_id}",
        )
    if kind == "wellknown":
        return ipc_pb2.IpcOAuthStatusResponse(
            status=ipc_pb2.OAUTH_STATUS_TYPE_WELL_KNOWN,
            reason=f"OpenCode uses the well-known configuration of {provider_id}",
        )
    if document is None:
        return ipc_pb2.IpcOAuthStatusResponse(
            status=ipc_pb2.OAUTH_STATUS_TYPE_NOT_CONFIGURED,
            reason=f"OpenCode has no credentials for {provider_id}; `opencode auth login` logs in",
        )
    return ipc_pb2.IpcOAuthStatusResponse(
        status=ipc_pb2.OAUTH_STATUS_TYPE_UNKNOWN,
        reason=f"OpenCode's credentials for {provider_id} are of a kind this gateway does not know",
    )


# To OpenCode...


def check_provider_id(provider_id: str) -> str:
    """Return the id if a provider can have it.

    Raises:
        BackendError: INVALID_MESSAGE, naming the field and what is wrong with it.
    """
    if _PROVIDER_ID.match(provider_id):
        return provider_id
    if not provider_id.strip():
        raise _invalid('provider_id is empty; name a provider, such as "anthropic"')
    shown = ascii(provider_id[:40]) + ("..." if len(provider_id) > 40 else "")
    raise _invalid(
        f"provider_id must be at most 100 letters, digits, or any of ._:/@+~- but is {shown}; name "
        f'a provider as OpenCode does, such as "anthropic"'
    )


def auth_json(auth: pb.OcAuth) -> dict[str, Any]:
    """Return credentials as OpenCode takes them (``PUT /auth/{id}``).

    Raises:
        BackendError: INVALID_MESSAGE, naming the field, and never its value.
    """
    kind = auth.WhichOneof("auth")
    if kind == "api":
        return {"type": "api", "key": _secret("api.key", auth.api.key)}
    if kind == "well_known":
        return {
            "type": "wellknown",
            "key": _secret("well_known.key", auth.well_known.key),
            "token": _secret("well_known.token", auth.well_known.token),
        }
    if kind != "oauth":
        raise _invalid("auth holds no credentials; set one of api, oauth or well_known")
    oauth = auth.oauth
    expires = oauth.expires
    if not math.isfinite(expires) or not 0 <= expires <= _LARGEST_EXACT or expires % 1:
        raise _invalid(
            f"auth.oauth.expires must be whole Unix milliseconds from 0 up, but is {expires}"
        )
    document: dict[str, Any] = {
        "type": "oauth",
        "refresh": _secret("oauth.refresh", oauth.refresh),
        # Some logins have none until OpenCode fetches the first one.
        "access": _secret("oauth.access", oauth.access) if oauth.access else "",
        "expires": int(expires),
    }
    if oauth.enterprise_url:
        document["enterpriseUrl"] = oauth.enterprise_url
    return document


def without_secrets(auth: pb.OcAuth) -> pb.OcAuth:
    """Return a copy with the secret fields emptied, and the ``type`` that OpenCode calls it."""
    copy = pb.OcAuth()
    copy.CopyFrom(auth)
    kind = copy.WhichOneof("auth")
    if kind is not None:
        target = getattr(copy, kind)
        for secret in _SECRETS[kind]:
            target.ClearField(secret)
        target.type = "wellknown" if kind == "well_known" else kind
    return copy


def _secret(field: str, value: str) -> str:
    if not value.strip():
        raise _invalid(f"auth.{field} is blank; give the credential that the provider issued")
    if not _SECRET.match(value):
        raise _invalid(
            f"auth.{field} must be printable ASCII without spaces or line ends; copy the "
            f"credential again, without what stands around it"
        )
    return value


def _invalid(message: str) -> BackendError:
    return BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, message)
