"""Keys go where they belong, each provider gets one verdict, and no key is ever shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway import BackendError
from opencode_sync.gateway.auth_sync import KeyPushError, Push, sync_auth_keys
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import PATIENCE

pytestmark = pytest.mark.usefixtures("nothing_left")

_LISTS = ("synced", "failed", "skipped", "validation_failed")
_KNOWN = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
}
_KEY = "sk-ant-A7f9Qx2LmZ0pR4tV8sW1"


class Pushed:
    """Remembers what was pushed, and fails as told."""

    def __init__(self, errors: Mapping[str, BaseException] | None = None) -> None:
        self.keys: dict[str, str] = {}
        self.deadlines: list[Deadline] = []
        self._errors = errors or {}

    def __call__(self, provider: str, key: str, deadline: Deadline) -> None:
        self.keys[provider] = key
        self.deadlines.append(deadline)
        if provider in self._errors:
            raise self._errors[provider]


def sync(
    push: Push,
    environ: Mapping[str, str],
    *,
    dotenv: Path | None = None,
    known: Mapping[str, tuple[str, ...]] = _KNOWN,
    skip_oauth_providers: bool = True,
    oauth: Callable[[str], bool] = lambda provider: False,
    deadline: Deadline | None = None,
) -> ipc_pb2.IpcAuthSyncResponse:
    return sync_auth_keys(
        push,
        environ=environ,
        dotenv=dotenv,
        known=known,
        skip_oauth_providers=skip_oauth_providers,
        oauth=oauth,
        deadline=deadline or Deadline.after(PATIENCE),
    )


def verdicts(answer: ipc_pb2.IpcAuthSyncResponse) -> dict[str, tuple[str, str]]:
    """Each provider's list and category."""
    return {
        result.provider: (name, result.error_category)
        for name in _LISTS
        for result in getattr(answer, name)
    }


@pytest.fixture
def records() -> Iterator[list[str]]:
    """Everything logged, with its extras and, as loguru can, the variables of tracebacks."""
    found: list[str] = []
    logger.enable("opencode_sync")
    sink = logger.add(
        lambda message: found.append(f"{message} {message.record['extra']}"),
        level="TRACE",
        diagnose=True,
        backtrace=True,
    )
    yield found
    logger.remove(sink)
    logger.disable("opencode_sync")


class TestWhereKeysComeFrom:
    def test_environment_and_file(self, tmp_path: Path) -> None:
        dotenv = tmp_path / ".env"
        dotenv.write_text('export OPENAI_API_KEY="sk-A7f9Qx2LmZ0pR4tV" # mine\n', "utf-8")
        push = Pushed()
        answer = sync(push, {"ANTHROPIC_API_KEY": _KEY}, dotenv=dotenv)
        assert push.keys == {"anthropic": _KEY, "openai": "sk-A7f9Qx2LmZ0pR4tV"}
        assert verdicts(answer) == {
            "anthropic": ("synced", ""),
            "openai": ("synced", ""),
            "google": ("skipped", "not_set"),
        }
        (skipped,) = answer.skipped
        assert "GEMINI_API_KEY or GOOGLE_API_KEY is not set" in skipped.error
        assert str(dotenv) in skipped.error
        assert not skipped.retryable
        assert not skipped.HasField("status_code")

    @pytest.mark.parametrize(
        ("environ", "file", "expected"),
        [
            ({"GOOGLE_API_KEY": "second-1234"}, "", "second-1234"),
            ({"GEMINI_API_KEY": "first-1234", "GOOGLE_API_KEY": "second-1234"}, "", "first-1234"),
            ({"GEMINI_API_KEY": "environ-1"}, "GEMINI_API_KEY=file-12345", "environ-1"),
            ({"GOOGLE_API_KEY": "environ-1"}, "GEMINI_API_KEY=file-12345", "file-12345"),
            ({"GEMINI_API_KEY": ""}, "GEMINI_API_KEY=file-12345", "file-12345"),
            ({"GEMINI_API_KEY": "changeme"}, "GOOGLE_API_KEY=file-12345", "file-12345"),
        ],
    )
    def test_the_first_usable_variable_counts(
        self, tmp_path: Path, environ: dict[str, str], file: str, expected: str
    ) -> None:
        (tmp_path / ".env").write_text(file, "utf-8")
        push = Pushed()
        sync(push, environ, dotenv=tmp_path / ".env")
        assert push.keys == {"google": expected}

    def test_nothing_set(self) -> None:
        push = Pushed()
        answer = sync(push, {}, known={"a": ("A", "B"), "b": ()})
        assert [each.error for each in answer.skipped] == [
            "no API key: A or B is not set in the environment",
            "no API key: no variable is known that could hold one",
        ]
        assert push.keys == {}

    def test_a_file_that_cannot_be_read_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_bytes(b"ANTHROPIC_API_KEY=\xff\n")
        push = Pushed()
        with pytest.raises(BackendError, match="not UTF-8") as caught:
            sync(push, {"ANTHROPIC_API_KEY": _KEY}, dotenv=tmp_path / ".env")
        assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_AUTH_SYNC_FAILED
        assert push.keys == {}

    def test_the_order_is_that_of_the_ids(self) -> None:
        known = {name: (f"{name.upper()}_KEY",) for name in ("zebra", "ant", "mouse", "bee")}
        push = Pushed()
        answer = sync(push, {each[0]: _KEY for each in known.values()}, known=known)
        assert list(push.keys) == sorted(known)
        assert [each.provider for each in answer.synced] == sorted(known)


