"""The providers that read code, the environment and files, and the default one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import runtime_file
from opencode_sync.config import IpcConfig, SecretStr
from opencode_sync.providers import (
    DefaultConfigProvider,
    EnvironmentConfigProvider,
    FileConfigProvider,
    StaticConfigProvider,
)
from opencode_sync.runtime_file import default_runtime_file, write_runtime_file

from .helpers import TOKEN, Log, refused

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions, links and FIFOs")


def environment(port: str | None = "4096", token: str | None = TOKEN) -> dict[str, str]:
    values = {"OPENCODE_IPC_PORT": port, "OPENCODE_IPC_TOKEN": token}
    # Hidden, so that what a traceback shows of it can only come from the package.
    return {name: SecretStr(value) for name, value in values.items() if value is not None}


def private_file(path: Path, content: object, mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(mode)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


@pytest.fixture
def gone() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    process.wait(30)
    return process.pid


class TestStatic:
    def test_returns_its_configuration(self) -> None:
        config = IpcConfig(4096, TOKEN)
        assert StaticConfigProvider(config).get_config() is config

    def test_refuses_anything_else(self, log: Log) -> None:
        wrong: Any = {"port": 4096}
        refused(
            lambda: StaticConfigProvider(wrong),
            field="config",
            says=("of type dict", "give an IpcConfig"),
            log=log,
        )

    def test_does_not_show_the_token(self) -> None:
        shown = repr(StaticConfigProvider(IpcConfig(4096, TOKEN)))
        assert TOKEN not in shown
        assert "4096" in shown


class TestEnvironment:
    def test_reads_both_variables(self) -> None:
        provider = EnvironmentConfigProvider(environment())
        assert provider.get_config() == IpcConfig(4096, TOKEN)
        assert TOKEN not in repr(provider)

    def test_reads_the_process_environment_anew_each_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider = EnvironmentConfigProvider()
        for port in ("4096", "5000"):
            monkeypatch.setenv("OPENCODE_IPC_PORT", port)
            monkeypatch.setenv("OPENCODE_IPC_TOKEN", TOKEN)
            assert provider.get_config().port == int(port)

    def test_strips_the_port_and_keeps_the_token(self) -> None:
        config = EnvironmentConfigProvider(environment(" 4096\n", f" {TOKEN} ")).get_config()
        assert (config.port, config.auth_token) == (4096, f" {TOKEN} ")

    @pytest.mark.parametrize(
        ("port", "token", "field", "problem"),
        [
            (None, TOKEN, "port", "OPENCODE_IPC_PORT is not set"),
            ("4096", None, "auth_token", "OPENCODE_IPC_TOKEN is not set"),
            (None, None, "port", "set both OPENCODE_IPC_PORT and OPENCODE_IPC_TOKEN"),
            ("abc", TOKEN, "port", "OPENCODE_IPC_PORT, port is text, not a whole number; give"),
            ("80", TOKEN, "port", "OPENCODE_IPC_PORT, port is 80, which is out of range; give"),
            ("70000", TOKEN, "port", "OPENCODE_IPC_PORT, port is 70000, which is out of range"),
            ("-4096", TOKEN, "port", "port is text"),
            ("4_096", TOKEN, "port", "port is text"),
            ("\u0664\u0660\u0669\u0666", TOKEN, "port", "port is text"),
            ("4096.0", TOKEN, "port", "port is text"),
            ("9" * 5000, TOKEN, "port", "port is text"),
            ("", TOKEN, "port", "OPENCODE_IPC_PORT, port is blank, not a whole number; give"),
            (TOKEN, TOKEN, "port", "port is text"),
            ("4096", "", "auth_token", "OPENCODE_IPC_TOKEN, auth_token is blank; give"),
            ("4096", " \t", "auth_token", "auth_token is blank"),
            ("4096", TOKEN + "\n", "auth_token", "auth_token contains a line break; give"),
            ("4096", TOKEN + "\udcff", "auth_token", "auth_token contains a lone surrogate"),
        ],
        ids=range(17),
    )
    def test_refuses_what_is_missing_or_wrong(
        self, port: str | None, token: str | None, field: str, problem: str, log: Log
    ) -> None:
        provider = EnvironmentConfigProvider(environment(port, token))
        variable = "OPENCODE_IPC_PORT" if field == "port" else "OPENCODE_IPC_TOKEN"
        refused(
            provider.get_config,
            field=field,
            says=(problem,),
            log=log,
            source=f"environment variable {variable}",
        )


class TestFile:
    @pytest.mark.parametrize("as_text", [True, False])
    def test_reads_the_file(self, as_text: bool, path: Path) -> None:
        private_file(path, {"port": 4096, "auth_token": TOKEN})
        provider = FileConfigProvider(str(path) if as_text else path)
        assert provider.get_config() == IpcConfig(4096, TOKEN)
        assert repr(provider) == f"FileConfigProvider({str(path)!r})"

    def test_reads_it_anew_each_time(self, path: Path) -> None:
        provider = FileConfigProvider(path)
        for port in (4096, 5000):
            private_file(path, {"port": port, "auth_token": TOKEN})
            assert provider.get_config().port == port

    def test_tolerates_a_byte_order_mark(self, path: Path) -> None:
        content = json.dumps({"port": 4096, "auth_token": TOKEN}).encode()
        private_file(path, b"\xef\xbb\xbf" + content)
        assert FileConfigProvider(path).get_config() == IpcConfig(4096, TOKEN)

    @posix
    def test_follows_a_link_the_user_named(self, path: Path, tmp_path: Path) -> None:
        private_file(path, {"port": 4096, "auth_token": TOKEN})
        link = tmp_path / "link"
        link.symlink_to(path)
        assert FileConfigProvider(link).get_config() == IpcConfig(4096, TOKEN)

    @posix
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o666])
    def test_refuses_a_file_that_others_can_access(self, mode: int, path: Path, log: Log) -> None:
        private_file(path, {"port": 4096, "auth_token": TOKEN}, mode)
        refused(
            FileConfigProvider(path).get_config,
            field="path",
            says=(f"can be accessed by other users (mode {mode:04o})", f"run: chmod 600 {path}"),
            log=log,
            source=str(path),
        )

    @posix
    def test_accepts_a_file_that_nobody_can_write_to(self, path: Path) -> None:
        private_file(path, {"port": 4096, "auth_token": TOKEN}, 0o400)
        assert FileConfigProvider(path).get_config().port == 4096

    @posix
    def test_refuses_a_file_of_somebody_else(
        self, path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private_file(path, {"port": 4096, "auth_token": TOKEN})
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
        refused(
            FileConfigProvider(path).get_config,
            field="path",
            says=("belongs to another user", "use a file of your own"),
            log=log,
        )

    @pytest.mark.parametrize(
        ("content", "field", "problem"),
        [
            (b"port = 4096", None, "not JSON"),
            (b"", None, "is empty"),
            (b"\xff\xfe", None, "not UTF-8"),
            ([TOKEN], None, "not a JSON object"),
            ({"port": 4096}, "auth_token", '"auth_token" is missing'),
            ({"auth_token": TOKEN}, "port", '"port" is missing'),
            ({"port": 4096, "auth_token": TOKEN, "x": 1}, "x", '"x" is not a known key'),
            ({"port": 80, "auth_token": TOKEN}, "port", "port is 80"),
            ({"port": "4096", "auth_token": TOKEN}, "port", "port is text"),
            ({"port": 4096, "auth_token": " "}, "auth_token", "auth_token is blank"),
            (b'{"port": 4096, "auth_token": "' + b"x" * 65536 + b'"}', "path", "larger than 64"),
        ],
        ids=range(11),
    )
    def test_refuses_wrong_content(
        self, content: object, field: str | None, problem: str, path: Path, log: Log
    ) -> None:
        private_file(path, content)
        refused(
            FileConfigProvider(path).get_config,
            field=field,
            says=(str(path), problem, "; "),
            log=log,
            source=str(path),
        )

    def test_says_when_there_is_no_file(self, path: Path, log: Log) -> None:
        refused(
            FileConfigProvider(path).get_config,
            field="path",
            says=(f"{path} does not exist", "opencode-sync gateway"),
            log=log,
            source=str(path),
        )

    def test_says_when_it_is_a_folder(self, tmp_path: Path, log: Log) -> None:
        refused(
            FileConfigProvider(tmp_path).get_config,
            field="path",
            says=("is a folder", "name the file inside it"),
            log=log,
        )

    def test_says_when_the_name_is_impossible(self, log: Log) -> None:
        refused(
            FileConfigProvider("a\0b").get_config,
            field="path",
            says=("is not a possible file name",),
            log=log,
        )

    @posix
    def test_does_not_wait_for_a_writer_of_a_fifo(self, path: Path, log: Log) -> None:
        os.mkfifo(path, 0o600)
        refused(
            FileConfigProvider(path).get_config,
            field="path",
            says=("is not a regular file", "name a configuration file"),
            log=log,
        )

    @posix
    @pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may read anything")
    def test_says_when_it_may_not_read(self, path: Path, log: Log) -> None:
        private_file(path, {"port": 4096, "auth_token": TOKEN}, 0o000)
        refused(
            FileConfigProvider(path).get_config, field="path", says=("cannot be read",), log=log
        )

    @posix
    def test_notices_that_the_gateway_has_ended(self, path: Path, gone: int, log: Log) -> None:
        write_runtime_file(path, port=4096, auth_token=TOKEN, pid=gone)
        refused(
            FileConfigProvider(path).get_config,
            field="pid",
            says=(f"{path} is stale", f"process {gone}", "opencode-sync gateway"),
            log=log,
            source=str(path),
        )

    def test_believes_in_a_process_it_may_not_signal(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied(pid: int, signal: int) -> None:
            raise PermissionError

        write_runtime_file(path, port=4096, auth_token=TOKEN)
        monkeypatch.setattr(os, "kill", denied)
        assert FileConfigProvider(path).get_config().port == 4096

    def test_never_signals_where_that_would_end_the_process(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def kill(pid: int, signal: int) -> None:
            pytest.fail("signalled")

        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", kill)
            patched.setattr(runtime_file, "_POSIX", False)
            assert runtime_file.is_gone(1) is False


class TestDefault:
    def test_takes_the_environment_first(self) -> None:
        write_runtime_file(default_runtime_file(), port=5000, auth_token=TOKEN)
        config = DefaultConfigProvider(environment()).get_config()
        assert config == IpcConfig(4096, TOKEN)

    def test_reads_the_process_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENCODE_IPC_PORT", "4096")
        monkeypatch.setenv("OPENCODE_IPC_TOKEN", TOKEN)
        assert DefaultConfigProvider().get_config() == IpcConfig(4096, TOKEN)

    @pytest.mark.parametrize(
        ("port", "token", "field"),
        [("4096", None, "auth_token"), (None, TOKEN, "port"), ("", TOKEN, "port")],
    )
    def test_does_not_pass_over_half_an_environment(
        self, port: str | None, token: str | None, field: str, log: Log
    ) -> None:
        write_runtime_file(default_runtime_file(), port=5000, auth_token=TOKEN)
        provider = DefaultConfigProvider(environment(port, token))
        refused(provider.get_config, field=field, says=("OPENCODE_IPC_",), log=log)

    def test_finds_a_running_gateway(self) -> None:
        write_runtime_file(default_runtime_file(), port=5000, auth_token=TOKEN)
        assert DefaultConfigProvider().get_config() == IpcConfig(5000, TOKEN)

    def test_says_what_it_looked_for(self, log: Log) -> None:
        error = refused(
            DefaultConfigProvider().get_config,
            field=None,
            says=(
                "OPENCODE_IPC_PORT",
                "OPENCODE_IPC_TOKEN",
                str(default_runtime_file()),
                "start a gateway with: opencode-sync gateway",
            ),
            log=log,
        )
        assert error.source == "environment and runtime file"

    @posix
    def test_says_when_the_gateway_has_ended(self, gone: int, log: Log) -> None:
        write_runtime_file(default_runtime_file(), port=5000, auth_token=TOKEN, pid=gone)
        refused(
            DefaultConfigProvider().get_config,
            field="pid",
            says=("is stale", "opencode-sync gateway"),
            log=log,
        )

    @posix
    def test_does_not_follow_a_link_nobody_named(self, path: Path, log: Log) -> None:
        private_file(path, {"port": 4096, "auth_token": TOKEN})
        default = default_runtime_file()
        default.parent.mkdir()
        default.symlink_to(path)
        refused(
            DefaultConfigProvider().get_config,
            field="path",
            says=("is a symbolic link", "remove it"),
            log=log,
        )

    def test_repr_is_short(self) -> None:
        assert repr(DefaultConfigProvider()) == "DefaultConfigProvider()"


def test_importing_the_providers_is_cheap() -> None:
    """Neither requests nor anything else optional is imported before it is used."""
    script = (
        "import sys, opencode_sync.config, opencode_sync.options, opencode_sync.providers\n"
        "heavy = {'requests', 'urllib3', 'platformdirs', 'subprocess'}\n"
        "print(sorted(heavy & {n for n in sys.modules if n not in BEFORE}))\n"
    )
    script = "import sys, loguru, opencode_sync.errors; BEFORE = set(sys.modules)\n" + script
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
