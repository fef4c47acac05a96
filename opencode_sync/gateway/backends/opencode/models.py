"""The providers that an OpenCode server can use and their models, without the keys."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.message import Message

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.checks import providers
from opencode_sync.gateway.backends.opencode.mapping.struct import clean, fill_struct
from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    flag,
    log_oddities,
    number,
    obj,
    text,
)
from opencode_sync.gateway.backends.opencode.project import Project
from opencode_sync.gateway.backends.opencode.runs.prompts import refresh_keys
from opencode_sync.gateway.backends.opencode.secrets import public_options, public_url
from opencode_sync.wire import ext_operations_pb2
from opencode_sync.wire import oc_model_pb2 as pb

__all__ = ["connected_providers", "list_models", "provider_secrets", "read_models"]

_STATUS = {
    "alpha": pb.ALPHA,
    "beta": pb.BETA,
    "active": pb.ACTIVE,
    "deprecated": pb.DEPRECATED,
}
_REASONING_FIELD = {
    "reasoning_content": pb.OcInterleavedFieldSpec.REASONING_CONTENT,
    "reasoning_details": pb.OcInterleavedFieldSpec.REASONING_DETAILS,
}


def _status(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    if not isinstance(value, str) or value not in _STATUS:
        return False
    setattr(target, name, _STATUS[value])
    return True


def _interleaved(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    # True, false, or {"field": "reasoning_content"}.
    spec = getattr(target, name)
    if isinstance(value, bool):
        spec.enabled = value
        return True
    field = value.get("field") if isinstance(value, dict) else None
    if not isinstance(field, str):
        return False
    spec.field_spec.field = _REASONING_FIELD.get(field, pb.OcInterleavedFieldSpec.FIELD_UNSPECIFIED)
    return True


def _values(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    if not isinstance(value, dict):
        return False
    carried = struct_pb2.Struct()
    odd.update(f"{path}: {what}" for what in fill_struct(carried, value))
    for key, each in carried.fields.items():
        getattr(target, name)[key].CopyFrom(each)
    return True


def _strings(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    if not isinstance(value, dict):
        return False
    for key, each in value.items():
        if isinstance(each, str):
            getattr(target, name)[clean(key)] = clean(each)
        else:
            odd[f"{path}[]"] += 1
    return True


def _structs(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    if not isinstance(value, dict):
        return False
    for key, each in value.items():
        if isinstance(each, dict):
            carried = getattr(target, name)[clean(key)]
            odd.update(f"{path}[]: {what}" for what in fill_struct(carried, each))
        else:
            odd[f"{path}[]"] += 1
    return True


# The tables...

_API = Table({"id": Field("id", text), "url": Field("url", text), "npm": Field("npm", text)})
_KINDS = Table({kind: Field(kind, flag) for kind in ("text", "audio", "image", "video", "pdf")})
_CAPABILITIES = Table(
    {
        "temperature": Field("temperature", flag),
        "reasoning": Field("reasoning", flag),
        "attachment": Field("attachment", flag),
        "toolcall": Field("toolcall", flag),
        "input": Field("input", obj(_KINDS)),
        "output": Field("output", obj(_KINDS)),
        "interleaved": Field("interleaved", _interleaved),
    }
)
_CACHE = Table({"read": Field("read", number), "write": Field("write", number)})
_PRICES = {
    "input": Field("input", number),
    "output": Field("output", number),
    "cache": Field("cache", obj(_CACHE)),
}
_COST = Table(
    {**_PRICES, "experimentalOver200K": Field("experimental_over_200k", obj(Table(_PRICES)))},
    left_out=frozenset({"tiers"}),
)
_LIMIT = Table(
    {"context": Field("context", number), "output": Field("output", number)},
    left_out=frozenset({"input"}),
)
_MODEL = Table(
    {
        "id": Field("id", text),
        "providerID": Field("provider_id", text),
        "name": Field("name", text),
        "family": Field("family", text),
        "api": Field("api", obj(_API)),
        "capabilities": Field("capabilities", obj(_CAPABILITIES)),
        "cost": Field("cost", obj(_COST)),
        "limit": Field("limit", obj(_LIMIT)),
        "status": Field("status", _status),
        "options": Field("options", _values),
        "headers": Field("headers", _strings),
        "release_date": Field("release_date", text),
        "variants": Field("variants", _structs),
    }
)


# What the backend calls...


def list_models(project: Project, deadline: Deadline) -> ext_operations_pb2.IpcModelList:
    """See ``OpenCodeBackend.list_models``."""
    refresh_keys(project.binding, project.instance(deadline), None, deadline)
    answer = project.call("GET", "/config/providers", deadline)
    odd = Oddities()
    models = read_models(answer, odd)
    if models is None:
        raise _no_providers(project)
    log_oddities(odd)
    return models


def connected_providers(project: Project, deadline: Deadline) -> list[str]:
    """See ``OpenCodeBackend.connected_providers``."""
    if refresh_keys(project.binding, project.instance(deadline), None, deadline):
        known = providers(project.call("GET", "/config/providers", deadline))
        if known is not None:
            return list(known)
    else:
        # What an instance has not read yet is only in here: 6 MB of every provider there is.
        answer = project.call("GET", "/provider", deadline)
        connected = answer.get("connected") if isinstance(answer, dict) else None
        if isinstance(connected, list):
            return [each for each in connected if isinstance(each, str)]
    raise _no_providers(project)


def provider_secrets(project: Project, deadline: Deadline) -> tuple[str, ...]:
    """Return the keys of all providers that can be used, to be taken out of what they say."""
    known = providers(project.call("GET", "/config/providers", deadline))
    if known is None:
        raise _no_providers(project)
    return tuple(secret for provider in known.values() for secret in provider.secrets)


def read_models(document: object, odd: Oddities) -> ext_operations_pb2.IpcModelList | None:
    """Return the models that ``GET /config/providers`` lists, None if this is no such list.

    Args:
        document: The answer, in which there are keys.
        odd: Gets a count for everything that could not be carried.
    """
    known = providers(document)
    if known is None or not isinstance(document, dict):
        return None
    secrets = tuple(secret for provider in known.values() for secret in provider.secrets)
    result = ext_operations_pb2.IpcModelList()
    for provider in document["providers"]:
        models = provider.get("models") if isinstance(provider, dict) else None
        for model in models.values() if isinstance(models, dict) else ():
            carried = pb.OcModelInfo()
            if isinstance(model, dict):
                fill(carried, _MODEL, _without_secrets(model, secrets), odd, "model")
            if carried.id and carried.provider_id:
                result.models.append(carried)
            else:
                odd["model"] += 1
    defaults = document.get("default")
    for provider_id, model_id in defaults.items() if isinstance(defaults, dict) else ():
        if isinstance(model_id, str):
            result.default_models[clean(provider_id)] = clean(model_id)
    return result


def _without_secrets(model: dict[str, Any], secrets: tuple[str, ...]) -> dict[str, Any]:
    public = dict(model)
    for key in ("options", "headers", "variants"):
        if isinstance(model.get(key), dict):
            public[key] = public_options(model[key], secrets)
    api = model.get("api")
    if isinstance(api, dict) and isinstance(api.get("url"), str):
        public["api"] = {**api, "url": public_url(api["url"], secrets)}
    return public


def _no_providers(project: Project) -> Exception:
    return project.binding.misshapen("the question for its providers", "a list of providers")
