"""CommandConfigProvider, on real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from opencode_sync import config_command
from opencode_sync.config import IpcConfig
from opencode_sync.errors import IpcConfigError
from opencode_sync.providers import CommandConfigProvider

from .helpers import TOKEN, Log, refused

GOOD = json.dumps({"port": 4096, "auth_token": TOKEN})
posix = pytest.mark.skipif(os.name != "posix", reason="process groups")


def program(script: str, *arguments: str, timeout: float = 30.0) -> CommandConfigProvider:
    return CommandConfigProvider([sys.executable, "-S", "-c", script, *arguments], timeout)


@pytest.fixture(params=["pipes", "pipes, polling", "files"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ways to wait for a program on Linux, on other POSIX systems, and on Windows."""
    if request.param == "files" or os.name != "posix":
        monkeypatch.setattr(config_command, "_POSIX", False)
    elif request.param == "pipes, polling":
        monkeypatch.delattr(os, "pidfd_open", raising=False)


@pytest.fixture(autouse=True)
def no_child_left() -> Iterator[None]:
    """Every program has ended and been waited for, so that not even a zombie is left."""
    before = psutil.Process().children()
    yield
    assert psutil.Process().children() == before


@pytest.mark.usefixtures("ways")
class TestGetConfig:
    def test_returns_what_the_program_prints(self) -> None:
        provider = program("import sys; print(sys.argv[1])", GOOD)
        assert provider.get_config() == IpcConfig(4096, TOKEN)

    def test_passes_arguments_untouched_by_any_shell(self) -> None:
        script = "import sys; assert sys.argv[2:] == ['$HOME', '*', 'a b;c']; print(sys.argv[1])"
        assert program(script, GOOD, "$HOME", "*", "a b;c").get_config().port == 4096

    def test_gives_the_program_nothing_to_read(self) -> None:
        script = "import sys; assert sys.stdin.read() == ''; print(sys.argv[1])"
        assert program(script, GOOD).get_config().port == 4096

    def test_takes_as_much_as_is_allowed(self) -> None:
        script = "import sys; sys.stdout.write(sys.argv[1].ljust(65536))"
        assert program(script, GOOD).get_config().port == 4096

    def test_is_not_held_up_by_a_talkative_standard_error(self) -> None:
        script = "import sys; sys.stderr.write('x' * 3_000_000); print(sys.argv[1])"
        assert program(script, GOOD).get_config().port == 4096

    def test_does_not_wait_for_those_who_inherited_the_output(self, tmp_path: Path) -> None:
        """A program may start the backend and leave it running with its output still open."""
        script = (
            "import subprocess, sys\n"
            "code = 'import time; time.sleep(600)'\n"
            "child = subprocess.Popen([sys.executable, '-S', '-c', code])\n"
            "open(sys.argv[2], 'w').write(str(child.pid))\n"
            "print(sys.argv[1], flush=True)\n"
        )
        pid_file = tmp_path / "pid"
        started = time.monotonic()
        try:
            assert program(script, GOOD, str(pid_file)).get_config().port == 4096
            assert time.monotonic() - started < 20
            os.kill(int(pid_file.read_text()), 0)  # and it was left alone
        finally:
            os.kill(int(pid_file.read_text()), signal.SIGTERM)

    def test_counts_what_was_printed_before_closing_the_output(self) -> None:
        script = "import os, sys; os.write(1, sys.argv[1].encode()); os.close(1); os.close(2)"
        assert program(script, GOOD).get_config().port == 4096

    def test_may_be_called_from_many_threads(self) -> None:
        provider = program("import sys; print(sys.argv[1])", GOOD)
        found: list[IpcConfig] = []
        threads = [
            threading.Thread(target=lambda: found.append(provider.get_config())) for _ in range(8)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert found == [IpcConfig(4096, TOKEN)] * 8


@pytest.mark.usefixtures("ways")
class TestFaults:
    def test_a_program_that_fails(self, log: Log) -> None:
        script = "import sys; print(sys.argv[1]); sys.exit('no gateway here')"
        refused(
            program(script, GOOD).get_config,
            field="command",
            says=("failed with exit code 1 (no gateway here)", "run it by hand"),
            log=log,
            source=f"command {sys.executable}",
        )

    @posix
    def test_a_program_that_is_killed(self, log: Log) -> None:
        script = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
        refused(
            program(script).get_config,
            field="command",
            says=("failed with signal SIGTERM; run",),
            log=log,
        )

    def test_a_program_that_hangs(self, log: Log) -> None:
        started = time.monotonic()
        refused(
            program("import time; time.sleep(600)", timeout=0.3).get_config,
            field="command",
            says=("did not end within 0.3 s", "longer timeout"),
            log=log,
        )
        assert time.monotonic() - started < 10

    def test_a_program_that_hangs_after_it_closed_its_output(self, log: Log) -> None:
        script = "import os, time; os.close(1); os.close(2); time.sleep(600)"
        refused(
            program(script, timeout=1.0).get_config, field="command", says=("within 1 s",), log=log
        )

    def test_a_program_that_never_stops_printing(self, log: Log) -> None:
        refused(
            program("while True: print('x' * 1000)").get_config,
            field="command",
            says=("printed more than 64 KiB", "only the JSON"),
            log=log,
        )

    def test_a_program_that_prints_too_much_and_ends(self, log: Log) -> None:
        refused(
            program("print('x' * 65536)").get_config,
            field="command",
            says=("printed more than 64 KiB",),
            log=log,
        )

    @pytest.mark.parametrize(
        ("output", "field", "problem"),
        [
            ("", None, "is empty"),
            (f"token {TOKEN}", None, "is not JSON"),
            (f'{{"port": 4096, "token": "{TOKEN}"}}', "token", "not a known key"),
            (f'{{"port": 80, "auth_token": "{TOKEN}"}}', "port", "port is 80"),
        ],
        ids=range(4),
    )
    def test_a_program_that_prints_rubbish(
        self, output: str, field: str | None, problem: str, log: Log
    ) -> None:
        refused(
            program("import sys; print(sys.argv[1])", output).get_config,
            field=field,
            says=(f"In command {sys.executable}", problem),
            log=log,
            source=f"command {sys.executable}",
        )

    def test_a_program_that_is_not_there(self, log: Log) -> None:
        refused(
            CommandConfigProvider(["no-such-program-anywhere", TOKEN]).get_config,
            field="command",
            says=("no-such-program-anywhere was not found", "install it"),
            log=log,
        )

    def test_a_program_that_cannot_be_started(self, tmp_path: Path, log: Log) -> None:
        refused(
            CommandConfigProvider([tmp_path]).get_config,
            field="command",
            says=("cannot be started", "check that it is a program"),
            log=log,
        )

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            (f"auth_token: {TOKEN}", "(auth_token: ***)"),
            (f"sent {TOKEN} to x", "(sent *** to x)"),
            (f"Authorization: Bearer {TOKEN}", "Bearer ***"),
            (f'got {{"auth_token": "{TOKEN}"}}', "(got ***)"),
            ("\x1b[31mred\x07", "(?***)"),
            ("a\n\nlast line\n\n", "(last line)"),
            ("y " * 300, "y y ...)"),
            ("", "exit code 3; run"),
        ],
        ids=range(8),
    )
    def test_shows_the_last_line_of_standard_error_without_secrets(
        self, line: str, shown: str, log: Log
    ) -> None:
        script = "import sys; sys.stderr.write(sys.argv[1]); sys.exit(3)"
        error = refused(
            program(script, line).get_config, field="command", says=("exit code 3", shown), log=log
        )
        assert len(error.message) < 400

    def test_shows_nothing_that_also_went_to_standard_output(self, log: Log) -> None:
        script = "import sys; print(sys.argv[1]); sys.exit('cannot use ' + sys.argv[2])"
        refused(
            program(script, '{"auth_token": "plain"}', "plain").get_config,
            field="command",
            says=("(cannot use ***)",),
            log=log,
            hides="plain",
        )


