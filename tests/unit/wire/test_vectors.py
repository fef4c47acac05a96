"""Samples made by an independent encoder mean the same here, byte for byte.

Each vector has the message's bytes and its fields as protobuf JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from opencode_sync.wire import ipc_pb2

Vector = dict[str, Any]

VECTORS: list[Vector] = json.loads(
    Path(__file__).with_name("vectors.json").read_text(encoding="utf-8")
)
BY_NAME = {vector["name"]: vector for vector in VECTORS}

ENVELOPES: dict[str, type[Message]] = {
    "opencode.IpcClientMessage": ipc_pb2.IpcClientMessage,
    "opencode.IpcServerMessage": ipc_pb2.IpcServerMessage,
}

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


def server_message(name: str) -> ipc_pb2.IpcServerMessage:
    """Decode the server message of a vector."""
    return ipc_pb2.IpcServerMessage.FromString(bytes.fromhex(BY_NAME[name]["hex"]))


def fields(message: Message) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def test_all_vectors_are_here() -> None:
    assert len(BY_NAME) == len(VECTORS) == 30


@each_vector
def test_fields_encode_to_the_bytes(vector: Vector) -> None:
    message = json_format.ParseDict(vector["json"], ENVELOPES[vector["message"]]())
    assert message.SerializeToString(deterministic=True).hex() == vector["hex"]


@each_vector
def test_bytes_decode_to_the_fields(vector: Vector) -> None:
    message = ENVELOPES[vector["message"]].FromString(bytes.fromhex(vector["hex"]))
    assert fields(message) == vector["json"]
    # A field under a wrong number would be kept as unknown, and only show here.
    message.DiscardUnknownFields()
    assert message.SerializeToString(deterministic=True).hex() == vector["hex"]


@each_vector
def test_every_truncation_fails_or_loses_fields(vector: Vector) -> None:
    """No beginning of a message is taken for the whole of it."""
    whole = bytes.fromhex(vector["hex"])
    for length in range(len(whole)):
        try:
            part = ENVELOPES[vector["message"]].FromString(whole[:length])
        except DecodeError:
            continue
        assert fields(part) != vector["json"]


def test_empty_error_is_present() -> None:
    """An optional field that is there and empty differs from one that is absent."""
    refused = server_message("auth refused, empty error present").auth_handshake_response
    accepted = server_message("auth accepted").auth_handshake_response
    assert refused.HasField("error")
    assert refused.error == ""
    assert not accepted.HasField("error")


def test_empty_answer_still_sets_the_payload() -> None:
    assert server_message("session list, empty").WhichOneof("payload") == "session_list"
    assert server_message("no payload").WhichOneof("payload") is None


def test_error_code_of_the_future_keeps_its_number() -> None:
    message = server_message("error, code from the future")
    code = message.error.code
    assert code not in ipc_pb2.IpcErrorCode.values()
    assert fields(message)["error"]["code"] == code


def test_largest_id_survives() -> None:
    assert server_message("largest id").request_id == 2**64 - 1