class TestValidation:
    def test_what_cannot_be_a_key_is_not_sent(self, tmp_path: Path) -> None:
        dotenv = tmp_path / ".env"
        dotenv.write_text("OPENAI_API_KEY=your-api-key-here\nGEMINI_API_KEY=\n", "utf-8")
        push = Pushed()
        answer = sync(push, {"ANTHROPIC_API_KEY": f"{_KEY}\n"}, dotenv=dotenv)
        assert push.keys == {}
        assert verdicts(answer) == {
            "anthropic": ("validation_failed", "whitespace"),
            "google": ("validation_failed", "blank"),
            "openai": ("validation_failed", "placeholder"),
        }
        assert [each.error.split(";")[0] for each in answer.validation_failed] == [
            "ANTHROPIC_API_KEY in the environment has white space in its value",
            f"GEMINI_API_KEY in {dotenv} is blank",
            f"OPENAI_API_KEY in {dotenv} holds a placeholder",
        ]
        assert not any(each.retryable for each in answer.validation_failed)

    def test_the_problem_told_is_that_of_the_first_that_is_not_blank(self) -> None:
        answer = sync(Pushed(), {"GEMINI_API_KEY": " ", "GOOGLE_API_KEY": "changeme"})
        (result,) = answer.validation_failed
        assert result.error.startswith("GOOGLE_API_KEY in the environment holds a placeholder")


class TestOAuth:
    def test_a_provider_with_a_login_is_left_alone(self) -> None:
        asked: list[str] = []

        def oauth(provider: str) -> bool:
            asked.append(provider)
            return provider == "openai"

        push = Pushed()
        environ = {"ANTHROPIC_API_KEY": _KEY, "OPENAI_API_KEY": "changeme"}
        answer = sync(push, environ, oauth=oauth)
        assert verdicts(answer)["openai"] == ("skipped", "oauth")
        assert push.keys == {"anthropic": _KEY}
        assert asked == ["anthropic", "openai"], "only those with something to push"

    def test_unless_told_otherwise(self) -> None:
        def never(provider: str) -> bool:
            raise AssertionError(provider)

        push = Pushed()
        answer = sync(push, {"ANTHROPIC_API_KEY": _KEY}, skip_oauth_providers=False, oauth=never)
        assert verdicts(answer)["anthropic"] == ("synced", "")

    def test_when_it_cannot_be_told_the_key_stays_here(self) -> None:
        def unknown(provider: str) -> bool:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "no server")

        push = Pushed()
        answer = sync(push, {"ANTHROPIC_API_KEY": _KEY}, oauth=unknown)
        assert verdicts(answer)["anthropic"] == ("failed", "unreachable")
        assert push.keys == {}