@posix
class TestEnding:
    def test_kills_all_that_a_hanging_program_started(self, tmp_path: Path) -> None:
        ready, held = os.pipe()
        try:
            script = (
                "import os, subprocess, sys, time\n"
                "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'],\n"
                "                 pass_fds=[int(sys.argv[1])])\n"
                "time.sleep(600)\n"
            )
            os.set_inheritable(held, True)
            # A grandchild holds the pipe open for as long as it lives.
            provider = CommandConfigProvider(
                ["/bin/sh", "-c", f'exec {sys.executable} -S -c "$0" {held}', script], 1.0
            )
            real = subprocess.Popen

            def inheriting(*args: Any, **kwargs: Any) -> Any:
                return real(*args, **{**kwargs, "close_fds": False})

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(subprocess, "Popen", inheriting)
                with pytest.raises(IpcConfigError, match="did not end within"):
                    provider.get_config()
        finally:
            os.close(held)
        try:
            os.set_blocking(ready, True)
            assert os.read(ready, 1) == b""  # end of file: nobody holds it any more
        finally:
            os.close(ready)

    def test_kills_it_when_the_caller_is_interrupted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(pipe: Any, buffer: bytearray) -> bool:
            raise KeyboardInterrupt

        monkeypatch.setattr(config_command, "_drain", interrupted)
        with pytest.raises(KeyboardInterrupt):
            program("import time; time.sleep(600)").get_config()

    def test_survives_a_process_that_cannot_be_killed(
        self, monkeypatch: pytest.MonkeyPatch, log: Log
    ) -> None:
        processes: list[subprocess.Popen[bytes]] = []
        real: Callable[..., subprocess.Popen[bytes]] = config_command._start

        def start(*args: Any) -> subprocess.Popen[bytes]:
            processes.append(real(*args))
            return processes[0]

        def denied(pid: int, number: int) -> None:
            raise PermissionError

        monkeypatch.setattr(config_command, "_start", start)
        monkeypatch.setattr(config_command, "_KILL_GRACE", 0.05)
        monkeypatch.setattr(os, "killpg", denied)
        try:
            refused(
                program("import time; time.sleep(600)", timeout=0.1).get_config,
                field="command",
                says=("did not end",),
                log=log,
            )
        finally:
            for each in processes:
                each.kill()
                each.wait(30)

    def test_names_a_signal_that_has_no_name(self) -> None:
        assert config_command._exit_status(-99) == "signal 99"


