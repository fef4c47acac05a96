"""IpcConfig, parse_config and resolve_provider."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import pprint
from collections import UserDict
from typing import Any

import pytest

from opencode_sync.config import IpcConfig, SecretStr, parse_config, resolve_provider
from opencode_sync.providers import DefaultConfigProvider, StaticConfigProvider
from opencode_sync.wire import ipc_pb2

from .helpers import TOKEN, Log, refused


class TestIpcConfig:
    def test_keeps_what_it_is_given(self) -> None:
        config = IpcConfig(4096, TOKEN)
        assert (config.port, config.auth_token, config.host) == (4096, TOKEN, "127.0.0.1")

    @pytest.mark.parametrize("port", [1024, 4096, 65535])
    def test_accepts_the_whole_range_of_ports(self, port: int) -> None:
        assert IpcConfig(port, TOKEN).port == port

    @pytest.mark.parametrize(
        ("host", "endpoint"),
        [
            ("127.0.0.1", "ws://127.0.0.1:4096/"),
            ("127.8.9.10", "ws://127.8.9.10:4096/"),
            ("::1", "ws://[::1]:4096/"),
            ("localhost", "ws://localhost:4096/"),
        ],
    )
    def test_endpoint_is_an_address(self, host: str, endpoint: str) -> None:
        assert IpcConfig(4096, TOKEN, host).endpoint == endpoint

    @pytest.mark.parametrize("token", [TOKEN, "  " + TOKEN + " ", "ключ-ключ-ключ-ключ", "🔑" * 16])
    def test_keeps_the_token_exactly(self, token: str) -> None:
        assert IpcConfig(4096, token).auth_token == token

    @pytest.mark.parametrize("port", [80, 1023, 0, -1, 65536, 70000])
    def test_refuses_a_port_out_of_range(self, port: int, log: Log) -> None:
        refused(
            lambda: IpcConfig(port, TOKEN),
            field="port",
            says=(f"port is {port}", "1024 to 65535"),
            log=log,
        )

    @pytest.mark.parametrize(
        "port", [True, False, "4096", "abc", "", 4096.0, None, b"4096", [4096]]
    )
    def test_refuses_a_port_that_is_not_a_whole_number(self, port: Any, log: Log) -> None:
        refused(
            lambda: IpcConfig(port, TOKEN),
            field="port",
            says=("not a whole number", "give the gateway's port"),
            log=log,
        )

    @pytest.mark.parametrize("port", [10**400, -(10**400)], ids=["huge", "minus huge"])
    def test_refuses_a_port_of_any_length(self, port: int, log: Log) -> None:
        refused(lambda: IpcConfig(port, TOKEN), field="port", says=("a huge number",), log=log)

    @pytest.mark.parametrize(
        ("token", "problem"),
        [
            ("", "is blank"),
            (" \t ", "is blank"),
            (TOKEN + "\n", "a line break"),
            (TOKEN + "\r", "a line break"),
            (TOKEN + "\0", "a control character"),
            (TOKEN + "\x9b", "a control character"),
            (TOKEN + "\ud800", "a lone surrogate"),
            (None, "missing"),
            (TOKEN.encode(), "of type bytes"),
            (12345, "a number"),
        ],
    )
    def test_refuses_a_token_that_cannot_be_one(self, token: Any, problem: str, log: Log) -> None:
        tokens = iter([token])  # whose values no traceback of this test shows
        refused(
            lambda: IpcConfig(4096, next(tokens)),
            field="auth_token",
            says=(problem, "give the token that the gateway was started with"),
            log=log,
        )

    @pytest.mark.parametrize(
        "host",
        ["192.168.1.1", "example.org", "0.0.0.0", "::", "::2", "", "[::1]", "127.1", None, 127],
    )
    def test_refuses_a_host_that_is_not_this_machine(self, host: Any, log: Log) -> None:
        refused(
            lambda: IpcConfig(4096, TOKEN, host),
            field="host",
            says=("host is", 'use "127.0.0.1"'),
            log=log,
        )

    def test_does_not_show_a_token_given_in_place_of_another_field(self, log: Log) -> None:
        wrong: Any = SecretStr(TOKEN)
        refused(lambda: IpcConfig(wrong, "x" * 16), field="port", says=("port is text",), log=log)
        refused(lambda: IpcConfig(4096, "x" * 16, wrong), field="host", says=("host is",), log=log)

    def test_hides_the_token_however_it_is_printed(self) -> None:
        config = IpcConfig(4096, TOKEN)
        shown = [
            repr(config),
            str(config),
            f"{config}",
            f"{config!r:>200}",
            repr(dataclasses.asdict(config)),
            repr(dataclasses.astuple(config)),
            repr(vars(config)),
            pprint.pformat(dataclasses.asdict(config)),
        ]
        assert [each for each in shown if TOKEN in each] == []
        assert "4096" in repr(config)

    def test_is_equal_and_hashes_by_value(self) -> None:
        config = IpcConfig(4096, TOKEN)
        assert config == IpcConfig(4096, TOKEN)
        assert hash(config) == hash(IpcConfig(4096, TOKEN))
        assert config != IpcConfig(4096, TOKEN + "x")

    def test_pickles_and_copies(self) -> None:
        config = IpcConfig(4096, TOKEN, "::1")
        for other in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
            assert other == config
            assert TOKEN not in repr(dataclasses.asdict(other))

    def test_cannot_be_changed_but_replaced(self) -> None:
        config = IpcConfig(4096, TOKEN)
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.port = 1  # type: ignore[misc]
        assert dataclasses.replace(config, port=5000) == IpcConfig(5000, TOKEN)

    def test_token_is_text_to_those_who_need_it(self) -> None:
        token = IpcConfig(4096, TOKEN).auth_token
        assert json.dumps(token) == json.dumps(TOKEN)
        message = ipc_pb2.IpcAuthHandshake(token=token)
        assert ipc_pb2.IpcAuthHandshake.FromString(message.SerializeToString()).token == TOKEN

    def test_warns_of_a_short_token_by_its_length_only(self, log: Log) -> None:
        IpcConfig(4096, "shibboleth")
        (line,) = log
        assert line.record["level"].name == "WARNING"
        assert "only 10 characters" in log.text
        assert line.record["extra"] == {"token_length": 10}
        assert "shibboleth" not in log.text

    def test_does_not_warn_of_a_long_enough_token(self, log: Log) -> None:
        IpcConfig(4096, "x" * 16)
        assert log == []


class TestParseConfig:
    @pytest.mark.parametrize("form", [str, bytes, dict, bytearray, "bom", "user dict"])
    def test_takes_text_bytes_or_the_object(self, form: Any) -> None:
        values = {"port": 4096, "auth_token": TOKEN}
        text = json.dumps(values)
        documents: dict[Any, Any] = {
            str: text,
            bytes: text.encode(),
            bytearray: bytearray(text.encode()),
            dict: values,
            "bom": b"\xef\xbb\xbf" + text.encode(),
            "user dict": UserDict(values),
        }
        assert parse_config(documents[form], source="here") == IpcConfig(4096, TOKEN)

    def test_takes_a_host_and_a_process_id(self) -> None:
        document = {"port": 4096, "auth_token": TOKEN, "host": "::1", "pid": 17}
        assert parse_config(document, source="here") == IpcConfig(4096, TOKEN, "::1")

    @pytest.mark.parametrize(
        ("document", "field", "problem"),
        [
            (f'{{"port": 4096, "auth_token": "{TOKEN}"', None, "not JSON (line 1)"),
            (f"port = 4096\nauth_token = {TOKEN}", None, "not JSON (line 1)"),
            (f'"{TOKEN}"', None, "is text, not a JSON object"),
            (f'["{TOKEN}"]', None, "of type list, not a JSON object"),
            ("null", None, "not a JSON object"),
            ("", None, "is empty"),
            (b" \n ", None, "is empty"),
            (b"\xff" + TOKEN.encode(), None, "not UTF-8"),
            pytest.param("[" * 100_000, None, "not JSON", id="deep"),
            pytest.param("9" * 5000, None, "not JSON", id="long number"),
            (7, None, "is a number"),
            (None, None, "is missing"),
            (f'{{"auth_token": "{TOKEN}"}}', "port", '"port" is missing'),
            ('{"port": 4096}', "auth_token", '"auth_token" is missing'),
            (f'{{"port": 4096, "token": "{TOKEN}"}}', "token", '"token" is not a known key'),
            (
                f'{{"port": 4096, "auth_token": "{TOKEN}", "extra": 1}}',
                "extra",
                '"extra" is not a known key',
            ),
            (f'{{"port": 4096, "{TOKEN}": 1}}', None, "a key is not a known key"),
            ({"port": 4096, "auth_token": TOKEN, 5: 1}, None, "a key is not a known key"),
            (
                f'{{"port": 4096, "auth_token": "{TOKEN}", "auth_token": "{TOKEN}"}}',
                "auth_token",
                '"auth_token" appears twice',
            ),
            (f'{{"{TOKEN}": 1, "{TOKEN}": 2}}', None, "a key appears twice"),
            (f'{{"port": 80, "auth_token": "{TOKEN}"}}', "port", "port is 80"),
            (f'{{"port": 70000, "auth_token": "{TOKEN}"}}', "port", "port is 70000"),
            (f'{{"port": "abc", "auth_token": "{TOKEN}"}}', "port", "port is text"),
            (f'{{"port": 4096.0, "auth_token": "{TOKEN}"}}', "port", "port is a number, not a"),
            (f'{{"port": NaN, "auth_token": "{TOKEN}"}}', "port", "not a whole number"),
            (f'{{"port": true, "auth_token": "{TOKEN}"}}', "port", "port is true or false"),
            ('{"port": 4096, "auth_token": ""}', "auth_token", "auth_token is blank"),
            ('{"port": 4096, "auth_token": null}', "auth_token", "missing (null)"),
            (f'{{"port": 4096, "auth_token": ["{TOKEN}"]}}', "auth_token", "of type list"),
            (f'{{"port": 4096, "auth_token": "{TOKEN}\\ud800"}}', "auth_token", "surrogate"),
            (f'{{"port": 4096, "auth_token": "{TOKEN}\\n"}}', "auth_token", "a line break"),
            (f'{{"port": 4096, "auth_token": "{TOKEN}", "host": "x.org"}}', "host", "host is not"),
            (f'{{"port": 4096, "auth_token": "{TOKEN}", "host": null}}', "host", "host is missing"),
            (f'{{"port": 4096, "auth_token": "{TOKEN}", "pid": 0}}', "pid", "pid is not"),
            (f'{{"port": 4096, "auth_token": "{TOKEN}", "pid": true}}', "pid", "pid is not"),
            (f'{{"port": 4096, "auth_token": "{TOKEN}", "pid": "{TOKEN}"}}', "pid", "pid is not"),
        ],
    )
    def test_refuses_anything_else(
        self, document: Any, field: str | None, problem: str, log: Log
    ) -> None:
        documents = iter([document])  # whose values no traceback of this test shows
        refused(
            lambda: parse_config(next(documents), source="the answer"),
            field=field,
            says=("In the answer,", problem, "; "),
            log=log,
            source="the answer",
        )


class TestResolveProvider:
    def test_none_is_the_default(self) -> None:
        assert isinstance(resolve_provider(None), DefaultConfigProvider)

    def test_a_configuration_is_supplied_as_it_is(self) -> None:
        config = IpcConfig(4096, TOKEN)
        provider = resolve_provider(config)
        assert isinstance(provider, StaticConfigProvider)
        assert provider.get_config() is config

    def test_a_provider_of_any_class_stays_itself(self) -> None:
        class Mine:
            def get_config(self) -> IpcConfig:
                return IpcConfig(4096, TOKEN)

        mine = Mine()
        assert resolve_provider(mine) is mine

    @pytest.mark.parametrize(
        "wrong",
        [4096, "ws://127.0.0.1:4096", {"port": 4096}, DefaultConfigProvider, object()],
    )
    def test_anything_else_is_refused(self, wrong: Any, log: Log) -> None:
        refused(
            lambda: resolve_provider(wrong),
            field="config",
            says=("config is", "give an IpcConfig"),
            log=log,
        )