class TestFailures:
    @pytest.mark.parametrize(
        ("status", "category", "retryable"),
        [
            (400, "rejected", False),
            (401, "unauthorized", False),
            (403, "unauthorized", False),
            (404, "rejected", False),
            (408, "timeout", True),
            (409, "rejected", False),
            (429, "rate_limited", True),
            (500, "server_error", True),
            (503, "server_error", True),
        ],
    )
    def test_a_status_tells_whether_a_retry_helps(
        self, status: int, category: str, retryable: bool
    ) -> None:
        push = Pushed({"anthropic": KeyPushError("refused", status=status)})
        (result,) = sync(push, {"ANTHROPIC_API_KEY": _KEY}).failed
        assert result == ipc_pb2.IpcProviderSyncResult(
            provider="anthropic",
            error="refused",
            retryable=retryable,
            error_category=category,
            status_code=status,
        )

    @pytest.mark.parametrize(
        ("code", "category", "retryable"),
        [
            (ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "unreachable", True),
            (ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "server_error", True),
            (ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR, "unauthorized", False),
            (ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "rejected", False),
            (ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, "rejected", False),
        ],
    )
    def test_else_the_code_does(self, code: int, category: str, retryable: bool) -> None:
        push = Pushed({"anthropic": BackendError(code, "in words")})
        (result,) = sync(push, {"ANTHROPIC_API_KEY": _KEY}).failed
        assert (result.error_category, result.retryable) == (category, retryable)
        assert result.error == "in words"
        assert not result.HasField("status_code")

    def test_one_failure_holds_up_nobody(self) -> None:
        push = Pushed({"anthropic": KeyPushError("x", status=500), "google": ValueError("y")})
        environ = {name: _KEY[7:] for names in _KNOWN.values() for name in names}
        answer = sync(push, environ)
        assert verdicts(answer) == {
            "anthropic": ("failed", "server_error"),
            "google": ("failed", "internal"),
            "openai": ("synced", ""),
        }
        assert not answer.failed[1].retryable
        assert "ValueError" in answer.failed[1].error

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
    def test_what_ends_the_program_is_not_held_back(self, error: BaseException) -> None:
        with pytest.raises(type(error)):
            sync(Pushed({"anthropic": error}), {"ANTHROPIC_API_KEY": _KEY})


class TestDeadline:
    def test_what_was_not_reached_failed_and_may_be_tried_again(self) -> None:
        environ = {name: _KEY[7:] for names in _KNOWN.values() for name in names}
        deadline = Deadline.after(PATIENCE)
        push = Pushed()

        def push_slowly(provider: str, key: str, given: Deadline) -> None:
            push(provider, key, given)
            deadline.at = 0.0  # the time is up while the first is pushed

        answer = sync(push_slowly, environ, deadline=deadline)
        assert push.keys.keys() == {"anthropic"}
        assert push.deadlines == [deadline]
        assert verdicts(answer) == {
            "anthropic": ("synced", ""),
            "google": ("failed", "timeout"),
            "openai": ("failed", "timeout"),
        }
        assert all(each.retryable and "try again" in each.error for each in answer.failed)
        assert not any(each.HasField("status_code") for each in answer.failed)

    def test_a_push_that_runs_out_of_time_is_a_timeout(self) -> None:
        deadline = Deadline.after(PATIENCE)

        def push(provider: str, key: str, given: Deadline) -> None:
            deadline.at = 0.0
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "took too long")

        (result,) = sync(push, {"ANTHROPIC_API_KEY": _KEY}, deadline=deadline).failed
        assert (result.error_category, result.retryable) == ("timeout", True)

    def test_no_time_at_all_still_tells_what_can_be_told(self) -> None:
        environ = {"ANTHROPIC_API_KEY": _KEY, "OPENAI_API_KEY": "changeme"}
        push = Pushed()
        assert verdicts(sync(push, environ, deadline=NOW)) == {
            "anthropic": ("failed", "timeout"),
            "google": ("skipped", "not_set"),
            "openai": ("validation_failed", "placeholder"),
        }
        assert push.keys == {}

    def test_the_duration_is_that_of_all(self) -> None:
        pause = threading.Event()

        def push(provider: str, key: str, deadline: Deadline) -> None:
            assert not pause.wait(0.03)

        answer = sync(push, {"ANTHROPIC_API_KEY": _KEY, "OPENAI_API_KEY": _KEY[7:]})
        assert 50 <= answer.duration_ms < PATIENCE * 1000


