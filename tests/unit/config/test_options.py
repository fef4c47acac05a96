"""IpcClientOptions: defaults, checks, and the places they can be set in."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from opencode_sync.errors import IpcConfigError
from opencode_sync.options import IpcClientOptions

from .helpers import Log, refused

SECONDS = [
    "default_request_timeout",
    "connection_timeout",
    "authentication_timeout",
    "shutdown_timeout",
    "default_prompt_timeout",
    "ping_interval",
    "ping_timeout",
]
COUNTS = [
    "max_receive_buffer_size",
    "max_message_size",
    "max_pending_requests",
    "stream_buffer_size",
]


def make(**values: Any) -> IpcClientOptions:
    return IpcClientOptions(**values)


class TestFields:
    def test_have_the_documented_defaults(self) -> None:
        assert dataclasses.asdict(IpcClientOptions()) == {
            "default_request_timeout": 30.0,
            "connection_timeout": 10.0,
            "authentication_timeout": 5.0,
            "shutdown_timeout": 5.0,
            "default_prompt_timeout": 600.0,
            "ping_interval": 20.0,
            "ping_timeout": 20.0,
            "max_receive_buffer_size": 65536,
            "max_message_size": 64 * 1024 * 1024,
            "max_pending_requests": 65536,
            "stream_buffer_size": 10_000,
        }

    @pytest.mark.parametrize("name", SECONDS)
    @pytest.mark.parametrize("value", [0.001, 1, 2_592_000])
    def test_take_any_sensible_time(self, name: str, value: float) -> None:
        kept = getattr(make(**{name: value}), name)
        assert kept == value
        assert type(kept) is float

    @pytest.mark.parametrize("name", COUNTS)
    @pytest.mark.parametrize("value", [1, 2**31 - 1])
    def test_take_any_sensible_count(self, name: str, value: int) -> None:
        assert getattr(make(**{name: value}), name) == value

    def test_ping_interval_may_be_off(self) -> None:
        assert make(ping_interval=None).ping_interval is None

    @pytest.mark.parametrize("name", SECONDS)
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (-1, "is -1, which is not above 0"),
            (-0.5, "is -0.5, which is not above 0"),
            (0, "is 0, which is not above 0"),
            (-0.0, "not above 0"),
            (math.nan, "is nan, which is not a finite number"),
            (math.inf, "is inf, which is not a finite number"),
            (-math.inf, "not a finite number"),
            (2_592_001, "which is too long"),
            pytest.param(10**400, "too long", id="huge"),
            pytest.param(-(10**400), "not above 0", id="minus huge"),
            (True, "is true or false, not a number"),
            ("5", "is text, not a number"),
            ([5], "is of type list, not a number"),
        ],
    )
    def test_refuse_a_wrong_time(self, name: str, value: Any, problem: str, log: Log) -> None:
        refused(
            lambda: make(**{name: value}),
            field=name,
            says=(name, problem, "give a number of seconds above 0"),
            log=log,
        )

    @pytest.mark.parametrize("name", sorted(set(SECONDS) - {"ping_interval"}))
    def test_refuse_none_for_a_time_that_cannot_be_off(self, name: str, log: Log) -> None:
        refused(lambda: make(**{name: None}), field=name, says=("is missing",), log=log)

    @pytest.mark.parametrize("name", COUNTS)
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (-1, "is -1, which is out of range"),
            (0, "is 0, which is out of range"),
            (2**31, "out of range"),
            pytest.param(10**400, "is a huge number", id="huge"),
            (1.0, "is a number, not a whole number"),
            (math.nan, "not a whole number"),
            (True, "is true or false, not a whole number"),
            (None, "not a whole number"),
            ("1", "is text, not a whole number"),
        ],
    )
    def test_refuse_a_wrong_count(self, name: str, value: Any, problem: str, log: Log) -> None:
        refused(
            lambda: make(**{name: value}),
            field=name,
            says=(name, problem, "give a whole number from 1 to 2147483647"),
            log=log,
        )

    def test_cannot_be_changed_and_are_given_by_name(self) -> None:
        options = IpcClientOptions()
        with pytest.raises(dataclasses.FrozenInstanceError):
            options.ping_timeout = 1.0  # type: ignore[misc]
        with pytest.raises(TypeError):
            IpcClientOptions(30.0)  # type: ignore[misc]

    def test_compare_and_pickle_by_value(self) -> None:
        options = make(ping_interval=None)
        assert pickle.loads(pickle.dumps(options)) == options
        assert options != IpcClientOptions()


class TestReplace:
    def test_changes_only_what_is_named(self) -> None:
        options = make(ping_timeout=3).replace(connection_timeout=1)
        assert options == make(ping_timeout=3, connection_timeout=1)

    def test_checks_again(self, log: Log) -> None:
        refused(
            lambda: IpcClientOptions().replace(ping_timeout=0),
            field="ping_timeout",
            says=("ping_timeout is 0",),
            log=log,
        )

    def test_refuses_an_unknown_name(self, log: Log) -> None:
        refused(
            lambda: IpcClientOptions().replace(ping_timout=1),
            field="ping_timout",
            says=("ping_timout is not an option", "ping_timeout"),
            log=log,
        )


class TestFromEnvironment:
    def test_nothing_set_gives_the_defaults(self) -> None:
        assert IpcClientOptions.from_environment({"PATH": "x"}) == IpcClientOptions()

    def test_reads_the_process_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENCODE_SYNC_PING_TIMEOUT", "7")
        assert IpcClientOptions.from_environment() == make(ping_timeout=7)

    @pytest.mark.parametrize("name", SECONDS)
    @pytest.mark.parametrize(
        ("text", "value"),
        [("5", 5.0), (" 2.5\n", 2.5), (".5", 0.5), ("5.", 5.0), ("+1e2", 100.0), ("1E-3", 0.001)],
    )
    def test_reads_times(self, name: str, text: str, value: float) -> None:
        options = IpcClientOptions.from_environment({f"OPENCODE_SYNC_{name.upper()}": text})
        assert options == make(**{name: value})

    @pytest.mark.parametrize("name", COUNTS)
    def test_reads_counts(self, name: str) -> None:
        options = IpcClientOptions.from_environment({f"OPENCODE_SYNC_{name.upper()}": " 1024 "})
        assert options == make(**{name: 1024})

    @pytest.mark.parametrize("text", ["none", "off", "OFF", " None "])
    def test_turns_pings_off(self, text: str) -> None:
        options = IpcClientOptions.from_environment({"OPENCODE_SYNC_PING_INTERVAL": text})
        assert options.ping_interval is None

    @pytest.mark.parametrize(
        ("name", "text", "problem"),
        [
            ("ping_timeout", "", "is blank, not a number"),
            ("ping_timeout", "abc", "is text, not a number"),
            ("ping_timeout", "none", "is text, not a number"),
            ("ping_timeout", "1_0", "is text, not a number"),
            ("ping_timeout", "\u0665", "is text, not a number"),
            ("ping_timeout", "1e", "is text, not a number"),
            ("ping_timeout", ".", "is text, not a number"),
            ("ping_timeout", "true", "is text, not a number"),
            ("ping_timeout", "-1", "is -1.0, which is not above 0"),
            ("ping_timeout", "0", "is 0.0, which is not above 0"),
            ("ping_timeout", "NaN", "not a finite number"),
            ("ping_timeout", "-inf", "not a finite number"),
            ("ping_timeout", "Infinity", "not a finite number"),
            ("ping_timeout", "1e999", "not a finite number"),
            ("ping_interval", "never", 'turn it off with None ("off" as text)'),
            ("max_message_size", "64MiB", "is text, not a whole number"),
            ("max_message_size", "1.0", "is text, not a whole number"),
            ("max_message_size", "", "is blank, not a whole number"),
            ("max_message_size", "-5", "is -5, which is out of range"),
            ("max_message_size", "0", "is 0, which is out of range"),
            ("max_message_size", "9" * 30, "is text, not a whole number"),
        ],
    )
    def test_refuses_what_it_cannot_use(self, name: str, text: str, problem: str, log: Log) -> None:
        variable = f"OPENCODE_SYNC_{name.upper()}"
        refused(
            lambda: IpcClientOptions.from_environment({variable: text}),
            field=name,
            says=(f"In environment variable {variable}, {name}", problem, "; give a"),
            log=log,
            source=f"environment variable {variable}",
        )


class TestFromToml:
    def write(self, tmp_path: Path, content: str | bytes) -> Path:
        path = tmp_path / "options.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def test_reads_its_table(self, tmp_path: Path) -> None:
        path = self.write(
            tmp_path,
            "[other]\nx = 1\n[opencode_sync]\nping_timeout = 7\nmax_message_size = 1024\n",
        )
        assert IpcClientOptions.from_toml(path) == make(ping_timeout=7, max_message_size=1024)

    def test_reads_the_top_level_of_a_file_without_it(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, b"\xef\xbb\xbfping_timeout = 0.5")
        assert IpcClientOptions.from_toml(str(path)) == make(ping_timeout=0.5)

    def test_an_empty_file_gives_the_defaults(self, tmp_path: Path) -> None:
        assert IpcClientOptions.from_toml(self.write(tmp_path, "")) == IpcClientOptions()

    @pytest.mark.parametrize("text", ["none", "Off"])
    def test_turns_pings_off(self, text: str, tmp_path: Path) -> None:
        path = self.write(tmp_path, f'ping_interval = "{text}"')
        assert IpcClientOptions.from_toml(path).ping_interval is None

    @pytest.mark.parametrize(
        ("content", "field", "problem"),
        [
            ("ping_timeout = -1", "ping_timeout", "is -1, which is not above 0"),
            ("ping_timeout = nan", "ping_timeout", "is nan"),
            ("ping_timeout = inf", "ping_timeout", "is inf"),
            ("ping_timeout = true", "ping_timeout", "is true or false"),
            ('ping_timeout = "5"', "ping_timeout", "is text, not a number"),
            ('ping_interval = "5"', "ping_interval", "is text, not a number"),
            ("ping_interval = false", "ping_interval", "is true or false"),
            ("max_message_size = 1.5", "max_message_size", "is a number, not a whole number"),
            ("ping_timout = 5", "ping_timout", "is not an option; the options are"),
            ("[tool.x]\ny = 1", "tool", "tool is not an option"),
            ("opencode_sync = 5", "opencode_sync", "is not a table"),
        ],
    )
    def test_refuses_a_wrong_value(
        self, content: str, field: str, problem: str, tmp_path: Path, log: Log
    ) -> None:
        path = self.write(tmp_path, content)
        refused(
            lambda: IpcClientOptions.from_toml(path),
            field=field,
            says=(f"In file {path}, ", problem),
            log=log,
            source=f"file {path}",
        )

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ('ping_timeout = 5\nsecret = "shibboleth" x', "not TOML (Expected newline"),
            (b"x = '\xffshibboleth'", "not UTF-8 text"),
            pytest.param("x = " + "9" * 5000, "number that is too long", id="long number"),
            pytest.param("x = " + "[" * 20_000, "not TOML", id="deep"),
        ],
    )
    def test_refuses_what_is_not_toml_without_showing_it(
        self, content: str | bytes, problem: str, tmp_path: Path, log: Log
    ) -> None:
        path = self.write(tmp_path, content)
        refused(
            lambda: IpcClientOptions.from_toml(path),
            field="path",
            says=(str(path), problem, "correct it"),
            log=log,
            source=f"file {path}",
            hides="shibboleth",
        )

    def test_says_when_there_is_no_file(self, tmp_path: Path, log: Log) -> None:
        path = tmp_path / "absent.toml"
        refused(
            lambda: IpcClientOptions.from_toml(path),
            field="path",
            says=(f"{path} does not exist", "create it or correct the path"),
            log=log,
        )

    def test_says_when_it_is_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(IpcConfigError, match="is a folder"):
            IpcClientOptions.from_toml(tmp_path)
