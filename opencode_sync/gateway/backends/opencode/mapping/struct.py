"""Free JSON (a tool's input, an agent's options) as ``google.protobuf.Struct``.

A Struct's numbers are doubles. So are OpenCode's own, which is a JavaScript program: a whole number
beyond 2**53 in its JSON is the short spelling of a double, and becomes that double again. What a
double or a Struct cannot carry is carried as text rather than dropped, and reported:

- NaN and the infinities, which are no JSON but which Python reads, become ``"NaN"``,
  ``"Infinity"`` and ``"-Infinity"``, as protobuf spells them in JSON. As numbers they would make
  the message impossible to print as JSON.
- A number too large for a double becomes its digits.
- What is nested more than ``MAX_DEPTH`` deep becomes its JSON. Protobuf's readers give up at 100
  messages within messages, and one deep value must not make the whole answer unreadable.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import struct_pb2

__all__ = ["MAX_DEPTH", "clean", "fill_struct"]

MAX_DEPTH = 24
"""Objects and arrays within each other. Each costs up to three levels of protobuf's hundred, and
the messages around a Struct up to a dozen."""


def clean(value: str) -> str:
    """Return the text with what protobuf cannot carry replaced: halves of surrogate pairs."""
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fill_struct(target: struct_pb2.Struct, source: Mapping[str, Any]) -> list[str]:
    """Put a JSON object into a Struct, its keys unchanged.

    Args:
        target: Gets the fields.
        source: As ``json.loads`` returns it.

    Returns:
        A word for each value that is carried as text: ``"not finite"``, ``"too large"``,
        ``"too deep"``.
    """
    return list(_fill(target, source, 1))


def _fill(target: struct_pb2.Struct, source: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key, value in source.items():
        yield from _put(target.fields[clean(key)], value, depth)


def _put(target: struct_pb2.Value, value: Any, depth: int) -> Iterator[str]:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = clean(value)
    elif isinstance(value, (int, float)):
        yield from _put_number(target, value)
    elif depth >= MAX_DEPTH:
        try:
            target.string_value = clean(json.dumps(value, ensure_ascii=False))
        except RecursionError:  # some hundred levels more
            target.string_value = "..."
        yield "too deep"
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        yield from _fill(target.struct_value, value, depth + 1)
    else:
        target.list_value.SetInParent()
        for item in value:
            yield from _put(target.list_value.values.add(), item, depth + 1)


def _put_number(target: struct_pb2.Value, value: float) -> Iterator[str]:
    try:
        double = float(value)
    except OverflowError:
        target.string_value = json.dumps(value)
        yield "too large"
        return
    if math.isfinite(double):
        target.number_value = double
        return
    target.string_value = json.dumps(double)
    yield "not finite"
