"""Fixtures for pytest: a client with a gateway behind it, and everything to let go wrong.

Installing the package makes them available in every suite; ``-p no:opencode_sync`` leaves them out.
A suite that uses none of them pays nothing: each fixture imports what it needs when it is used.
And no suite may fail because the package is there: what is used of pytest here is in old ones too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from opencode_sync.client import IpcClient
    from opencode_sync.gateway import Gateway
    from opencode_sync.testing.fake import FakeIpcClient
    from opencode_sync.testing.fixtures import Faults
    from opencode_sync.testing.scripted import ScriptedBackend

__all__ = [
    "opencode_client",
    "opencode_fake",
    "opencode_faults",
    "opencode_gateway",
    "opencode_script",
    "pytest_runtest_makereport",
]

# Attributes of a test's item; pytest has had a stash for them since 7.0 only.
_PASSED: Final = "_opencode_sync_passed"
_FAULTS: Final = "_opencode_sync_faults"
_FAULTS_SHOWN: Final = "opencode_sync faults (give a plan in the faults' place to have it again)"


@pytest.fixture
def opencode_fake() -> Iterator[FakeIpcClient]:
    """A connected ``FakeIpcClient``: no gateway, no model, no waiting."""
    from opencode_sync.testing.fake import FakeIpcClient

    with FakeIpcClient() as fake:
        yield fake


@pytest.fixture
def opencode_client(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[IpcClient]:
    """A connected client of a gateway of its own, in memory, with the embedded session store."""
    from opencode_sync.testing.fixtures import client_in_memory

    with client_in_memory(tmp_path_factory.mktemp("opencode")) as client:
        yield client


@pytest.fixture
def opencode_gateway(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gateway]:
    """A gateway that listens on loopback, with the embedded session store.

    ``IpcClient()`` without arguments finds it, in this process and in those that the test starts.
    Needs the extra ``gateway``.
    """
    from opencode_sync.testing.fixtures import listening_gateway

    with listening_gateway(tmp_path_factory.mktemp("opencode"), monkeypatch) as gateway:
        yield gateway


@pytest.fixture
def opencode_script(request: pytest.FixtureRequest) -> Iterator[ScriptedBackend]:
    """A ``ScriptedBackend`` that is verified when the test has passed."""
    from opencode_sync.testing.scripted import ScriptedBackend

    setattr(request.node, _PASSED, False)  # it may be run again
    backend = ScriptedBackend()
    try:
        yield backend
    finally:
        backend.close()
    # One that failed, was skipped, or did not begin, says enough.
    if getattr(request.node, _PASSED):
        backend.verify()


@pytest.fixture
def opencode_faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Makes connections on which things go wrong, seeded by the test's name; see ``Faults``.

    When the test fails, its report says which faults were injected, as code that makes them again.
    """
    from opencode_sync.testing.fixtures import Faults

    with Faults(request.node.nodeid) as faults:
        setattr(request.node, _FAULTS, faults)
        yield faults


# The outermost, which sees what others make of it: a skip, an expected failure.
@pytest.hookimpl(hookwrapper=True, tryfirst=True)  # known to every pluggy; wrapper is since 1.2
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Note whether a test passed, and show the faults of one that failed."""
    outcome = yield
    if outcome.excinfo is not None:  # another plugin's failure, which is not to be hidden
        return
    report = outcome.get_result()
    if report.when != "call":
        return
    setattr(item, _PASSED, report.passed)
    if report.failed:
        faults: Faults | None = getattr(item, _FAULTS, None)
        if faults is not None and (plans := faults.report()):
            report.sections.append((_FAULTS_SHOWN, plans))