class TestArguments:
    @pytest.mark.parametrize(
        ("argv", "problem"),
        [
            ("get-config --json", "argv is one text, not a list"),
            (b"get-config", "argv is one text, not a list"),
            ([], "argv is empty"),
            (None, "argv is missing"),
            ({"a"}, "argv is of type set"),
            ([" "], "argv[0], the program, is blank"),
            (["a", 5], "argv[1] is a number, not text"),
            (["a", b"b"], "argv[1] is of type bytes, not text"),
            (["a", "b\0c"], "argv[1] contains"),
            (["a", "\ud800"], "argv[1] contains"),
        ],
    )
    def test_refuses_what_cannot_be_run(self, argv: Any, problem: str, log: Log) -> None:
        refused(lambda: CommandConfigProvider(argv), field="argv", says=(problem, "; "), log=log)

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "5", None])
    def test_refuses_a_wrong_timeout(self, timeout: Any, log: Log) -> None:
        refused(
            lambda: CommandConfigProvider(["x"], timeout),
            field="timeout",
            says=("timeout is", "give a number of seconds above 0"),
            log=log,
        )

    def test_takes_paths_and_does_not_show_the_arguments(self) -> None:
        provider = CommandConfigProvider([Path("/bin/x"), TOKEN])
        assert repr(provider) == "CommandConfigProvider('/bin/x' and 1 arguments)"
