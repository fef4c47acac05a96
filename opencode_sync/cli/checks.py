"""What the doctor looks at. Each check bounds its own steps and returns what it found."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from opencode_sync import __version__
from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcConfigError

__all__ = [
    "GATEWAY",
    "PROGRAM",
    "PROVIDERS",
    "SERVERS",
    "START",
    "Check",
    "Finding",
    "Level",
    "check_packages",
    "check_program",
    "check_python",
    "check_servers",
]

PROGRAM: Final = "OpenCode"
"""The name of the finding about OpenCode's own program."""

SERVERS: Final = "OpenCode servers"
"""The name of the finding about OpenCode's servers that run."""

GATEWAY: Final = "gateway"
"""The name of the finding about a gateway that runs."""

PROVIDERS: Final = "model providers"
"""The name of the finding about what a gateway has models of."""

START: Final = "opencode-sync gateway"
"""The command that starts a gateway."""

TESTED: Final = "1.18"
"""The OpenCode that this package is tested with, without its last number."""

_INSTALL: Final = "npm install -g opencode-ai"
_PROGRAM_SECONDS: Final = 6.0
_SEARCH_SECONDS: Final = 5.0

_NEEDED: Final = ("websocket-client", "protobuf", "tenacity", "loguru", "platformdirs")
_EXTRAS: Final = {
    "gateway": ("websockets", "urllib3", "psutil", "python-dotenv"),
    "cli": ("typer", "rich"),
    "http": ("requests",),
    "desktop": ("PySide6-Essentials",),
    "otel": ("opentelemetry-api",),
}
_UNUSED_UNTIL_NEEDED: Final = frozenset({"http", "desktop", "otel"})


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing has to be done."""
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was found, or is missing.

    Attributes:
        name: What it is about.
        level: How bad it is.
        text: What was found.
        remedy: What to do about it; None where there is nothing to do.
        details: The same for programs.
    """

    name: str
    level: Level
    text: str
    remedy: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return it as the object that ``--json`` prints."""
        return {
            "name": self.name,
            "level": self.level.value,
            "text": self.text,
            "remedy": self.remedy,
            **self.details,
        }


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes:
        name: What it is about, if there is nothing else to say.
        what: The same in a sentence.
        seconds: What it may take.
        look: Returns what was found.
    """

    name: str
    what: str
    seconds: float
    look: Callable[[], list[Finding]]


def check_python() -> list[Finding]:
    """Which Python and which version of this package run here."""
    python = platform.python_version()
    return [
        Finding(
            "this program",
            Level.OK,
            f"opencode-sync {__version__} on Python {python} ({sys.executable}), "
            f"{platform.system()} {platform.machine()}",
            details={"version": __version__, "python": python, "platform": platform.platform()},
        )
    ]


def check_packages() -> list[Finding]:
    """Which of the packages that this one uses are installed."""
    findings = [_packages("packages", _NEEDED, None)]
    for extra, names in _EXTRAS.items():
        findings.append(_packages(f"extra {extra}", names, extra))
    return [_with_libraries(each) for each in findings]


def _with_libraries(finding: Finding) -> Finding:
    """Return the finding, or what the system lacks of what an installed window needs."""
    if finding.name != "extra desktop" or finding.level is not Level.OK:
        return finding
    from opencode_sync.desktop import load_toolkit

    try:
        load_toolkit()
        from opencode_sync.desktop.system_libraries import check_libraries

        check_libraries()
    except IpcConfigError as error:
        return replace(finding, level=Level.NOTE, text=error.message)
    return finding


def _packages(name: str, wanted: Sequence[str], extra: str | None) -> Finding:
    versions = {each: _version(each) for each in wanted}
    missing = [each for each, version in versions.items() if version is None]
    details: dict[str, Any] = {"packages": versions}
    if not missing:
        shown = ", ".join(f"{each} {version}" for each, version in versions.items())
        return Finding(name, Level.OK, shown, details=details)
    # Right for a clone too: pip takes what an installed package needs from the package itself.
    what = "opencode-sync-sdk" if extra is None else f"opencode-sync-sdk[{extra}]"
    return Finding(
        name,
        Level.NOTE if extra in _UNUSED_UNTIL_NEEDED else Level.PROBLEM,
        f"not installed: {', '.join(missing)}",
        f'pip install "{what}"',
        details,
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_program() -> list[Finding]:
    """Whether OpenCode is installed, and which."""
    path = shutil.which("opencode")
    if path is None:
        return [
            Finding(
                PROGRAM,
                Level.PROBLEM,
                "no opencode is on the PATH",
                f"{_INSTALL} (or have a gateway use a server that runs: {START} "
                "--opencode-url URL)",
                {"path": None, "version": None},
            )
        ]
    details: dict[str, Any] = {"path": path, "version": None}
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROGRAM_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # On a busy machine its start alone may take that long.
        text = f"slow: {path} --version did not answer within {_PROGRAM_SECONDS:g} s"
        return [Finding(PROGRAM, Level.NOTE, text, None, details)]
    except OSError as error:
        text = f"{path} cannot be started: {error.strerror or error}"
        return [Finding(PROGRAM, Level.PROBLEM, text, f"reinstall it: {_INSTALL}", details)]
    version = done.stdout.strip()
    if done.returncode != 0 or not version:
        said = (done.stderr.strip() or version or "nothing").splitlines()[-1]
        return [
            Finding(
                PROGRAM,
                Level.PROBLEM,
                f"{path} --version failed with code {done.returncode} and said: {said}",
                f"reinstall it: {_INSTALL}",
                details,
            )
        ]
    return [_known_version(PROGRAM, f"{version} ({path})", version, details)]


def _known_version(name: str, text: str, version: str, details: dict[str, Any]) -> Finding:
    details = details | {"version": version}
    if version.startswith(f"{TESTED}."):
        return Finding(name, Level.OK, text, details=details)
    return Finding(
        name,
        Level.NOTE,
        f"{text}, which this package is not tested with; that is {TESTED}",
        f"if something does not work: npm install -g opencode-ai@{TESTED}",
        details,
    )


def check_servers() -> list[Finding]:
    """Whether an OpenCode server of this user runs already."""
    from opencode_sync.gateway import BackendError
    from opencode_sync.gateway.backends.opencode.server.discovery import discover

    name = SERVERS
    deadline = Deadline.after(_SEARCH_SECONDS)
    try:
        found = discover(
            username=os.environ.get("OPENCODE_SERVER_USERNAME") or "opencode",
            password=os.environ.get("OPENCODE_SERVER_PASSWORD") or None,
            deadline=deadline,
        )
    except BackendError as error:
        return [Finding(name, Level.NOTE, error.message, None, {"server": None})]
    if found is None:
        text = "none runs; one is started when it is needed"
        return [Finding(name, Level.OK, text, details={"server": None})]
    try:
        answer = found.http.call("GET", "/global/health", deadline=deadline)
        version = str(answer.get("version") or "") if isinstance(answer, dict) else ""
    finally:
        found.http.close()
    text = f"one runs at {found.http.base_url} (process {found.pid}), version {version or '?'}"
    details = {"server": found.http.base_url, "pid": found.pid}
    return [_known_version(name, text, version, details)]
