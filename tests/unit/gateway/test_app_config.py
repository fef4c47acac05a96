"""The application's settings: replaced whole, checked first, never half written."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway import BackendError, EmbeddedBackend
from opencode_sync.gateway.app_config import (
    APPLICATION,
    MODELS,
    AppConfigStore,
    default_config_file,
)
from opencode_sync.gateway.json_document import DocumentError, check, parse_json
from opencode_sync.gateway.provider_keys import KEY_VARIABLES
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import PATIENCE

pytestmark = pytest.mark.usefixtures("nothing_left")

_POSIX = os.name == "posix"
_DEFAULTS = {
    "version": 1,
    "server": {"last_opencode_url": None, "auto_start": True, "directory_override": None},
    "ui": {"font_size": "Standard", "base_font_points": 14.0, "chat_density": "Normal"},
    "audio": {"push_to_talk_key": "AltRight", "whisper_model_path": None},
}


def changed(path: str, value: Any) -> str:
    """The default settings with one value, named as "section.key", another."""
    document = json.loads(json.dumps(_DEFAULTS))
    *sections, key = path.split(".")
    place = document
    for section in sections:
        place = place[section]
    place[key] = value
    return json.dumps(document)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "config.json"


@pytest.fixture
def store(path: Path) -> AppConfigStore:
    return AppConfigStore(path)


def application(store: AppConfigStore) -> Any:
    return json.loads(store.get().app_config_json)


def refusal(store: AppConfigStore, document: str) -> str:
    answer = store.update(document)
    assert not answer.success
    assert answer.HasField("error")
    return answer.error


class TestGet:
    def test_nothing_there_means_the_defaults_and_makes_no_file(
        self, store: AppConfigStore, path: Path
    ) -> None:
        assert application(store) == _DEFAULTS
        assert not path.parent.exists()

    def test_what_is_missing_in_the_file_is_filled_in(
        self, store: AppConfigStore, path: Path
    ) -> None:
        path.parent.mkdir(parents=True)
        path.write_text('\ufeff{"ui": {"font_size": "Large"}, "version": 7}', "utf-8")
        expected = json.loads(changed("ui.font_size", "Large")) | {"version": 7}
        assert application(store) == expected

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", "it is not JSON: Expecting value (line 1, column 1)"),
            (b'{\n  "version" 1\n}', "(line 2, column 13)"),
            (b'{"version": 1', "(line 1, column 14)"),
            (b"[]", "it must be a JSON object, but is a list"),
            (b"null", "but is null"),
            (b'{"version": "1"}', "version must be a whole number"),
            (b'{"server": []}', "server must be an object, but is a list"),
            (b"\xff\xfe{\x00}\x00", "it is not UTF-8 text"),
            (b"{" + b" " * 70_000 + b"}", "is larger than 64 KiB"),
        ],
    )
    def test_a_broken_file_is_reported_and_stays_as_it_is(
        self, store: AppConfigStore, path: Path, content: bytes, problem: str
    ) -> None:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        for use in (store.get, lambda: store.update("{}")):
            with pytest.raises(BackendError) as caught:
                use()
            assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
            assert str(path) in caught.value.message
            assert problem in caught.value.message
        assert path.read_bytes() == content
        assert os.listdir(path.parent) == ["config.json"]

    def test_a_folder_in_the_files_place_is_reported(
        self, store: AppConfigStore, path: Path
    ) -> None:
        path.mkdir(parents=True)
        with pytest.raises(BackendError, match="is a folder"):
            store.get()
        with pytest.raises(BackendError, match="is a folder"):
            store.update("{}")

    def test_the_default_place_is_the_users_configuration_folder(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        if sys.platform == "linux":
            monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
            assert default_config_file() == tmp_path / "opencode-sync" / "config.json"
        assert AppConfigStore().path == default_config_file()
        assert str(default_config_file()) in repr(AppConfigStore())


class TestUpdate:
    def test_the_whole_document_is_replaced(self, store: AppConfigStore) -> None:
        assert store.update(changed("ui.font_size", "Large")) == ipc_pb2.IpcUpdateConfigResponse(
            success=True
        )
        assert application(store)["ui"]["font_size"] == "Large"
        assert store.update(changed("audio.whisper_model_path", "/m.bin")).success
        assert application(store)["ui"]["font_size"] == "Standard"
        assert application(store)["audio"]["whisper_model_path"] == "/m.bin"

    def test_what_get_returned_can_be_sent_back(self, store: AppConfigStore) -> None:
        before = store.get()
        assert store.update(before.app_config_json).success
        assert store.get() == before

    @pytest.mark.parametrize(
        ("document", "problem"),
        [
            ("", "it is not JSON: Expecting value (line 1, column 1)"),
            ('{"version": 1,\n "ui": }', "Expecting value (line 2, column 8)"),
            ("{'version': 1}", "Expecting property name enclosed in double quotes (line 1, "),
            ("{} {}", "Extra data (line 1, column 4)"),
            ('{"version": NaN}', "NaN is no JSON number"),
            ('{"version": -Infinity}', "-Infinity is no JSON number"),
            ('{"version": ' + "9" * 5000 + "}", "a number is too long"),
            ('{"new": 1e999}', "new is a number too large"),
            ('{"new": [1, {"x y": -1e999}]}', "new[1].'x y' is a number too large"),
            ('{"a": "\\ud800"}', "a holds half a character"),
            ('{"\\udfff": 1}', r"the key '\udfff' holds half a character"),
            ('{"ui": {"font_size": "a", "font_size": "b"}}', "the key 'font_size' is there twice"),
            ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested more than 32 deep"),
            ("[" * 60_000, "nested more than 32 deep"),
            ('{"a": "' + "x" * 70_000 + '"}', "more than the 65536 that are kept"),
            ('{"a": "' + "é" * 40_000 + '"}', "bytes, more than the 65536 that are kept"),
            ("[]", "it must be a JSON object, but is a list"),
            ('"{}"', "it must be a JSON object, but is a text"),
            ("12", "but is the number 12"),
            ("true", "but is true"),
            ("null", "but is null"),
        ],
    )
    def test_what_is_no_document_is_refused(
        self, store: AppConfigStore, path: Path, document: str, problem: str
    ) -> None:
        assert problem in refusal(store, document)
        assert not path.parent.exists()

    @pytest.mark.parametrize(
        ("field", "value", "problem"),
        [
            ("version", True, "a whole number from 0 to 4294967295, but is true"),
            ("version", 1.0, "but is the number 1.0"),
            ("version", -1, "but is the number -1"),
            ("version", 2**32, "but is the number 4294967296"),
            ("version", 10**300, "but is a large number"),
            ("version", None, "but is null"),
            ("version", "1", "but is a text"),
            ("server", None, "must be an object, but is null"),
            ("server", "x", "must be an object, but is a text"),
            ("server.auto_start", 1, "must be true or false, but is the number 1"),
            ("server.auto_start", "true", "must be true or false, but is a text"),
            ("server.auto_start", None, "must be true or false, but is null"),
            ("server.last_opencode_url", 1, "must be a text or null"),
            ("server.directory_override", False, "must be a text or null, but is false"),
            ("ui", [], "must be an object, but is a list"),
            ("ui.font_size", 12, "must be a text, but is the number 12"),
            ("ui.font_size", None, "must be a text, but is null"),
            ("ui.base_font_points", "14", "a number above 0 and up to 1000, but is a text"),
            ("ui.base_font_points", " ", "but is an empty text"),
            ("ui.base_font_points", 0, "but is the number 0"),
            ("ui.base_font_points", True, "but is true"),
            ("ui.base_font_points", 1001, "but is the number 1001"),
            ("ui.chat_density", {}, "must be a text, but is an object"),
            ("audio.push_to_talk_key", [], "must be a text, but is a list"),
            ("audio.whisper_model_path", 3, "must be a text or null"),
        ],
    )
    def test_a_wrong_value_is_refused_by_name(
        self, store: AppConfigStore, field: str, value: object, problem: str
    ) -> None:
        assert store.update(changed("version", 5)).success
        error = refusal(store, changed(field, value))
        assert f": {field} must be" in error
        assert problem in error
        assert application(store)["version"] == 5, "nothing was written"

    def test_no_value_is_shown(self, store: AppConfigStore) -> None:
        document = changed("server", "https://me:hunter2@host/")
        assert "hunter2" not in refusal(store, document)
        assert "hunter2" not in refusal(store, document[:-3])

    def test_unknown_keys_are_kept_and_logged(self, store: AppConfigStore) -> None:
        logger.enable("opencode_sync")
        records: list[Any] = []
        sink = logger.add(lambda message: records.append(message.record), level="WARNING")
        try:
            document = json.loads(changed("ui.theme", {"dark": [True, None, 1.5, "ü\0"]}))
            document["x" * 50] = "new"
            assert store.update(json.dumps(document)).success
        finally:
            logger.remove(sink)
            logger.disable("opencode_sync")
        assert application(store) == document
        (record,) = records
        assert record["extra"]["keys"] == ["ui.theme", f"'{'x' * 40}'..."]

    @pytest.mark.skipif(not _POSIX, reason="modes are a POSIX matter")
    def test_only_the_owner_can_read_it(self, store: AppConfigStore, path: Path) -> None:
        before = os.umask(0)
        try:
            assert store.update("{}").success
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    @pytest.mark.skipif(not _POSIX, reason="links need a privilege elsewhere")
    def test_a_link_stays_a_link(self, store: AppConfigStore, path: Path, tmp_path: Path) -> None:
        path.parent.mkdir(parents=True)
        real = tmp_path / "repository" / "settings.json"
        path.symlink_to(real)
        assert store.update(changed("version", 3)).success
        assert path.is_symlink()
        assert json.loads(real.read_text("utf-8"))["version"] == 3
        assert application(store)["version"] == 3

    def test_the_disk_is_asked_before_and_after_the_file_gets_its_name(
        self, store: AppConfigStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[str] = []
        fsync, replace = os.fsync, os.replace

        def note_fsync(descriptor: int) -> None:
            kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
            steps.append(f"fsync {kind}")
            fsync(descriptor)

        def note_replace(*args: Any) -> None:
            steps.append("replace")
            replace(*args)

        monkeypatch.setattr(os, "fsync", note_fsync)
        monkeypatch.setattr(os, "replace", note_replace)
        assert store.update("{}").success
        assert steps == ["fsync file", "replace", "fsync folder"][: 3 if _POSIX else 2]

    def test_a_disk_that_fails_changes_nothing(
        self, store: AppConfigStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert store.update(changed("version", 5)).success

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(BackendError, match="No space left on device") as caught:
                store.update(changed("version", 6))
        assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        assert str(path) in caught.value.message
        assert application(store)["version"] == 5
        assert os.listdir(path.parent) == ["config.json"]
        assert store.update(changed("version", 7)).success, "the lock was given back"

    def test_a_folder_that_cannot_be_made_is_reported(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(BackendError, match=r"settings: .*file"):
            AppConfigStore(tmp_path / "file" / "config.json").update("{}")

    def test_another_update_is_waited_for_until_the_deadline(
        self, store: AppConfigStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writing, go_on = threading.Event(), threading.Event()
        fsync = os.fsync

        def slow(descriptor: int) -> None:
            writing.set()
            assert go_on.wait(PATIENCE)
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", slow)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(store.update, changed("version", 5))
            try:
                assert writing.wait(PATIENCE)
                with pytest.raises(BackendError, match="still being written") as caught:
                    store.update(changed("version", 6), deadline=Deadline.after(0.01))
                assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
                assert application(store) == _DEFAULTS, "readers wait for nobody"
            finally:
                go_on.set()
            assert first.result(PATIENCE).success
        assert application(store)["version"] == 5

    def test_leftovers_of_killed_gateways_go_when_they_are_old(
        self, store: AppConfigStore, path: Path
    ) -> None:
        path.parent.mkdir(parents=True)
        old, young = (path.parent / f".config.json.{each}.tmp" for each in ("old", "young"))
        other = path.parent / ".other.json.old.tmp"
        for each in (old, young, other):
            each.write_text("{")
        long_ago = time.time() - 3600
        os.utime(old, (long_ago, long_ago))
        os.utime(other, (long_ago, long_ago))
        assert store.update("{}").success
        assert set(os.listdir(path.parent)) == {"config.json", young.name, other.name}


class TestManyWriters:
    def test_threads_and_stores_leave_one_whole_document(self, path: Path) -> None:
        stores = [AppConfigStore(path), AppConfigStore(path)]
        start = threading.Barrier(9)
        done = threading.Event()

        def write(number: int) -> None:
            start.wait(PATIENCE)
            for turn in range(10):
                document = json.loads(changed("version", number * 100 + turn))
                document["filling"] = str(number) * 5000
                assert stores[number % 2].update(json.dumps(document)).success

        def read() -> int:
            start.wait(PATIENCE)
            seen = 0
            last_turn = False
            while not last_turn:
                last_turn = done.is_set()
                document = application(stores[0])
                if "filling" in document:
                    assert document["filling"] == str(document["version"] // 100) * 5000
                    seen += 1
            return seen

        with ThreadPoolExecutor(9) as pool:
            reader = pool.submit(read)
            writers = [pool.submit(write, number) for number in range(8)]
            for writer in writers:
                writer.result(PATIENCE)
            done.set()
            assert reader.result(PATIENCE) > 0
        assert os.listdir(path.parent) == ["config.json"]

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
    def test_kill_9_never_leaves_half_a_file(self, store: AppConfigStore, path: Path) -> None:
        script = (
            "import json, sys\n"
            "from pathlib import Path\n"
            "from opencode_sync.gateway.app_config import AppConfigStore\n"
            "store = AppConfigStore(Path(sys.argv[1]))\n"
            "number = 0\n"
            "while True:\n"
            "    number += 1\n"
            "    text = json.dumps({'version': number, 'filling': str(number % 10) * 50_000})\n"
            "    assert store.update(text).success\n"
            "    print(number, flush=True)\n"
        )
        for enough in (1, 3, 5):
            with subprocess.Popen(
                [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                answered = [int(process.stdout.readline()) for _ in range(enough)]
                process.kill()
                answered += [int(line) for line in process.stdout.read().split()]
            found = application(store)
            assert found["version"] in (answered[-1], answered[-1] + 1)
            assert found["filling"] == str(found["version"] % 10) * 50_000
            assert store.update(store.get().app_config_json).success


class TestModels:
    def test_the_packages_own_document_is_sound(self, store: AppConfigStore) -> None:
        document = json.loads(store.get().models_config_json)
        assert check(MODELS, document) == (document, []), "complete, and no key too many"
        providers = {each["name"]: each for each in document["providers"]}
        assert {"anthropic", "openai", "google", "openrouter", "opencode"} <= set(providers)
        for name, provider in providers.items():
            assert provider["api_key_env"] == KEY_VARIABLES[name][0]
            assert provider["models_url"].startswith("https://")
            needed = {"bearer": None, "header": "auth_header", "query_param": "auth_param"}
            field = needed[provider["auth_type"]]
            assert field is None or provider[field]
        curated = document["models"]["curated"]
        assert all(each["provider"] in providers for each in curated)
        assert document["models"]["default_model"] in {
            f"{each['provider']}/{each['model_id']}" for each in curated
        }

    def test_a_file_beside_the_settings_takes_its_place(
        self, store: AppConfigStore, path: Path
    ) -> None:
        path.parent.mkdir(parents=True)
        format_ = {"models_path": "data", "model_id_field": "id", "model_name_field": "id"}
        provider = {
            "name": "google",
            "display_name": "Mine",
            "api_key_env": "GEMINI_API_KEY",
            "models_url": "http://127.0.0.1:9/v1/models",
            "auth_type": "bearer",
            "response_format": format_,
            "new": 1,
        }
        own = provider | {"name": "own", "api_key_env": "OWN_KEY"}
        store.models_path.write_text(json.dumps({"providers": [provider, own]}), "utf-8")
        document = json.loads(store.get().models_config_json)
        assert [each["display_name"] for each in document["providers"]] == ["Mine", "Mine"]
        assert document["providers"][0]["extra_headers"] == {}
        assert document["providers"][0]["new"] == 1
        assert document["models"] == {"default_model": "", "curated": []}
        variables = store.key_variables()
        assert variables["own"] == ("OWN_KEY",)
        assert variables["google"] == (
            "GEMINI_API_KEY",
            "GOOGLE_GENERATIVE_AI_API_KEY",
            "GOOGLE_API_KEY",
        )
        assert variables["anthropic"] == ("ANTHROPIC_API_KEY",)

    @pytest.mark.parametrize(
        ("document", "problem"),
        [
            ("{", "it is not JSON"),
            ('{"providers": {}}', "providers must be a list, but is an object"),
            ('{"providers": [1]}', "providers[0] must be an object"),
            ('{"providers": [{}]}', "providers[0].name is missing; it must be a text"),
            ('{"providers": [{"name": "a b"}]}', "providers[0].name must be a text of printable"),
            (
                '{"providers": [{"name": "a", "display_name": "", "api_key_env": "A", '
                '"models_url": "", "auth_type": "", "extra_headers": {"a": 1}}]}',
                "providers[0].extra_headers must be an object of texts",
            ),
            (
                '{"providers": [{"name": "a", "display_name": "", "api_key_env": "A", '
                '"models_url": "", "auth_type": ""}]}',
                "providers[0].response_format is missing",
            ),
            ('{"models": {"curated": [{"name": "x"}]}}', "models.curated[0].provider is missing"),
        ],
    )
    def test_a_broken_one_is_reported(
        self, store: AppConfigStore, path: Path, document: str, problem: str
    ) -> None:
        path.parent.mkdir(parents=True)
        store.models_path.write_text(document, "utf-8")
        for use in (store.get, store.key_variables):
            with pytest.raises(BackendError) as caught:
                use()
            assert str(store.models_path) in caught.value.message
            assert problem in caught.value.message
        assert store.update("{}").success, "the settings do not depend on it"

    def test_a_provider_may_be_there_once(self, store: AppConfigStore, path: Path) -> None:
        first = json.loads(store.get().models_config_json)["providers"][0]
        path.parent.mkdir(parents=True)
        store.models_path.write_text(json.dumps({"providers": [first, first]}), "utf-8")
        with pytest.raises(BackendError, match=r"providers\[1\]\.name is the same as that of"):
            store.get()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_either_kept_or_refused_in_words(value: Any) -> None:
    """What passes the checks can be written and read again, and is the same."""
    try:
        document = parse_json(json.dumps(value))
        document, _ = check(APPLICATION, document)
    except DocumentError:
        return
    again, _ = check(APPLICATION, parse_json(json.dumps(document, ensure_ascii=False)))
    assert again == document


class TestEmbeddedBackend:
    def test_it_keeps_the_settings(self, tmp_path: Path, store: AppConfigStore) -> None:
        backend = EmbeddedBackend(tmp_path / "sessions.db", config=store)
        soon = Deadline.after(PATIENCE)
        assert json.loads(backend.get_config(deadline=soon).app_config_json) == _DEFAULTS
        assert not backend.update_config("[]", deadline=soon).success
        assert backend.update_config(changed("version", 9), deadline=NOW).success
        assert application(store)["version"] == 9

    def test_without_a_store_it_keeps_those_of_the_user(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "opencode_sync.gateway.app_config.default_config_file", lambda: tmp_path / "c.json"
        )
        backend = EmbeddedBackend(tmp_path / "sessions.db")
        assert backend.update_config("{}", deadline=Deadline.after(PATIENCE)).success
        assert (tmp_path / "c.json").exists()
