"""Generate ``opencode_sync/wire`` from the ``.proto`` files beside this one.

    python proto/generate.py            write the generated code
    python proto/generate.py --check    write nothing; exit 1 if what is there is not current

The result depends on the release of the protobuf compiler, so one release is pinned. It is an old
one on purpose: generated code runs on the protobuf release it was made by and on later ones, never
on earlier ones, so the compiler's release is the oldest protobuf that users of this package may
have.

Exit codes: 0 done or current, 1 not current, 2 wrong call or a broken ``.proto`` file, 3 the
pinned compiler is not installed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

GRPCIO_TOOLS_VERSION = "1.72.2"
"""Carries the compiler of protobuf 6.30.0, the lower bound of protobuf in setup.cfg."""

COMPILER_TIMEOUT = 120.0
"""Seconds that the compiler may take."""

PROTO_ROOT = Path(__file__).resolve().parent
PROJECT_ROOT = PROTO_ROOT.parent
WIRE = Path("opencode_sync", "wire")

CURRENT, STALE, FAILED, NO_COMPILER = 0, 1, 2, 3


class GenerateError(Exception):
    """Nothing was generated; the message says why and what to do."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def installed_compiler() -> str | None:
    """Return the installed release of grpcio-tools, or None."""
    try:
        return importlib.metadata.version("grpcio-tools")
    except importlib.metadata.PackageNotFoundError:
        return None


def require_compiler() -> None:
    """Check that the pinned release of the compiler is installed.

    Raises:
        GenerateError: If grpcio-tools is missing or of another release.
    """
    installed = installed_compiler()
    if installed == GRPCIO_TOOLS_VERSION:
        return
    found = "is not installed" if installed is None else f"{installed} is installed"
    raise GenerateError(
        f"grpcio-tools {found}, but the generated code is made by {GRPCIO_TOOLS_VERSION}. Install "
        f"it with: python -m pip install --no-deps grpcio-tools=={GRPCIO_TOOLS_VERSION} (without"
        " dependencies, because it would replace a newer protobuf that it does not use).",
        NO_COMPILER,
    )


def compile_protos(output: Path) -> None:
    """Run the compiler over every ``.proto`` file of the package.

    Args:
        output: Where the package folders and the generated modules go.

    Raises:
        GenerateError: If the compiler refuses a file or does not end in time.
    """
    sources = sorted((PROTO_ROOT / WIRE).glob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO_ROOT}"]
    command += [f"--python_out={output}", f"--pyi_out={output}"]
    command += [str(source) for source in sources]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=COMPILER_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise GenerateError(
            f"The protobuf compiler did not end within {COMPILER_TIMEOUT:g} s.", FAILED
        ) from None
    if run.returncode != 0:
        raise GenerateError(f"The protobuf compiler failed:\n{run.stderr.strip()}", FAILED)


def generated_files(wire: Path) -> dict[str, bytes]:
    """Return the content of every generated module in a folder, by file name."""
    return {path.name: path.read_bytes() for path in wire.glob("*_pb2.py*")}


def finish_stub(stub: bytes) -> bytes:
    """Give the stub's bare ``Mapping`` its type arguments, which strict type checkers ask for."""
    finished = stub.replace(b"_Mapping]", b"_Mapping[str, _Any]]")
    if finished == stub:
        return stub
    return finished.replace(b"from typing import ", b"from typing import Any as _Any, ", 1)


def differences(current: dict[str, bytes], fresh: dict[str, bytes]) -> list[str]:
    """Return one line for each file that is missing, out of date, or has no source."""
    lines = []
    for name in sorted(current.keys() | fresh.keys()):
        if name not in current:
            lines.append(f"missing: {name}")
        elif name not in fresh:
            lines.append(f"has no .proto file: {name}")
        # A checkout may have turned the line ends around, which changes nothing.
        elif current[name].replace(b"\r\n", b"\n") != fresh[name].replace(b"\r\n", b"\n"):
            lines.append(f"out of date: {name}")
    return lines


def install(fresh: dict[str, bytes], wire: Path) -> None:
    """Put the fresh modules in place and remove those without a source."""
    for path in wire.glob("*_pb2.py*"):
        if path.name not in fresh:
            path.unlink()
    for name, content in fresh.items():
        (wire / name).write_bytes(content)


def generate(*, check: bool, project_root: Path = PROJECT_ROOT) -> list[str]:
    """Generate into a temporary folder, compare, and write unless only checking.

    Args:
        check: Compare without writing.
        project_root: The folder that holds the ``opencode_sync`` package.

    Returns:
        The differences found, one line each; empty when everything was current.

    Raises:
        GenerateError: If the compiler is missing, of another release, or fails.
    """
    require_compiler()
    wire = project_root / WIRE
    with tempfile.TemporaryDirectory(prefix="opencode-sync-wire-") as scratch:
        compile_protos(Path(scratch))
        fresh = generated_files(Path(scratch, WIRE))
    fresh = {
        name: finish_stub(content) if name.endswith(".pyi") else content
        for name, content in fresh.items()
    }
    lines = differences(generated_files(wire), fresh)
    if lines and not check:
        install(fresh, wire)
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="Generate opencode_sync/wire from proto/.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if anything is not current"
    )
    check: bool = parser.parse_args(arguments).check
    try:
        lines = generate(check=check)
    except GenerateError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    for line in lines:
        sys.stdout.write(f"{line}\n")
    if not lines:
        sys.stdout.write("The generated code is current.\n")
    elif check:
        sys.stdout.write("Run: python proto/generate.py\n")
        return STALE
    else:
        sys.stdout.write(f"Wrote {WIRE.as_posix()}.\n")
    return CURRENT


if __name__ == "__main__":
    sys.exit(main())
