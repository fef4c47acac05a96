"""A ``.env`` file is read as people write it, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opencode_sync.gateway import BackendError
from opencode_sync.gateway.dotenv import read_dotenv
from opencode_sync.wire import ipc_pb2

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment\n\n   \n", {}),
        ("A=1", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("  A = 1  \n", {"A": "1"}),
        ("export A=1\n", {"A": "1"}),
        ("export   A='1'\n", {"A": "1"}),
        ("A='one two'\n", {"A": "one two"}),
        ('A="one two"\n', {"A": "one two"}),
        ('A="one\\ntwo"\n', {"A": "one\ntwo"}),
        ("A='one\\ntwo'\n", {"A": "one\\ntwo"}),
        ('A="one\ntwo"\nB=2\n', {"A": "one\ntwo", "B": "2"}),
        ("A=1 # a comment\n", {"A": "1"}),
        ("A=1#2\n", {"A": "1#2"}),
        ("A='1 # 2'  # a comment\n", {"A": "1 # 2"}),
        ("A=\n", {"A": ""}),
        ("A=''\n", {"A": ""}),
        ("A=   \n", {"A": ""}),
        ("A\nB=2\n", {"B": "2"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=a=b==\n", {"A": "a=b=="}),
        ("A=${HOME}\nB=$HOME\nC='${A}'\n", {"A": "${HOME}", "B": "$HOME", "C": "${A}"}),
        ("\ufeffA=1\n", {"A": "1"}),
        ("A=ключ\n", {"A": "ключ"}),
        ("A=1\0\n", {"A": "1\0"}),
    ],
)
def test_what_a_file_sets(path: Path, text: str, expected: dict[str, str]) -> None:
    path.write_bytes(text.encode())
    assert read_dotenv(path) == expected


def test_lines_that_make_no_sense_are_passed_over_and_named_by_number(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("A=1\nB='open-secret\nC=3\n= 4\n%% hidden-secret\nD=5\n", "utf-8")
    assert read_dotenv(path) == {"A": "1", "C": "3", "D": "5"}
    assert "line 2" in caplog.text
    assert "secret" not in caplog.text


def test_nothing_reaches_the_environment(path: Path) -> None:
    before = dict(os.environ)
    path.write_text("OPENCODE_SYNC_TEST_VARIABLE=1\nPATH=/nowhere\n", "utf-8")
    assert read_dotenv(path)["PATH"] == "/nowhere"
    assert dict(os.environ) == before


def test_a_value_does_not_show(path: Path) -> None:
    path.write_text("A=sk-very-private\n", "utf-8")
    assert repr(read_dotenv(path)) == "{'A': '***'}"


def test_no_file_and_a_folder_set_nothing(path: Path) -> None:
    assert read_dotenv(path) == {}
    path.mkdir()
    assert read_dotenv(path) == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("KEY=sk-private".encode("utf-16"), "is not UTF-8 text; save it as UTF-8"),
        (b"KEY=sk-private\nNAME=\xe9", "is not UTF-8 text"),
        (b"KEY=sk-private\n" * 10_000, "is larger than 64 KiB"),
    ],
)
def test_what_cannot_be_read_is_said_without_showing_it(
    path: Path, content: bytes, problem: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(BackendError) as caught:
        read_dotenv(path)
    error: BaseException | None = caught.value
    assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_AUTH_SYNC_FAILED
    assert str(path) in caught.value.message
    assert problem in caught.value.message
    while error is not None:
        assert "private" not in f"{error!r} {error.__dict__!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(BackendError, match="is not a regular file"):
        read_dotenv(path)


def test_an_impossible_name() -> None:
    with pytest.raises(BackendError, match="not a possible file name"):
        read_dotenv(Path("a\0b"))
