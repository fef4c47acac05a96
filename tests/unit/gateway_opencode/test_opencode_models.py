"""OpenCode's models become the schema's messages, and no key of a provider's comes along."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.gateway.backends.opencode.mapping.tables import Oddities
from opencode_sync.gateway.backends.opencode.models import read_models
from opencode_sync.gateway.backends.opencode.secrets import public_options, public_url
from opencode_sync.wire import oc_model_pb2 as pb
from tests.unit.gateway_opencode.http_server import Answer

KEY = "sk-0123456789"
KINDS = {"text": True, "audio": False, "image": True, "video": False, "pdf": False}
MODEL = {
    "id": "m-1",
    "providerID": "p",
    "name": "Model One",
    "family": "m",
    "api": {"id": "m-1-latest", "url": "https://example.com/v1", "npm": "@ai-sdk/x"},
    "capabilities": {
        "temperature": True,
        "reasoning": True,
        "attachment": False,
        "toolcall": True,
        "input": KINDS,
        "output": {"text": True},
        "interleaved": {"field": "reasoning_details"},
    },
    "cost": {
        "input": 1,
        "output": 2.5,
        "cache": {"read": 0.1, "write": 0},
        "tiers": [],
        "experimentalOver200K": {"input": 3, "output": 4, "cache": {"read": 5, "write": 6}},
    },
    "limit": {"context": 200000, "output": 8000, "input": 100},
    "status": "beta",
    "options": {"reasoningEffort": "high", "apiKey": "other", "n": [1, {"token": "t", "k": None}]},
    "headers": {"X-Team": "blue", "X-Api-Key": "other", "X-Copy": f"key {KEY}", "X-Odd": 7},
    "release_date": "2026-01-02",
    "variants": {"high": {"effort": "high", "password": "x"}, "odd": 7},
}


def read(*models, **more):
    odd = Oddities()
    provider = {"id": "p", "key": KEY, "models": {str(n): m for n, m in enumerate(models)}}
    result = read_models({"providers": [provider], **more}, odd)
    return result, dict(odd)


def one(**fields):
    result, odd = read({"id": "m", "providerID": "p", **fields})
    return result.models[0], odd


def test_everything_the_schema_has_is_carried_and_no_key():
    result, odd = read(MODEL, default={"p": "m-1", "q": 7})
    (model,) = result.models
    assert dict(result.default_models) == {"p": "m-1"}
    assert odd == {"model.headers[]": 1, "model.variants[]": 1}
    assert KEY not in str(result)
    assert json_format.MessageToDict(model, preserving_proto_field_name=True) == {
        "id": "m-1",
        "provider_id": "p",
        "name": "Model One",
        "family": "m",
        "api": {"id": "m-1-latest", "url": "https://example.com/v1", "npm": "@ai-sdk/x"},
        "capabilities": {
            "temperature": True,
            "reasoning": True,
            "toolcall": True,
            "input": {"text": True, "image": True},
            "output": {"text": True},
            "interleaved": {"field_spec": {"field": "REASONING_DETAILS"}},
        },
        "cost": {
            "input": 1.0,
            "output": 2.5,
            "cache": {"read": 0.1},
            "experimental_over_200k": {
                "input": 3.0,
                "output": 4.0,
                "cache": {"read": 5.0, "write": 6.0},
            },
        },
        "limit": {"context": 200000.0, "output": 8000.0},
        "status": "BETA",
        "options": {"reasoningEffort": "high", "n": [1.0, {"k": None}]},
        "headers": {"X-Team": "blue"},
        "release_date": "2026-01-02",
        "variants": {"high": {"effort": "high"}},
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, pb.OcInterleavedCapability(enabled=True)),
        (False, pb.OcInterleavedCapability(enabled=False)),
        (
            {"field": "reasoning_content"},
            pb.OcInterleavedCapability(
                field_spec=pb.OcInterleavedFieldSpec(
                    field=pb.OcInterleavedFieldSpec.REASONING_CONTENT
                )
            ),
        ),
        (
            {"field": "of a later version"},
            pb.OcInterleavedCapability(field_spec=pb.OcInterleavedFieldSpec(field=0)),
        ),
    ],
)
def test_reasoning_between_tool_calls(value, expected):
    model, odd = one(capabilities={"interleaved": value})
    assert model.capabilities.interleaved == expected
    assert model.capabilities.interleaved.WhichOneof("value") == expected.WhichOneof("value")
    assert odd == {}


@pytest.mark.parametrize("status", ["alpha", "beta", "active", "deprecated"])
def test_each_status(status):
    assert pb.OcModelStatus.Name(one(status=status)[0].status) == status.upper()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"status": "dead"}, "model.status"),
        ({"status": ["beta"]}, "model.status"),
        ({"capabilities": {"interleaved": {"field": 7}}}, "model.capabilities.interleaved"),
        ({"capabilities": {"interleaved": "yes"}}, "model.capabilities.interleaved"),
        ({"options": []}, "model.options"),
        ({"options": {"n": 10**400}}, "model.options: too large"),
        ({"headers": []}, "model.headers"),
        ({"variants": []}, "model.variants"),
        ({"api": 7}, "model.api"),
        ({"api": {"url": 7}}, "model.api.url"),
        ({"mood": "fine"}, "model.mood"),
    ],
)
def test_an_odd_value_is_passed_over_and_counted(fields, path):
    model, odd = one(**fields, name="kept")
    assert model.name == "kept"
    assert odd == {path: 1}


@pytest.mark.parametrize("model", [None, {}, {"id": "m"}, {"providerID": "p"}, {"id": 7}])
def test_what_is_no_model_is_counted(model):
    result, odd = read(model)
    assert list(result.models) == []
    assert odd["model"] == 1


@pytest.mark.parametrize("document", [None, [], {}, {"providers": {}}])
def test_what_is_no_list_of_providers_is_none(document):
    assert read_models(document, Oddities()) is None


def test_providers_that_are_odd_have_no_models():
    document = {"providers": [None, {"id": "p"}, {"id": "q", "models": []}], "default": []}
    result = read_models(document, Oddities())
    assert (len(result.models), dict(result.default_models)) == (0, {})


# What may hold a key...


@pytest.mark.parametrize(
    "name",
    [
        "apiKey",
        "apikey",
        "API_KEY",
        "x-goog-api-key",
        "accessKeyId",
        "secretAccessKey",
        "sessionToken",
        "Authorization",
        "Cookie",
        "clientSecret",
        "password",
        "credentials",
        "privateKeys",
        "OPENAI_API_KEY",
        "authHeader",
    ],
)
def test_a_name_tells_a_secret(name):
    assert public_options({name: "x", "kept": 1}, []) == {"kept": 1}
    assert public_options({"deep": [{name: {"x": 1}}]}, []) == {"deep": [{}]}


@pytest.mark.parametrize(
    "name",
    ["maxTokens", "max_output_tokens", "promptCacheKey", "setCacheKey", "reasoningEffort", "user"],
)
def test_other_names_do_not(name):
    assert public_options({name: "x"}, []) == {name: "x"}


@pytest.mark.parametrize("value", ["Bearer abc", "basic abc", f"x{KEY}x", [KEY], {"a": [KEY]}])
def test_a_value_tells_a_secret(value):
    assert "abc" not in str(public_options({"a": value, "b": 1}, [KEY]))
    assert KEY not in str(public_options({"a": value, "b": 1}, [KEY]))
    assert public_options({"a": value, "b": 1}, [KEY])["b"] == 1


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("", ""),
        ("https://example.com/v1", "https://example.com/v1"),
        ("https://user:pass@example.com:8443/v1?key=x#y", "https://example.com:8443/v1"),
        (f"https://example.com/{KEY}/v1", ""),
        ("https://[broken", ""),
    ],
)
def test_an_address_has_no_secret_in_it(url, public):
    assert public_url(url, [KEY]) == public


# Asking OpenCode...


@pytest.fixture
def opencode(serve):
    backends = []

    def make(answer, **options):
        server = serve(answer)
        backends.append(OpenCodeBackend(server.url, **options))
        return backends[-1], server

    yield make
    for each in backends:
        each.close()


def test_models_are_asked_for_in_the_project(opencode, tmp_path):
    backend, server = opencode(
        Answer({"providers": [{"id": "p", "models": {"m-1": MODEL}}]}), directory=tmp_path
    )
    listed = backend.list_models(deadline=Deadline.after(20))
    assert [model.id for model in listed.models] == ["m-1"]
    (request,) = server.requests
    assert request.path == "/config/providers"
    assert request.query == {"directory": [str(tmp_path.resolve())]}


def test_an_answer_without_providers_is_an_error(opencode, tmp_path):
    backend, _ = opencode(Answer([]), directory=tmp_path)
    for operation in (backend.list_models, backend.connected_providers):
        with pytest.raises(BackendError, match="a list of providers"):
            operation(deadline=Deadline.after(20))


def test_an_answer_without_directories_is_an_error(opencode):
    backend, _ = opencode(Answer({"directory": 7}))
    with pytest.raises(BackendError, match="its directories"):
        backend.list_models(deadline=Deadline.after(20))


def test_what_is_too_deep_to_be_looked_at_is_left_out() -> None:
    """Options nested a thousand deep are no error, and nothing unseen comes out of them."""
    deep: object = KEY
    for _ in range(900):
        deep = {"in": [deep]}
    public = public_options({"a": deep, "b": 1}, [KEY])
    assert public["b"] == 1
    depth = 0
    value: object = public["a"]
    while isinstance(value, dict | list):
        value = value["in"] if isinstance(value, dict) else value[0]
        depth += 1
    assert value is None
    assert 100 <= depth <= 110
