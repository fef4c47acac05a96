"""Documents from outside: what OpenCode answers, and what stands in files and variables."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from opencode_sync import IpcClientOptions, IpcConfigError
from opencode_sync.config import parse_config
from opencode_sync.gateway.app_config import AppConfigStore
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode import checks as opencode_checks
from opencode_sync.gateway.backends.opencode import errors as opencode_errors
from opencode_sync.gateway.backends.opencode.agents import read_agents
from opencode_sync.gateway.backends.opencode.auth import mapping as opencode_auth
from opencode_sync.gateway.backends.opencode.auth.file import read_auth_file
from opencode_sync.gateway.backends.opencode.events.memory import EventMemory
from opencode_sync.gateway.backends.opencode.events.reader import EventReader, OddLog
from opencode_sync.gateway.backends.opencode.events.sse_parser import Chunks, SseParser
from opencode_sync.gateway.backends.opencode.mapping.message_errors import read_error
from opencode_sync.gateway.backends.opencode.mapping.messages import read_messages
from opencode_sync.gateway.backends.opencode.mapping.parts import read_parts
from opencode_sync.gateway.backends.opencode.mapping.sessions import Oddities, read_sessions
from opencode_sync.gateway.backends.opencode.models import read_models
from opencode_sync.gateway.dotenv import read_dotenv
from opencode_sync.gateway.json_document import DocumentError, parse_json, to_json
from tests.fuzz import seeds
from tests.fuzz.chooser import Chooser, as_text, changed_bytes, changed_json

SECRET = "tok-9f8e7d6c5b4a-shibboleth"
KEY = "sk-secret-0123456789"


def _can_be_sent(message: Message | None) -> None:
    """A message that the gateway made must reach the client whole, and be printable."""
    if message is None:
        return
    data = message.SerializeToString()
    again = type(message).FromString(data)
    assert again.SerializeToString(deterministic=True) == message.SerializeToString(
        deterministic=True
    )
    json_format.MessageToJson(message)


def _all(messages: Any) -> None:
    for message in messages:
        _can_be_sent(message)


def _masked(document: Any) -> None:
    auth = opencode_auth.read_auth(document, Oddities())
    _can_be_sent(auth)
    assert auth is None or KEY not in str(auth)
    _can_be_sent(opencode_auth.oauth_state(document, "p"))


def _models(document: Any) -> None:
    models = read_models(document, Oddities())
    _can_be_sent(models)
    # Where a key is known to be one, it is in none of the places where keys are.
    if models is not None and _known_key(document):
        for model in models.models:
            assert KEY not in f"{model.options}{model.headers}{model.variants}{model.api.url}"


def _known_key(document: Any) -> bool:
    known = opencode_checks.providers(document)
    return known is not None and any(KEY in provider.secrets for provider in known.values())


_READERS: list[tuple[list[Any], Callable[[Any], object]]] = [
    (seeds.SESSIONS, lambda d: _all(read_sessions([d, d], Oddities()))),
    (seeds.MESSAGES, lambda d: _all(read_messages([d, seeds.MESSAGES[1], d], Oddities()))),
    ([seeds.PARTS, *seeds.PARTS], lambda d: _all(read_parts(d, Oddities()))),
    ([seeds.PARTS], lambda d: _all(read_parts([d], Oddities()))),
    (seeds.ERRORS, lambda d: _can_be_sent(read_error(d, Oddities()))),
    (seeds.AGENTS, lambda d: _all(read_agents([d], Oddities()))),
    (seeds.AUTH, _masked),
    (seeds.PROVIDERS, _models),
]


def opencode_json(data: bytes) -> None:
    """JSON that OpenCode answers: mapped as far as it can be, and nothing is raised."""
    chooser = Chooser(data)
    documents, read = chooser.pick(_READERS)
    read(changed_json(chooser, documents))


def opencode_events(data: bytes) -> None:
    """Bytes of OpenCode's event stream: the same events however they are cut, all of them whole."""
    chooser = Chooser(data)
    size = 1 + chooser.number(40)
    pieces = [changed_bytes(chooser, seeds.SSE) for _ in range(1 + chooser.number(3))]
    pieces.append(b"data: " + as_text(changed_json(chooser, seeds.EVENTS)).encode() + b"\n\n")
    stream = b"\n\n".join(pieces)
    whole, cut = SseParser(), SseParser()
    frames = list(whole.feed(stream))
    assert frames == [
        frame for at in range(0, len(stream), size) for frame in cut.feed(stream[at : at + size])
    ]
    reader = EventReader(EventMemory(), OddLog())
    for frame in frames:
        found = reader.read(frame)
        if found is not None:
            kind, properties, directory, identifier = found
            event = reader.event(kind, properties, directory, identifier)
            if event is not None:
                _can_be_sent(event.message)


def _unchunked(pieces: list[bytes]) -> tuple[bytes, bool] | None:
    chunks = Chunks()
    try:
        content = b"".join([chunks.feed(piece) for piece in pieces])
    except ValueError:
        return None
    return content, chunks.ended


def opencode_chunks(data: bytes) -> None:
    """A chunked body: the same content however it is cut, or refused however it is cut."""
    chooser = Chooser(data)
    size = 1 + chooser.number(9)
    stream = b"".join(changed_bytes(chooser, seeds.CHUNKS) for _ in range(1 + chooser.number(4)))
    cut = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert _unchunked([stream]) == _unchunked(cut)


