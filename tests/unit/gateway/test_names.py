"""The package's public names, of which some bring packages along."""

from __future__ import annotations

import re

import pytest

from opencode_sync import IpcConfigError, gateway


@pytest.mark.parametrize("name", ["OpenCodeBackend", "EmbeddedBackend"])
def test_a_name_whose_packages_are_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(gateway._HEAVY, name, "a_package_that_is_missing.inside")
    with pytest.raises(IpcConfigError, match=f"^{name} needs the package a_package_") as caught:
        getattr(gateway, name)
    assert "run: pip install 'opencode-sync-sdk[gateway]'" in str(caught.value)
    assert caught.value.source == "installation"


def test_a_bug_of_ours_is_not_blamed_on_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gateway._HEAVY, "OpenCodeBackend", "opencode_sync.gateway.no_such_module")
    with pytest.raises(ModuleNotFoundError, match=re.escape("opencode_sync.gateway.no_such")):
        gateway.OpenCodeBackend  # noqa: B018


def test_what_is_no_name_is_told_so() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Backends'"):
        gateway.Backends  # noqa: B018
