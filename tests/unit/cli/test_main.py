"""The entry points: cheap to import, and clear when the extra is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("typer", "rich", "websocket", "websockets", "google.protobuf", "requests", "urllib3")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_importing_the_cli_imports_nothing_heavy() -> None:
    code = f"""
import sys
import opencode_sync
before = set(sys.modules)
import opencode_sync.cli
after = set(sys.modules) - before
print(sorted(name for name in {HEAVY!r} if name in after))
"""
    done = python(code)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
from opencode_sync.cli import main
sys.exit(main(["--version"]))
"""
    done = python(code)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        'opencode-sync needs its command line extra: pip install "opencode-sync-sdk[cli,gateway]"\n'
    )


def test_without_the_extra_main_returns_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from opencode_sync.cli import main

    monkeypatch.delitem(sys.modules, "opencode_sync.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    assert main([]) == 1
    assert "opencode-sync-sdk[cli,gateway]" in capsys.readouterr().err


def test_an_import_error_of_our_own_is_not_blamed_on_the_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from opencode_sync.cli import main

    monkeypatch.setitem(sys.modules, "opencode_sync.cli.app", None)
    with pytest.raises(ModuleNotFoundError, match=r"opencode_sync\.cli\.app"):
        main([])


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "opencode_sync", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("opencode-sync ")
    assert done.stderr == ""
