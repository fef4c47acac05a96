"""``opencode-sync gateway --trace``: by the provider there is, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from opencode_sync import gateway as gateway_package
from opencode_sync.cli.errors import ExitCode
from opencode_sync.gateway import serve

from .conftest import Run


class Backend:
    """Nothing but a backend that can be closed."""

    def close(self) -> None: ...


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the gateway was given that the command made; it does not serve."""
    arguments: dict[str, Any] = {}

    def make(backend: Backend, **options: Any) -> str:
        arguments.update(options)
        return "the gateway"

    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(tmp_path / "gateway.json"))
    monkeypatch.setattr(serve, "choose_backend", lambda kind, **options: Backend())
    monkeypatch.setattr(serve, "run", lambda gateway, **options: 0)
    monkeypatch.setattr(gateway_package, "Gateway", make)
    return arguments


def test_without_it_there_are_no_traces(run: Run, given: dict[str, Any]) -> None:
    assert run("gateway").exit_code == 0
    assert given["tracer_provider"] is None


def test_the_provider_of_the_process_is_used(
    run: Run, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = TracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    assert run("gateway", "--trace").exit_code == 0
    assert given["tracer_provider"] is provider


def test_without_a_provider_it_says_how_to_start(run: Run, given: dict[str, Any]) -> None:
    done = run("gateway", "--trace")
    assert done.exit_code == ExitCode.CONFIGURATION
    assert "opentelemetry-instrument -- opencode-sync gateway --trace" in done.stderr
    assert "opentelemetry-distro" in done.stderr
    assert given == {}
