"""The pytest plugin as another project's suite has it: in a pytest of its own."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from opencode_sync.testing import plugin
from tests.docs.blocks import ROOT, blocks_of

GUIDE: Final = ROOT / "docs" / "guides" / "testing.md"
_HERE: Final = "tests/integration/testing/test_plugin.py"
_SECONDS: Final = 90.0

_SUITE: Final = """
import pytest

from opencode_sync import IpcClient
from opencode_sync.testing import Fault
from opencode_sync.wire.oc_session_pb2 import OcSessionList


def count(client):
    client.create_session("x")
    return len(client.list_sessions())


def test_fake(opencode_fake):
    assert count(opencode_fake) == 1


def test_client(opencode_client):
    assert count(opencode_client) == 1


def test_gateway(opencode_gateway):
    with IpcClient() as client:
        assert count(client) == 1


def test_script(opencode_script):
    opencode_script.expect("list_sessions").answer(OcSessionList())
    with opencode_script.client() as client:
        client.list_sessions()


def test_script_that_is_not_followed(opencode_script):
    opencode_script.expect("list_sessions").answer(OcSessionList())


def test_that_fails_with_a_script(opencode_script):
    opencode_script.expect("list_agents").nothing()
    assert not "the reason"


def test_that_fails_with_faults(opencode_faults):
    opencode_faults.plan(Fault.drop(message=3))
    assert not "the reason"


def test_that_fails_alone():
    assert not "the reason"
"""


_ENDS: Final = """
import unittest

import pytest


@pytest.fixture
def expected(opencode_script):
    opencode_script.expect("list_sessions").answer([])


@pytest.fixture
def broken(expected):
    raise RuntimeError("no database")


def test_skips(expected):
    pytest.skip("not here")


def test_is_expected_to_fail(expected):
    pytest.xfail("not yet")


@pytest.mark.xfail
def test_fails_as_marked(expected):
    assert not "the reason"


@pytest.mark.xfail(strict=True)
def test_passes_though_marked(expected):
    pass


def test_does_not_begin(expected, broken):
    pass


class TestCase(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def script(self, expected):
        pass

    def test_skips(self):
        self.skipTest("not here")


def test_passes(expected):
    pass


runs = []


def test_passes_when_it_is_run_again(expected):
    runs.append(1)
    assert len(runs) > 1
"""

# What plugins do that run tests again: the whole of it, for the same item.
_AGAIN: Final = """
from _pytest.runner import runtestprotocol


def pytest_runtest_protocol(item, nextitem):
    if not item.name.endswith("again"):
        return None
    for log in False, True:
        item._initrequest()
        runtestprotocol(item, nextitem=nextitem, log=log)
    return True
"""

_BROKEN_PLUGIN: Final = """
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport():
    raise KeyError("a bug of another plugin")
"""


def _environ(*paths: Path) -> dict[str, str]:
    """Have this tree's package imported, and nothing measured."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COV_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, (*paths, ROOT)))}


def _installed(folder: Path) -> Path:
    """Declare the entry point as an installation does, in case that of here is an older one."""
    declared = ConfigParser()
    declared.read(ROOT / "setup.cfg", encoding="utf-8")
    points = declared["options.entry_points"]["pytest11"]
    metadata = folder / "installed" / "as_setup_cfg_says-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: as-setup-cfg-says\nVersion: 1\n"
    )
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{points.strip()}\n")
    return metadata.parent


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments],
        cwd=folder,
        env=_environ(_installed(folder)),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def test_a_suite_uses_the_fixtures(tmp_path: Path) -> None:
    """What passes passes; what fails shows how to replay it, and only the first reason."""
    (tmp_path / "test_suite.py").write_text(_SUITE, "utf-8")
    ended = run_pytest(tmp_path, "-q", "-rfE")
    output = ended.stdout + ended.stderr
    assert "3 failed, 5 passed, 1 error" in output, output
    assert "ScriptError: the script was not followed: list_sessions() never came" in output
    assert "list_agents() never came" not in output
    assert output.count("opencode_sync faults") == 1
    assert "FaultPlan([Fault.drop(message=3)], seed=" in output


def test_a_script_is_verified_when_its_test_has_passed_and_only_then(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(_ENDS, "utf-8")
    (tmp_path / "conftest.py").write_text(_AGAIN, "utf-8")
    ended = run_pytest(tmp_path, "-q", "-rA")
    output = ended.stdout + ended.stderr
    assert "1 failed, 2 passed, 2 skipped, 2 xfailed, 3 errors" in output, output
    verified = re.findall(r"^E .*list_sessions\(\) never came", output, re.MULTILINE)
    assert len(verified) == 2
    errors = re.findall(r"^ERROR .*::(\w+)", output, re.MULTILINE)
    assert errors == ["test_does_not_begin", "test_passes", "test_passes_when_it_is_run_again"]


def test_the_plugin_itself_brings_nothing_along() -> None:
    """Every pytest run of an environment that has the package imports it, and no more than it."""
    script = (
        "import pytest, sys, opencode_sync; before = set(sys.modules); "
        "import opencode_sync.testing.plugin; print(*sorted(set(sys.modules) - before))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=_environ(),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    assert ended.stdout.split() == ["opencode_sync.testing", "opencode_sync.testing.plugin"]


def test_the_plugin_needs_no_more_of_pytest_than_old_ones_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is loaded into every run of the environment, and must not break one."""

    def hookimpl(
        *, hookwrapper: bool = False, tryfirst: bool = False, trylast: bool = False
    ) -> Callable[[object], object]:
        return lambda function: function

    old = ModuleType("pytest")
    vars(old).update(fixture=lambda function: function, hookimpl=hookimpl)
    monkeypatch.setitem(sys.modules, "pytest", old)
    assert "opencode_fake" in runpy.run_path(plugin.__file__)


def test_another_plugins_failure_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_BROKEN_PLUGIN, "utf-8")
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n", "utf-8")
    ended = run_pytest(tmp_path, "-q")
    assert "a bug of another plugin" in ended.stdout + ended.stderr
    assert "opencode_sync" not in ended.stdout + ended.stderr


def test_a_run_without_the_fixtures_does_not_import_the_client(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\ndef test_it():\n"
        "    assert 'opencode_sync.testing.plugin' in sys.modules\n"
        "    assert not {'opencode_sync.client', 'google.protobuf', 'loguru'} & set(sys.modules)\n",
        "utf-8",
    )
    ended = run_pytest(tmp_path, "-q")
    assert "1 passed" in ended.stdout, ended.stdout + ended.stderr


SUITES: Final = [
    block
    for page in (GUIDE, ROOT / "README.md")
    for block in blocks_of(page)
    if block.mark == f"tested: {_HERE}"
]


def test_the_guide_shows_a_test_in_five_lines() -> None:
    """Its first block: a user's own function, and the test of it."""
    _, _, test = SUITES[0].text.partition("def test_")
    lines = [line for line in f"def test_{test}".splitlines() if line.strip()]
    assert len(lines) <= 5


def test_what_guide_and_readme_show_passes(tmp_path: Path) -> None:
    """Each block is a file of tests; one run has them all."""
    for number, block in enumerate(SUITES):
        (tmp_path / f"test_block_{number}.py").write_text(block.text, "utf-8")
    ended = run_pytest(tmp_path, "-q")
    output = ended.stdout + ended.stderr
    assert ended.returncode == 0, output
    count = sum(block.text.count("def test_") for block in SUITES)
    assert f"{count} passed" in output
