"""Runs commands in process, against a client without a backend."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from opencode_sync.cli.app import app

from .doubles import FakeClient, FakeLinks

Run = Callable[..., Result]


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def links(client: FakeClient) -> FakeLinks:
    return FakeLinks(client)


@pytest.fixture
def run(links: FakeLinks) -> Run:
    """``run("health", "--json")``: the command's result, with stdout and stderr apart."""

    def run_command(*arguments: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, obj=links.state())

    return run_command
