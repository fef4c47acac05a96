"""What a release consists of, built and installed as a user would."""

from __future__ import annotations

import configparser
import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.docs.blocks import DOCS, ROOT, blocks_of
from tests.support.threads import Background

# The packages are the same whichever Python builds them.
pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the packages are built and tried on 3.11 only"
)

GUIDE: Final = DOCS / "guides" / "testing.md"
SMOKE: Final = Path(__file__).with_name("smoke.py")
_SECONDS: Final = 110.0  # for a step, on a machine that is busy with the rest of the suite

KINDS: Final = ("sdist", "wheel")


class Release(NamedTuple):
    """What was built."""

    sdist: Path
    wheel: Path
    source: Path
    """Of what."""

    def files_of(self, folder: str) -> set[str]:
        """Return the files of a folder of the sources, without caches."""
        return {
            path.relative_to(self.source).as_posix()
            for path in (self.source / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }


class Environment(NamedTuple):
    """A virtual environment in which a package was installed."""

    python: Path

    def program(self, name: str) -> Path:
        """Return where a program of this environment is."""
        return self.python.with_name(name + self.python.suffix)


def _run(*command: str | Path, cwd: Path) -> str:
    """Run a program and return what it printed on standard output."""
    # Nothing of what this suite runs with; what says where packages come from stays.
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COV_", "PYTEST", "OPENCODE"))
    }
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=variables | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Both packages, built from a copy of the sources with leftovers in it."""
    folder = tmp_path_factory.mktemp("build")
    left_out = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist")
    shutil.copytree(ROOT, folder / "source", ignore=left_out)
    for leftover in ("opencode_sync", "proto", "tests"):
        cache = folder / "source" / leftover / "__pycache__"
        cache.mkdir()
        (cache / "left.cpython-311.pyc").write_bytes(b"")
    _run(sys.executable, "-m", "build", "--outdir", folder / "dist", "source", cwd=folder)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return Release(sdist, wheel, folder / "source")


def _pip(environment: Environment, *words: str | Path, cwd: Path) -> str:
    """Run pip for an environment that has none itself, which would take longer to make."""
    return _run(sys.executable, "-m", "pip", "--python", environment.python, *words, cwd=cwd)


def _install(package: Path, folder: Path) -> Environment:
    venv.create(folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    environment = Environment(programs / ("python.exe" if os.name == "nt" else "python"))
    _pip(environment, "install", "-q", "--no-compile", package, cwd=folder)
    return environment


@pytest.fixture(scope="module")
def environments(
    release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Environment]]:
    """An environment for each package, with nothing else in it; made at the same time."""
    folder = tmp_path_factory.mktemp("environments")
    begun = {kind: Background(_install, getattr(release, kind), folder / kind) for kind in KINDS}
    yield {kind: each.result(2 * _SECONDS) for kind, each in begun.items()}
    shutil.rmtree(folder)


@pytest.fixture(params=KINDS)
def installed(request: pytest.FixtureRequest, environments: dict[str, Environment]) -> Environment:
    """One of them after the other."""
    return environments[request.param]


@pytest.fixture(scope="module")
def metadata(release: Release) -> Message:
    """What the wheel says about itself."""
    with zipfile.ZipFile(release.wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def _core_dependencies(metadata: Message) -> set[str]:
    required = metadata.get_all("Requires-Dist", [])
    return {re.split(r"[<>=!~; \[]", each)[0] for each in required if "extra ==" not in each}


def test_core_dependencies_are_these(metadata: Message) -> None:
    """The client alone needs five packages, as the README says."""
    names = {"websocket-client", "protobuf", "tenacity", "loguru", "platformdirs"}
    assert _core_dependencies(metadata) == names


def test_wheel_has_the_package_and_nothing_else(release: Release) -> None:
    """All its files, the typed marker among them; no tests, no caches."""
    with zipfile.ZipFile(release.wheel) as archive:
        names = set(archive.namelist())
    described = {name for name in names if ".dist-info/" in name}
    assert names - described == release.files_of("opencode_sync")
    assert "opencode_sync/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in described)


def test_sdist_has_what_it_takes_to_build_and_change(release: Release) -> None:
    """The package, the schema that its generated part comes from, and what describes both."""
    with tarfile.open(release.sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in files if name == "PKG-INFO" or ".egg-info/" in name}
    top = {"README.md", "CHANGELOG.md", "LICENSE", "MANIFEST.in", "setup.cfg", "pyproject.toml"}
    assert files - made == release.files_of("opencode_sync") | release.files_of("proto") | top


def test_metadata_says_what_people_look_for(metadata: Message) -> None:
    """Name, licence, Pythons, and the README as the text of its page."""
    assert metadata["Name"] == "opencode-sync-sdk"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    classifiers = metadata.get_all("Classifier", [])
    for expected in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {expected}" in classifiers
    assert "Typing :: Typed" in classifiers
    assert str(metadata.get_payload()).startswith("# opencode_sync\n")


def test_entry_points_lead_somewhere(release: Release) -> None:
    """The program and the plugin for pytest are there under their names."""
    with zipfile.ZipFile(release.wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("/entry_points.txt"))
        entry_points = configparser.ConfigParser()
        entry_points.read_string(archive.read(name).decode())
        modules = {each.removesuffix(".py").replace("/", ".") for each in archive.namelist()}
    assert entry_points["console_scripts"]["opencode-sync"] == "opencode_sync.cli:main"
    assert entry_points["pytest11"]["opencode_sync"] == "opencode_sync.testing.plugin"
    for section in entry_points.sections():
        for target in entry_points[section].values():
            module = target.partition(":")[0]
            assert {module, f"{module}.__init__"} & modules, target


def test_checkers_find_nothing(release: Release, tmp_path: Path) -> None:
    """Neither what the index would refuse, nor what does not belong into a wheel."""
    _run(sys.executable, "-m", "twine", "check", "--strict", *release[:2], cwd=tmp_path)
    _run(sys.executable, "-m", "check_wheel_contents", release.wheel, cwd=tmp_path)


def test_installs_exactly_the_core_dependencies(
    installed: Environment, metadata: Message, tmp_path: Path
) -> None:
    """They are the only packages that come along, and fit each other."""
    listed = json.loads(_pip(installed, "list", "--format=json", cwd=tmp_path))
    names = {each["name"].lower().replace("_", "-") for each in listed}
    on_windows = {"colorama", "win32-setctime"}  # loguru's own
    assert names - on_windows == _core_dependencies(metadata) | {"opencode-sync-sdk"}
    _pip(installed, "check", cwd=tmp_path)


def test_installed_package_works(installed: Environment, tmp_path: Path) -> None:
    """It imports without the extras, goes round in memory, and says what else to install."""
    output = _run(installed.python, "-I", SMOKE, cwd=tmp_path)
    assert output.split() == ["imported", "rooms", "round-trip", "light", "helpful", "done"]


def test_program_without_its_extra_says_what_to_install(
    installed: Environment, tmp_path: Path
) -> None:
    """One line, and no traceback."""
    ended = subprocess.run(
        [installed.program("opencode-sync"), "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        'opencode-sync needs its command line extra: pip install "opencode-sync-sdk[cli,gateway]"'
    ]


def test_pytest_finds_the_plugin_by_itself(
    environments: dict[str, Environment], tmp_path: Path
) -> None:
    """The first example of the guide on testing passes where only pytest was added."""
    environment = environments["wheel"]
    added = tmp_path / "added"  # so that the environment stays as it is for other tests
    _pip(environment, "install", "-q", "--no-compile", "--target", added, "pytest", cwd=tmp_path)
    (tmp_path / "test_mine.py").write_text(
        next(each for each in blocks_of(GUIDE) if each.language == "python").text, encoding="utf-8"
    )
    start = (
        f"import sys; sys.path.insert(0, {str(added)!r}); import pytest; sys.exit(pytest.main())"
    )
    assert "1 passed" in _run(environment.python, "-c", start, cwd=tmp_path)
