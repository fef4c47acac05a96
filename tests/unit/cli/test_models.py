"""``opencode-sync models``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opencode_sync.wire.oc_model_pb2 import OcModelInfo

from .conftest import Run
from .doubles import FakeClient, FakeLinks


def model(provider: str, name: str, **fields: Any) -> OcModelInfo:
    made = OcModelInfo(id=name, provider_id=provider, name=f"The {name}", **fields)
    made.capabilities.toolcall = True
    return made


@pytest.fixture
def two(client: FakeClient) -> None:
    big = model("zeta", "big", release_date="2026-01-01")
    big.limit.context, big.limit.output = 200_000, 8_000
    big.cost.input, big.cost.output, big.cost.cache.read = 3, 15.5, 0.3
    big.capabilities.reasoning = True
    small = model("alpha", "small\x1b")
    small.capabilities.toolcall = False
    client.models.models.extend([big, small])
    client.models.default_models["zeta"] = "big"


@pytest.mark.usefixtures("two")
def test_models_are_shown_as_chat_takes_them(run: Run, client: FakeClient) -> None:
    done = run("models")
    assert done.exit_code == 0
    _, _, small, big = done.stdout.splitlines()
    assert small.split() == [
        "alpha/small\\x1b",
        "The",
        "small\\x1b",
        "-",
        "-",
        "0/0",
        "no",
        "tools",
    ]
    assert big.split() == [
        "zeta/big",
        "The",
        "big",
        "200,000",
        "8,000",
        "3/15.5",
        "default,",
        "reasons",
    ]
    assert not client.connected


@pytest.mark.usefixtures("two")
def test_models_as_json(run: Run) -> None:
    small, big = json.loads(run("models", "--json").stdout)
    assert big == {
        "model": "zeta/big",
        "provider_id": "zeta",
        "id": "big",
        "name": "The big",
        "default": True,
        "context": 200_000,
        "output": 8_000,
        "reasoning": True,
        "tools": True,
        "cost": {"input": 3, "output": 15.5, "cache_read": 0.3, "cache_write": 0},
        "release_date": "2026-01-01",
    }
    assert (small["default"], small["tools"], small["release_date"]) == (False, False, None)


@pytest.mark.usefixtures("two")
def test_one_provider_alone(run: Run, links: FakeLinks, tmp_path: Path) -> None:
    done = run("models", "--provider", "zeta", "--json", "--directory", str(tmp_path))
    assert [each["id"] for each in json.loads(done.stdout)] == ["big"]
    assert links.directories == [tmp_path.resolve()]


@pytest.mark.usefixtures("two")
def test_an_unknown_provider_names_those_there_are(run: Run) -> None:
    done = run("models", "--provider", "nope")
    assert done.exit_code == 9
    assert "nope" in done.stderr
    assert "alpha, zeta" in done.stderr


def test_no_models_says_how_to_get_some(run: Run) -> None:
    assert "opencode-sync auth sync" in run("models").stdout
    assert json.loads(run("models", "--json").stdout) == []
    assert "providers with models: none" in run("models", "--provider", "x").stderr
