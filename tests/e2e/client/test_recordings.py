"""A conversation with a real OpenCode is recorded, and takes place again without it."""

from __future__ import annotations

from pathlib import Path

from opencode_sync import IpcClient, IpcConfig
from opencode_sync.gateway import Gateway
from opencode_sync.testing import Recorder, replay
from opencode_sync.types import OcApiAuth, OcAuth

KEY = "key-of-the-tests-0123456789"


def program(client: IpcClient) -> list[object]:
    session = client.create_session("recorded")
    client.set_auth("groq", OcAuth(api=OcApiAuth(key=KEY)))
    with client.stream_prompt(session.id, "Hello there") as stream:
        text = "".join(stream.text_stream)
        result = stream.result()
    return [text, result.text, result.tokens, len(client.list_messages(session.id))]


def test_a_recording_of_a_real_opencode(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "conversation.json"
    config = IpcConfig(gateway.port, gateway.auth_token)
    with Recorder(path) as recorder, IpcClient(config, transport_factory=recorder) as client:
        recorded = program(client)
    text = path.read_text("utf-8")
    assert recorded[0] == recorded[1] != ""
    assert KEY not in text
    assert gateway.auth_token not in text
    with replay(path) as conversation, conversation.client() as client:
        assert program(client) == recorded
