"""Errors: their tree, their attributes, and their way through ``pickle`` and ``copy``."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import opencode_sync
from opencode_sync import (
    IpcArgumentError,
    IpcAuthenticationError,
    IpcCancelledError,
    IpcConfigError,
    IpcConnectionError,
    IpcError,
    IpcPromptError,
    IpcProtocolError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    IpcUsageError,
    errors,
)

SAMPLES: list[tuple[IpcError, dict[str, Any]]] = [
    (IpcError("plain"), {}),
    (
        IpcConfigError("bad port", field="port", source="environment"),
        {"field": "port", "source": "environment"},
    ),
    (IpcConfigError("bad"), {"field": None, "source": None}),
    (
        IpcConnectionError(
            "lost", endpoint="ws://x/", close_code=1011, close_reason="why", request_sent=True
        ),
        {
            "endpoint": "ws://x/",
            "close_code": 1011,
            "close_reason": "why",
            "request_sent": True,
        },
    ),
    (
        IpcConnectionError("lost"),
        {"endpoint": None, "close_code": None, "close_reason": "", "request_sent": False},
    ),
    (IpcAuthenticationError("no", endpoint="ws://x/"), {"endpoint": "ws://x/"}),
    (
        IpcProtocolError("odd", request_id=7, operation="list_sessions"),
        {"request_id": 7, "operation": "list_sessions"},
    ),
    (
        IpcTimeoutError(
            "late", request_id=7, timeout=1.5, operation="list_sessions", request_sent=True
        ),
        {"request_id": 7, "timeout": 1.5, "operation": "list_sessions", "request_sent": True},
    ),
    (
        IpcCancelledError("off", request_id=7, operation="list_sessions", request_sent=True),
        {"request_id": 7, "operation": "list_sessions", "request_sent": True},
    ),
    (
        IpcServerError("ill", request_id=7, code=77, operation="list_sessions"),
        {"request_id": 7, "code": 77, "operation": "list_sessions", "code_name": "code 77"},
    ),
    (
        IpcUnsupportedOperationError("no", request_id=7, code=2, operation="list_sessions"),
        {"code": 2, "code_name": "NOT_IMPLEMENTED"},
    ),
    (
        IpcPromptError("failed", kind="api", status=529, partial=["text"], retryable=True),
        {"kind": "api", "status": 529, "partial": ["text"], "retryable": True},
    ),
    (IpcPromptError("failed", kind="unknown"), {"status": None, "retryable": False}),
    (IpcSlowConsumerError("gap", missed=7), {"missed": 7}),
    (IpcUsageError("not here"), {}),
    (IpcArgumentError("bad title", field="title"), {"field": "title"}),
]
IDS = [f"{type(error).__name__}-{index}" for index, (error, _) in enumerate(SAMPLES)]


def test_every_error_class_has_a_sample_and_is_public() -> None:
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert {type(error) for error, _ in SAMPLES} == classes
    for cls in classes:
        assert getattr(opencode_sync, cls.__name__) is cls
        assert cls.__name__ in opencode_sync.__all__


@pytest.mark.parametrize(("error", "attributes"), SAMPLES, ids=IDS)
def test_text_and_attributes(error: IpcError, attributes: dict[str, Any]) -> None:
    assert str(error) == error.message == error.args[0]
    assert len(error.args) == 1
    for name, value in attributes.items():
        assert getattr(error, name) == value
    assert repr(error).startswith(type(error).__name__)


@pytest.mark.parametrize("how", [0, 2, 4, pickle.HIGHEST_PROTOCOL, "copy", "deepcopy"])
@pytest.mark.parametrize(("error", "attributes"), SAMPLES, ids=IDS)
def test_the_way_through_pickle_and_copy(
    error: IpcError, attributes: dict[str, Any], how: Any
) -> None:
    if how == "copy":
        twin = copy.copy(error)
    elif how == "deepcopy":
        twin = copy.deepcopy(error)
    else:
        twin = pickle.loads(pickle.dumps(error, how))
    assert twin is not error
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.args == error.args
    assert vars(twin) == vars(error)
    for name, value in attributes.items():
        assert getattr(twin, name) == value


def test_a_subclass_of_a_users_own_pickles_too() -> None:
    error = UsersOwn("mine", field="title")
    error.extra = 5  # type: ignore[attr-defined]
    error.add_note("a note")
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), twin.field, twin.extra, twin.__notes__) == (
        UsersOwn,
        "title",
        5,
        ["a note"],
    )


class UsersOwn(IpcArgumentError):
    """What a user may derive."""


@pytest.mark.parametrize(
    ("cls", "bases"),
    [
        (IpcConfigError, [IpcError]),
        (IpcConnectionError, [IpcError]),
        (IpcAuthenticationError, [IpcError]),
        (IpcProtocolError, [IpcError]),
        (IpcTimeoutError, [IpcError, TimeoutError]),
        (IpcCancelledError, [IpcError]),
        (IpcServerError, [IpcError]),
        (IpcUnsupportedOperationError, [IpcServerError]),
        (IpcPromptError, [IpcError]),
        (IpcUsageError, [IpcError, RuntimeError]),
        (IpcArgumentError, [IpcUsageError, ValueError]),
    ],
)
def test_the_tree(cls: type[IpcError], bases: list[type[Exception]]) -> None:
    assert all(issubclass(cls, base) for base in bases)
    assert issubclass(cls, IpcError)


def test_which_are_not_related() -> None:
    assert not issubclass(IpcAuthenticationError, IpcConnectionError)
    assert not issubclass(IpcConfigError, IpcUsageError)
    assert not issubclass(IpcCancelledError, IpcTimeoutError)


@pytest.mark.parametrize(
    ("code", "name"), [(0, "UNKNOWN"), (5, "NO_SERVER"), (77, "code 77"), (-1, "code -1")]
)
def test_names_of_codes(code: int, name: str) -> None:
    assert errors.error_code_name(code) == name


def test_an_error_without_arguments_has_an_empty_message() -> None:
    assert IpcError.__new__(IpcError).message == ""
