"""The committed generated code is what the ``.proto`` files say, and users' protobuf can run it."""

from __future__ import annotations

import ast
import configparser
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf import descriptor_pb2

PROJECT = Path(__file__).resolve().parents[3]
GENERATOR = PROJECT / "proto" / "generate.py"
WIRE = PROJECT / "opencode_sync" / "wire"
SOURCES = sorted((PROJECT / "proto" / "opencode_sync" / "wire").glob("*.proto"))


def load_generator() -> ModuleType:
    """Import the generator, which is in no package."""
    spec = importlib.util.spec_from_file_location("wire_generator", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = load_generator()
INSTALLED = generator.installed_compiler()

needs_compiler = pytest.mark.skipif(INSTALLED is None, reason="grpcio-tools is not installed")
needs_pinned_compiler = pytest.mark.skipif(
    INSTALLED != generator.GRPCIO_TOOLS_VERSION,
    reason=f"grpcio-tools is {INSTALLED}, the generator needs {generator.GRPCIO_TOOLS_VERSION}",
)


def run_generator(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(GENERATOR), *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with an empty wire package."""
    (tmp_path / "opencode_sync" / "wire").mkdir(parents=True)
    return tmp_path


@needs_pinned_compiler
def test_generated_code_is_current() -> None:
    """The pinned compiler makes exactly the committed files, to the byte."""
    run = run_generator("--check")
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr


@needs_compiler
def test_modules_hold_the_descriptors_of_the_sources(tmp_path: Path) -> None:
    """Whatever the compiler's release, the sources compile to the committed descriptors."""
    output = tmp_path / "wire.bin"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROJECT / 'proto'}"]
    command += [f"--descriptor_set_out={output}", *map(str, SOURCES)]
    subprocess.run(command, capture_output=True, timeout=110, check=True)
    compiled = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
    assert len(compiled.file) == len(SOURCES)
    for file in compiled.file:
        for message in file.message_type:
            clear_json_names(message)
        name = file.name.removesuffix(".proto").replace("/", ".") + "_pb2"
        module = importlib.import_module(name)
        committed = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        assert committed == file, file.name


def clear_json_names(message: descriptor_pb2.DescriptorProto) -> None:
    """Remove what the compiler adds to a descriptor set, but not to generated code."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        clear_json_names(nested)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_stub_declares_what_the_module_has(source: Path) -> None:
    """Type checkers see every message with its fields, every enum with its values, and no more."""
    module = importlib.import_module(f"opencode_sync.wire.{source.stem}_pb2")
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    tree = ast.parse((WIRE / f"{source.stem}_pb2.pyi").read_text(encoding="utf-8"))
    stub = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    declared = {name: annotated_names(node) for name, node in stub.items()}
    expected = {enum.name: {value.name for value in enum.value} for enum in file.enum_type}
    for message in file.message_type:
        fields = {field.name for field in message.field}
        numbers = {f"{name.upper()}_FIELD_NUMBER" for name in fields}
        nested = {value.name for enum in message.enum_type for value in enum.value}
        expected[message.name] = fields | numbers | nested
    assert declared == expected


def annotated_names(node: ast.ClassDef) -> set[str]:
    """Return the names that a stub's class annotates."""
    return {
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def test_every_source_has_its_module_and_stub() -> None:
    expected = {f"{source.stem}_pb2{end}" for source in SOURCES for end in (".py", ".pyi")}
    assert expected == generator.generated_files(WIRE).keys()
    assert len(SOURCES) >= 11


def test_code_runs_on_the_oldest_protobuf_allowed() -> None:
    """Generated code refuses a protobuf older than itself, so the package may not allow one."""
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    requirement = re.search(r"^protobuf>=([\d.]+)", setup["options"]["install_requires"], re.M)
    assert requirement is not None
    oldest = tuple(map(int, requirement[1].split(".")))
    for path in WIRE.glob("*_pb2.py"):
        stamp = re.search(r"^# Protobuf Python Version: ([\d.]+)$", path.read_text("utf-8"), re.M)
        assert stamp is not None, path.name
        made_by = tuple(map(int, stamp[1].split(".")))
        assert made_by <= oldest + (0,) * (3 - len(oldest)), path.name


def test_import_is_silent() -> None:
    """No warning about protobuf's releases, whichever is installed here."""
    script = "import opencode_sync.wire.oc_event_pb2, opencode_sync.wire.ipc_pb2"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


class TestGenerator:
    """``proto/generate.py`` itself."""

    @pytest.mark.parametrize(
        ("installed", "found"), [(None, "is not installed"), ("1.1.0", "1.1.0 is installed")]
    )
    def test_another_compiler_is_refused(
        self,
        installed: str | None,
        found: str,
        project: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The message says what is there, what is needed and how to install it."""
        monkeypatch.setattr(generator, "installed_compiler", lambda: installed)
        assert generator.main(["--check"]) == 3
        message = capsys.readouterr().err
        assert found in message
        assert f"pip install --no-deps grpcio-tools=={generator.GRPCIO_TOOLS_VERSION}" in message
        with pytest.raises(generator.GenerateError):
            generator.generate(check=False, project_root=project)
        assert generator.generated_files(project / generator.WIRE) == {}

    @needs_pinned_compiler
    def test_check_reports_and_writes_nothing(self, project: Path) -> None:
        lines = generator.generate(check=True, project_root=project)
        assert len(lines) == 2 * len(SOURCES)
        assert "missing: ipc_pb2.py" in lines
        assert generator.generated_files(project / generator.WIRE) == {}

    @needs_pinned_compiler
    def test_write_makes_the_folder_current(self, project: Path) -> None:
        """Missing files are written, stale ones replaced, and those without a source removed."""
        wire = project / generator.WIRE
        shutil.copytree(WIRE, wire, dirs_exist_ok=True)
        (wire / "ipc_pb2.py").unlink()
        (wire / "oc_auth_pb2.pyi").write_text("stale")
        (wire / "gone_pb2.py").write_text("")
        expected = [
            "has no .proto file: gone_pb2.py",
            "missing: ipc_pb2.py",
            "out of date: oc_auth_pb2.pyi",
        ]
        assert generator.generate(check=True, project_root=project) == expected
        assert generator.generate(check=False, project_root=project) == expected
        assert generator.generate(check=True, project_root=project) == []
        assert generator.generated_files(wire) == generator.generated_files(WIRE)
        assert (wire / "__init__.py").exists()

    @pytest.mark.parametrize(
        ("made", "finished"),
        [
            (b"from typing import Union as _Union\n", b"from typing import Union as _Union\n"),
            (
                b"from typing import Mapping as _Mapping\n_Union[A, _Mapping]\n",
                b"from typing import Any as _Any, Mapping as _Mapping\n"
                b"_Union[A, _Mapping[str, _Any]]\n",
            ),
        ],
    )
    def test_stubs_pass_strict_type_checks(self, made: bytes, finished: bytes) -> None:
        """A bare ``Mapping`` gets its arguments; a stub without one is left alone."""
        assert generator.finish_stub(made) == finished

    def test_line_ends_of_a_checkout_do_not_matter(self) -> None:
        assert generator.differences({"a_pb2.py": b"x\r\ny\r\n"}, {"a_pb2.py": b"x\ny\n"}) == []

    @pytest.mark.parametrize(
        ("lines", "arguments", "code", "last"),
        [
            ([], ["--check"], 0, "The generated code is current."),
            (["missing: a_pb2.py"], ["--check"], 1, "Run: python proto/generate.py"),
            (["missing: a_pb2.py"], [], 0, "Wrote opencode_sync/wire."),
        ],
    )
    def test_exit_codes(
        self,
        lines: list[str],
        arguments: list[str],
        code: int,
        last: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(generator, "generate", lambda *, check: lines)
        assert generator.main(arguments) == code
        assert capsys.readouterr().out.splitlines() == [*lines, last]

    @needs_pinned_compiler
    def test_broken_source_is_shown(
        self,
        project: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The compiler's own words, with file and line, and nothing is written."""
        broken = project / generator.WIRE / "broken.proto"
        broken.write_text('syntax = "proto3";\nmessage {}\n')
        monkeypatch.setattr(generator, "PROTO_ROOT", project)
        assert generator.main([]) == 2
        assert "broken.proto:2" in capsys.readouterr().err

    @needs_pinned_compiler
    def test_compiler_that_hangs_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(generator, "COMPILER_TIMEOUT", 0.0)
        with pytest.raises(generator.GenerateError, match="did not end within 0 s"):
            generator.generate(check=True)
