"""The guides' tables say what the code says."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Final

import pytest

import opencode_sync
from opencode_sync import IpcError
from opencode_sync.cli.errors import EXIT_CODES
from opencode_sync.gateway import GatewayLimits
from opencode_sync.wire import ipc_pb2
from tests.docs.blocks import DOCS, ROOT

ERRORS: Final = (DOCS / "guides" / "errors.md").read_text(encoding="utf-8")
OPERATING: Final = (DOCS / "guides" / "operating.md").read_text(encoding="utf-8")
PROTOCOL: Final = (DOCS / "protocol.md").read_text(encoding="utf-8")

PUBLIC_ERRORS: Final = sorted(
    name
    for name in opencode_sync.__all__
    if isinstance(getattr(opencode_sync, name), type)
    and issubclass(getattr(opencode_sync, name), IpcError)
)


def _table(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its own first two rows."""
    _, found, below = text.partition(f"\n{heading}\n")
    assert found, heading
    rows = re.search(r"^\|.*(?:\n\|.*)*", below, re.MULTILINE)
    assert rows is not None, heading
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        for row in rows[0].splitlines()[2:]
    ]


def _names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_every_error_is_in_the_table() -> None:
    """And nothing else is."""
    assert sorted(_names(row[0])[0] for row in _table(ERRORS, "## All of them")) == PUBLIC_ERRORS


@pytest.mark.parametrize("name", PUBLIC_ERRORS)
def test_error_has_the_attributes_of_the_table(name: str) -> None:
    """All those it has of its own; and what it is besides is what its row says."""
    row = next(row for row in _table(ERRORS, "## All of them") if _names(row[0])[0] == name)
    cls = getattr(opencode_sync, name)
    given = [
        each.name
        for each in inspect.signature(cls).parameters.values()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    made = [key for key, _ in inspect.getmembers(cls, lambda each: isinstance(each, property))]
    base = [] if cls is IpcError else ["message"]
    assert set(_names(row[2])) == {*given, *made} - set(base)
    above = [each.__name__ for each in cls.__mro__[1:]]
    assert set(_names(row[0])[1:]) <= set(above)


def test_kinds_of_failed_runs_are_those_of_the_schema() -> None:
    """The schema's comment lists the kinds; the table explains each."""
    schema = (ROOT / "proto/opencode_sync/wire/ext_prompt.proto").read_text(encoding="utf-8")
    comment = re.search(r"message IpcRunFailure \{\n(.*?)  string kind", schema, re.DOTALL)
    assert comment is not None
    rows = _table(ERRORS, "## Kinds of failed runs")
    assert {_names(row[0])[0] for row in rows} == set(re.findall(r'"(\w+)"', comment[1]))


def test_codes_are_those_of_the_schema() -> None:
    """Each code that a backend may answer with is explained."""
    rows = _table(ERRORS, "## Codes of the backend")
    names = {
        name.removeprefix("IPC_ERROR_CODE_")
        for name in ipc_pb2.IpcErrorCode.DESCRIPTOR.values_by_name
    }
    assert {_names(row[0])[0] for row in rows} == names


def test_exit_codes_are_those_of_the_command_line() -> None:
    """Number for number, in the words of its own help."""
    rows = _table(ERRORS, "## Exit codes of the command line")
    assert {int(row[0]): row[1] for row in rows} == {
        int(code): text for code, text in EXIT_CODES.items()
    }


def test_limits_are_those_of_the_gateway() -> None:
    """Every limit with its default."""
    written = {_names(row[0])[0]: float(row[1]) for row in _table(OPERATING, "## Limits")}
    defaults = {
        field.name: float(getattr(GatewayLimits(), field.name))
        for field in dataclasses.fields(GatewayLimits)
    }
    assert written == defaults


def test_extensions_are_those_of_the_schema() -> None:
    """Every request and every answer that this package adds, with its number."""
    rows = _table(PROTOCOL, "## Extensions")
    requests = {_names(row[0])[0]: int(row[1]) for row in rows}
    assert requests == _extensions(ipc_pb2.IpcClientMessage.DESCRIPTOR)
    answers = {
        name: int(number)
        for row in rows
        if row[3]
        for name, number in zip(_names(row[2]), row[3].split(", "), strict=True)
    }
    assert answers == _extensions(ipc_pb2.IpcServerMessage.DESCRIPTOR)


def _extensions(message: object) -> dict[str, int]:
    payload = message.oneofs_by_name["payload"]  # type: ignore[attr-defined]
    return {field.name: field.number for field in payload.fields if field.number >= 200}


@pytest.mark.parametrize("page", ["guides/operating.md", "guides/errors.md"])
def test_attributes_and_variables_are_written_as_the_code_has_them(page: str) -> None:
    """A variable of the environment that a guide names is one that the code reads."""
    text = (DOCS / page).read_text(encoding="utf-8")
    code = "".join(
        path.read_text(encoding="utf-8") for path in Path(opencode_sync.__path__[0]).rglob("*.py")
    )
    for variable in re.findall(r"`(OPENCODE_\w*[A-Z])`", text):
        assert variable in code, variable
