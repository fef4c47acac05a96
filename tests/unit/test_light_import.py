"""``import opencode_sync`` brings along only what every user needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import opencode_sync
import opencode_sync.testing

_ROOT = Path(opencode_sync.__file__).parents[1]
_HEAVY = {
    "PySide6",
    "asyncio",
    "click",
    "loguru",
    "opentelemetry",
    "psutil",
    "pytest",
    "requests",
    "rich",
    "sqlite3",
    "tenacity",
    "typer",
    "urllib3",
    "websocket",
    "websockets",
}


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("COV_")}
    environ["PYTHONPATH"] = str(_ROOT)
    return subprocess.run(
        [sys.executable, *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def _packages_after(statements: str) -> set[str]:
    names = "{name.partition('.')[0] for name in sys.modules}"
    printed = _python("-c", f"import sys; {statements}; print(*sorted({names}))").stdout
    return set(printed.split())


def test_the_names_are_imported_when_they_are_used() -> None:
    """A pytest plugin is imported in every run, used or not."""
    names = "[name for name in sys.modules if name.startswith('opencode_sync')]"
    printed = _python("-c", f"import sys, opencode_sync.testing.plugin; print(*{names})").stdout
    assert set(printed.split()) == {
        "opencode_sync",
        "opencode_sync.lazy",
        "opencode_sync.logger",
        "opencode_sync.testing",
        "opencode_sync.testing.plugin",
    }


@pytest.mark.parametrize("package", [opencode_sync, opencode_sync.testing])
def test_every_public_name_is_there_and_no_other(package: ModuleType) -> None:
    assert [getattr(package, name) for name in package.__all__]
    assert set(package.__all__) <= set(dir(package))
    listed = {name for names in package._MODULES.values() for name in names}
    assert listed == set(package.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="has no attribute 'IpcCleint'"):
        package.IpcCleint  # noqa: B018
    modules = {path.stem for path in Path(package.__file__ or "").parent.iterdir()}
    assert listed & modules == set()  # whoever imports the module would get that for the name


def test_importtime_shows_nothing_heavy() -> None:
    report = _python("-X", "importtime", "-c", "from opencode_sync import *").stderr
    names = {line.rpartition("|")[2].strip() for line in report.splitlines() if "|" in line}
    assert "opencode_sync.calls" in names  # the report is one
    assert {name.partition(".")[0] for name in names} & _HEAVY == set()
    assert not [name for name in names if name.startswith(("opencode_sync.gateway",))]


@pytest.mark.parametrize(
    "statements",
    [
        "import opencode_sync",
        "import opencode_sync; opencode_sync.IpcClient()",
        "from opencode_sync import *",
        "import opencode_sync.types, opencode_sync.providers, opencode_sync.transport.memory",
    ],
)
def test_nothing_heavy_is_loaded(statements: str) -> None:
    assert _packages_after(statements) & _HEAVY == set()


_LOSE_A_CONNECTION = """
from opencode_sync.transport.memory import memory_link
transport, peer = memory_link(refuse="nobody is there")
client = opencode_sync.IpcClient(
    opencode_sync.IpcConfig(4096, "a-token-of-some-length"),
    transport_factory=lambda config, options: transport,
)
try:
    client.connect()
except opencode_sync.IpcConnectionError:
    client.close()
"""
_SAID = "failed"  # of the state that the client then comes to


@pytest.mark.parametrize(
    "imports",
    [
        pytest.param("import opencode_sync", id="without loguru"),
        pytest.param("import loguru; import opencode_sync", id="loguru first"),
        pytest.param("import opencode_sync; import loguru", id="loguru afterwards"),
        pytest.param(
            "import opencode_sync; import loguru; opencode_sync.enable_logging()()",
            id="switched on and off again",
        ),
    ],
)
def test_nothing_is_logged_by_default(imports: str) -> None:
    """Loguru as it comes prints everything to standard error."""
    assert _python("-c", f"{imports}\n{_LOSE_A_CONNECTION}").stderr == ""


@pytest.mark.parametrize(
    "switch",
    [
        "import opencode_sync; opencode_sync.enable_logging()",
        "import loguru; import opencode_sync; opencode_sync.enable_logging()",
        "import loguru; import opencode_sync; loguru.logger.enable('opencode_sync')",
        "import opencode_sync; import loguru; loguru.logger.enable('opencode_sync')",
        "import opencode_sync; from loguru import logger; logger.enable('opencode_sync')",
    ],
)
def test_it_can_be_switched_on_as_with_any_library_that_logs_through_loguru(switch: str) -> None:
    said = _python("-c", f"{switch}\n{_LOSE_A_CONNECTION}").stderr
    assert _SAID in said
    assert "opencode_sync.state:" in said  # and not of where the logger is kept


def test_loguru_is_loaded_as_it_would_have_been_without_us() -> None:
    """Whoever looks at where it came from, as a debugger or a packager does, sees no trace."""
    printed = _python(
        "-c",
        "import sys, opencode_sync; before = len(sys.meta_path); import loguru; "
        "print(type(loguru.__loader__).__name__, type(loguru.__spec__.loader).__name__, "
        "before - len(sys.meta_path))",
    ).stdout
    assert printed.split() == ["SourceFileLoader", "SourceFileLoader", "1"]


def test_a_loguru_that_is_missing_stays_missing_until_it_comes(tmp_path: Path) -> None:
    script = f"""
import sys
paths = sys.path[:]
import opencode_sync
sys.path[:] = []
try:
    import loguru
except ModuleNotFoundError:
    print("missing")
sys.path[:] = paths
import loguru
{_LOSE_A_CONNECTION}
"""
    done = _python("-c", script)
    assert done.stdout.strip() == "missing"
    assert done.stderr == ""


def test_importing_starts_nothing_and_says_nothing() -> None:
    done = _python(
        "-X",
        "dev",
        "-W",
        "error",
        "-c",
        "import threading, opencode_sync; opencode_sync.IpcClient(); "
        "print([thread.name for thread in threading.enumerate()])",
    )
    assert done.stdout.strip() == "['MainThread']"
    assert done.stderr == ""
