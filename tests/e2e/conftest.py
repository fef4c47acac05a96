"""Fixtures that give the end-to-end tests a real OpenCode. Mark each module with ``e2e``.

=======================  ===========================================================================
``opencode_program``     the installed program's path; skips where there can be none
``opencode_server``      one running server without a password, shared by the whole run: leave it
                         running, and expect other tests' sessions in it
``start_opencode``       starts servers of the test's own, to be killed at will:
                         ``start_opencode(password="...")``
``spawn_environment``    the environment for servers that the code under test spawns
``project``              an empty directory for them to work in
=======================  ===========================================================================

Where npm or the network is missing these tests skip with the reason; with CI=true they fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.opencode_server import NotAvailable, RealServer, install, offline_environment

_INSTALL_TOO = 900
"""Seconds for one test, of which the first may have to wait for an installation."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the end-to-end tests time for npm."""
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.timeout(_INSTALL_TOO))


@pytest.fixture(scope="session")
def opencode_program() -> Path:
    """The program of OpenCode 1.18.33, installed with npm on first use."""
    if os.name != "posix":
        pytest.skip("the end-to-end tests end groups of processes as POSIX does")
    try:
        return install()
    except NotAvailable as reason:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"the end-to-end tests must run with CI set, but {reason}")
        pytest.skip(f"no OpenCode: {reason}")


@pytest.fixture(scope="session")
def opencode_server(
    opencode_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    """A running server for everybody; see ``RealServer`` for its address and helpers."""
    server = RealServer(opencode_program, tmp_path_factory.mktemp("opencode"))
    yield server
    server.stop()


@pytest.fixture
def start_opencode(
    opencode_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., RealServer]]:
    """Start servers that end with the test: ``start_opencode(password=None) -> RealServer``."""
    servers: list[RealServer] = []

    def start(*, password: str | None = None) -> RealServer:
        folder = tmp_path_factory.mktemp("opencode")
        servers.append(RealServer(opencode_program, folder, password=password))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def spawn_environment(tmp_path: Path) -> dict[str, str]:
    """An offline environment with a home of its own, for a server that is to be spawned."""
    home = tmp_path / "home"
    home.mkdir()
    return offline_environment(home)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty directory for a spawned server to work in."""
    folder = (tmp_path / "project").resolve()
    folder.mkdir()
    return folder