class TestSecrecy:
    def echoes(self) -> list[BaseException]:
        body = json.dumps({"type": "api", "key": _KEY})
        cause = ValueError(_KEY)
        chained = KeyPushError(f"Expected Auth, got {body}", status=400)
        chained.__cause__ = cause
        return [
            chained,
            KeyPushError(f"cut short: {body[:-12]}", status=429),
            KeyPushError(f"the end only: {_KEY[-8:]}", status=500),
            BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, _KEY),
            ValueError(f"invalid header {_KEY!r}"),
            RuntimeError(_KEY),
        ]

    def test_no_key_in_any_answer_or_record(self, records: list[str]) -> None:
        for error in self.echoes():
            answer = sync(Pushed({"anthropic": error}), {"ANTHROPIC_API_KEY": _KEY})
            assert verdicts(answer)["anthropic"][0] == "failed"
            shown = f"{answer} {''.join(records)}"
            for start in range(len("sk-ant-"), len(_KEY) - 5):
                assert _KEY[start : start + 6] not in shown
        assert records

    def test_nor_when_all_goes_well_or_the_key_is_no_key(self, records: list[str]) -> None:
        for key in (_KEY, f"{_KEY} ", f"'{_KEY}'", f"sk-or-{_KEY[7:]}", f"{_KEY}\x07", f"{_KEY}é"):
            answer = sync(Pushed(), {"ANTHROPIC_API_KEY": key})
            assert _KEY[7:] not in f"{answer} {''.join(records)}"
        assert records

    def test_a_key_with_signs_is_known_in_json_too(self) -> None:
        key = 'A"\\"\\"\\"\\"\\"\\"\\"B'
        error = KeyPushError(f"got {json.dumps({'key': key})}", status=400)
        (result,) = sync(Pushed({"google": error}), {"GOOGLE_API_KEY": key}).failed
        assert json.dumps(key)[1:-1] not in result.error
        assert "left out" in result.error

    def test_words_that_do_not_quote_it_stay(self) -> None:
        error = KeyPushError("OpenCode says no; look for err_1 in its log", status=400)
        (result,) = sync(Pushed({"anthropic": error}), {"ANTHROPIC_API_KEY": _KEY}).failed
        assert result.error == error.message

    def test_the_key_hides_from_tracebacks_that_show_values(self) -> None:
        shown: list[str] = []

        def push(provider: str, key: str, deadline: Deadline) -> None:
            shown.append(repr(key))
            assert json.dumps({"key": key}) == json.dumps({"key": _KEY})

        answer = sync(push, {"ANTHROPIC_API_KEY": _KEY})
        assert verdicts(answer)["anthropic"][0] == "synced"
        assert shown == ["'***'"]


_ids = st.text(alphabet="abcdef-", min_size=1, max_size=6)
_outcomes: list[BaseException | None] = [
    None,
    KeyPushError("no", status=429),
    BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "gone"),
    TypeError("a bug"),
]


@given(
    known=st.dictionaries(_ids, st.lists(st.sampled_from("ABCDEF"), max_size=3).map(tuple)),
    environ=st.dictionaries(st.sampled_from("ABCDEF"), st.text(max_size=20)),
    outcomes=st.lists(st.sampled_from(_outcomes), min_size=1),
    logins=st.sets(_ids),
    skip=st.booleans(),
)
def test_each_provider_is_in_exactly_one_list(
    known: dict[str, tuple[str, ...]],
    environ: dict[str, str],
    outcomes: list[BaseException | None],
    logins: set[str],
    skip: bool,
) -> None:
    turn = iter(outcomes * (len(known) + 1))

    def push(provider: str, key: str, deadline: Deadline) -> None:
        if (error := next(turn)) is not None:
            raise error

    answer = sync(
        push, environ, known=known, skip_oauth_providers=skip, oauth=lambda each: each in logins
    )
    found: list[Any] = [each.provider for name in _LISTS for each in getattr(answer, name)]
    assert sorted(found) == sorted(known)
    for name in _LISTS:
        ids = [each.provider for each in getattr(answer, name)]
        assert ids == sorted(ids)
        if name != "synced":
            assert all(each.error and each.error_category for each in getattr(answer, name))
