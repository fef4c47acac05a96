"""The generated messages are those of the wire schema: all of them, and nothing else.

``schema_table.json`` holds the schema's facts. Fields from 200 up are this project's extensions and
not part of it; extension messages live in ``.proto`` files of their own, so that the files of the
schema hold its messages only.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

FIRST_EXTENSION_FIELD = 200

TABLE: dict[str, Any] = json.loads(
    Path(__file__).with_name("schema_table.json").read_text(encoding="utf-8")
)

Field = descriptor_pb2.FieldDescriptorProto
Message = descriptor_pb2.DescriptorProto


def load(name: str) -> descriptor_pb2.FileDescriptorProto:
    """Return the descriptor of a schema file, from its generated module."""
    module = importlib.import_module(f"opencode_sync.wire.{name.removesuffix('.proto')}_pb2")
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


def map_entry(field: Field, message: Message) -> Message | None:
    """Return the hidden entry message of a map field, or None for any other field."""
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith(f".{message.name}.{nested.name}"):
            return nested
    return None


def type_name(field: Field, message: Message) -> str:
    """Return the field's type in the table's notation."""
    entry = map_entry(field, message)
    if entry is not None:
        key, value = (type_name(part, entry) for part in entry.field)
        return f"map<{key}, {value}>"
    if field.type_name:
        return field.type_name.removeprefix(".")
    return Field.Type.Name(field.type).removeprefix("TYPE_").lower()


def presence(field: Field, message: Message) -> str:
    """Return the field's presence in the table's notation."""
    if map_entry(field, message) is not None:
        return "map"
    if field.label == Field.LABEL_REPEATED:
        return "repeated"
    if field.proto3_optional:
        return "optional"
    if field.HasField("oneof_index"):
        return f"oneof {message.oneof_decl[field.oneof_index].name}"
    return ""


def rows(message: Message) -> list[list[Any]]:
    """Return the message's fields below the extensions as the table's rows."""
    return [
        [field.number, field.name, type_name(field, message), presence(field, message)]
        for field in sorted(message.field, key=lambda field: field.number)
        if field.number < FIRST_EXTENSION_FIELD
    ]


def enum_values(enum: descriptor_pb2.EnumDescriptorProto) -> dict[str, int]:
    return {value.name: value.number for value in enum.value}


def test_table_is_whole() -> None:
    """The table is the whole schema; a truncated one would compare less without failing."""
    messages = [rows for file in TABLE.values() for rows in file["messages"].values()]
    assert len(TABLE) == 11
    assert len(messages) == 120
    assert sum(map(len, messages)) == 445
    assert sum(len(file["enums"]) for file in TABLE.values()) == 9


@pytest.mark.parametrize("name", TABLE)
def test_file_is_in_its_package(name: str) -> None:
    """Each file is proto3, in the schema's package, under a name no user's file has."""
    file = load(name)
    assert file.package == TABLE[name]["package"]
    assert file.syntax == "proto3"
    assert file.name == f"opencode_sync/wire/{name}"


@pytest.mark.parametrize("name", TABLE)
def test_messages_have_the_fields_of_the_table(name: str) -> None:
    """Every message has exactly the table's fields: number, name, type and presence."""
    file = load(name)
    found = {f"{file.package}.{message.name}": rows(message) for message in file.message_type}
    assert found == TABLE[name]["messages"]


@pytest.mark.parametrize("name", TABLE)
def test_enums_have_the_values_of_the_table(name: str) -> None:
    """Every enum, nested ones included, has exactly the table's values."""
    file = load(name)
    found = {f"{file.package}.{enum.name}": enum_values(enum) for enum in file.enum_type}
    for message in file.message_type:
        for enum in message.enum_type:
            found[f"{file.package}.{message.name}.{enum.name}"] = enum_values(enum)
    assert found == TABLE[name]["enums"]


@pytest.mark.parametrize("name", TABLE)
def test_nested_messages_are_map_entries_only(name: str) -> None:
    """The table has no nested messages, so none may hide inside another one."""
    for message in load(name).message_type:
        assert all(nested.options.map_entry for nested in message.nested_type), message.name


@pytest.mark.parametrize("envelope", ["IpcClientMessage", "IpcServerMessage"])
def test_envelope_extensions_are_payloads_or_about_the_request(envelope: str) -> None:
    """What an envelope has beyond the table is a payload, but for the trace of a request."""
    (message,) = (m for m in load("ipc.proto").message_type if m.name == envelope)
    extensions = [field for field in message.field if field.number >= FIRST_EXTENSION_FIELD]
    payloads = [field for field in extensions if field.number < 290]
    assert all(presence(field, message) == "oneof payload" for field in payloads)
    about = {field.number: field.name for field in extensions if field not in payloads}
    traced = envelope == "IpcClientMessage"
    assert about == ({290: "traceparent", 291: "tracestate"} if traced else {})