def opencode_refusals(data: bytes) -> None:
    """Bodies of answers that are no success: some words can always be made of them."""
    chooser = Chooser(data)
    kind = chooser.pick(("application/json", "text/html", ""))
    body = changed_bytes(chooser, [b'{"name":"X","data":{"message":"m","ref":"r"}}', b"<html>"])
    refusal = opencode_errors.read_refusal(400 + chooser.number(200), kind, body)
    refusal.to_error(call="GET /x", base_url="http://127.0.0.1:1").message.encode()


def auth_file(data: bytes) -> None:
    """OpenCode's auth.json: credentials, or an error that does not quote it."""
    chooser = Chooser(data)
    text = changed_bytes(chooser, [as_text({"p": auth}).encode() for auth in seeds.AUTH])
    entries, said = {}, ""
    try:
        entries = read_auth_file({"OPENCODE_AUTH_CONTENT": text.decode("utf-8", "surrogateescape")})
    except BackendError as error:
        said = error.message
    assert KEY not in said
    for entry in entries.values():
        _masked(entry)


def ipc_config(data: bytes) -> None:
    """The JSON that says where a backend is: a config, or an error without the token."""
    chooser = Chooser(data)
    match chooser.number(3):
        case 0:
            document: Any = changed_bytes(chooser, [as_text(d).encode() for d in seeds.CONFIGS])
        case 1:
            document = as_text(changed_json(chooser, seeds.CONFIGS))
        case _:
            document = changed_json(chooser, seeds.CONFIGS)
    try:
        config = parse_config(document, source="the fuzzer")
        said = repr(config)
        right = 1024 <= config.port <= 65535
    except IpcConfigError as error:
        said = str(error) + repr(error)
        right = error.source == "the fuzzer"
    assert SECRET not in said
    assert right


def app_config(data: bytes) -> None:
    """The application's own JSON documents: what passes can be written, and read as it was."""
    chooser = Chooser(data)
    texts = [as_text(d).encode() for d in seeds.APP_CONFIGS]
    text = changed_bytes(chooser, texts).decode("utf-8", "surrogateescape")
    if chooser.number(2):
        text = as_text(changed_json(chooser, seeds.APP_CONFIGS))
    try:
        document = parse_json(text)
    except DocumentError as error:
        str(error).encode()
    else:
        written = to_json(document)
        written.encode()
        assert parse_json(written) == document


_FIELDS = [field.name for field in dataclasses.fields(IpcClientOptions)]
_TEXTS = ("1", "0", "-1", "1.5", "nan", "inf", "off", "none", "", "1e999", "1_0", "٣", "9" * 5000)


def _check_options(make: Callable[[], IpcClientOptions]) -> None:
    field = None
    try:
        options = make()
    except IpcConfigError as error:
        str(error).encode("utf-8", "backslashreplace")
        field = error.field or ""
    if field is not None:
        assert field
        return
    for name in _FIELDS:
        value = getattr(options, name)
        assert value is None or 0 < value < float("inf")


def environment_options(data: bytes) -> None:
    """Options from environment variables: usable, or refused by name."""
    chooser = Chooser(data)
    environ = {}
    for _ in range(1 + chooser.number(3)):
        text = chooser.pick(_TEXTS) if chooser.number(2) else chooser.rest().decode("latin-1")
        environ[f"OPENCODE_SYNC_{chooser.pick(_FIELDS).upper()}"] = text
    _check_options(lambda: IpcClientOptions.from_environment(environ))
    _check_options(
        lambda: IpcClientOptions(**{chooser.pick(_FIELDS): changed_json(chooser, [{"a": 1}])})
    )


class Files:
    """Files that a user writes: options in TOML, keys in ``.env``, the application's settings."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="opencode-sync-fuzz-")
        self._path = Path(self._folder.name) / "file"

    def __call__(self, data: bytes) -> None:
        chooser = Chooser(data)
        kind = chooser.number(3)
        if kind == 2:
            self._settings(chooser)
        elif kind == 1:
            names = [f"{name} = {text}\n".encode() for name in _FIELDS[:3] for text in _TEXTS[:9]]
            self._path.write_bytes(changed_bytes(chooser, [*seeds.TOML, *names]))
            _check_options(lambda: IpcClientOptions.from_toml(self._path))
        else:
            self._dotenv(chooser)

    def _settings(self, chooser: Chooser) -> None:
        self._path.unlink(missing_ok=True)
        store = AppConfigStore(self._path)
        text = as_text(changed_json(chooser, seeds.APP_CONFIGS))
        answer = store.update(text)
        assert answer.success or "nothing was changed" in answer.error
        assert answer.success == self._path.exists()
        again = store.update(store.get().app_config_json)
        assert again.success, again.error
        self._path.write_bytes(changed_bytes(chooser, [text.encode()]))
        try:
            _can_be_sent(store.get())
        except BackendError as error:
            error.message.encode()

    def _dotenv(self, chooser: Chooser) -> None:
        self._path.write_bytes(changed_bytes(chooser, seeds.DOTENV))
        try:
            values = read_dotenv(self._path)
            assert all(isinstance(value, str) for value in values.values())
            said = repr(values)
        except BackendError as error:
            said = error.message
        assert "sk-ant" not in said

    def close(self) -> None:
        self._folder.cleanup()
