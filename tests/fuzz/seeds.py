"""What the fuzzers start from: messages of the whole schema, and documents as OpenCode has them."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from opencode_sync.wire import ipc_pb2

_DEPTH = 6
_VARIANTS = 20
_VALUES: dict[int, Any] = {
    FieldDescriptor.CPPTYPE_STRING: "ses_1",
    FieldDescriptor.CPPTYPE_BOOL: True,
    FieldDescriptor.CPPTYPE_DOUBLE: 1.5,
    FieldDescriptor.CPPTYPE_FLOAT: 1.5,
    FieldDescriptor.CPPTYPE_ENUM: 1,
}


def _fill(message: Message, depth: int, variant: int) -> None:
    """Set every field, and of each oneof the one that the variant chooses."""
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and field is not oneof.fields[variant % len(oneof.fields)]:
            continue
        if field.message_type is not None:
            if depth and not field.message_type.GetOptions().map_entry:
                inner = getattr(message, field.name)
                if field.is_repeated:
                    inner = inner.add()
                inner.SetInParent()
                _fill(inner, depth - 1, variant)
            continue
        value = _value(field)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def _value(field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"\x08\x02\x1a\x00"
    if field.name.endswith("_json"):
        return '{"metadata": {"a": 1}}'
    return _VALUES.get(field.cpp_type, 7)


def _envelopes(kind: type[Message]) -> list[bytes]:
    """Messages of each payload: empty, and filled in with every alternative it has."""
    made: dict[bytes, None] = {}
    for number, field in enumerate(kind.DESCRIPTOR.oneofs_by_name["payload"].fields):
        for variant in range(-1, _VARIANTS):
            message = kind(request_id=2 + number % 8)
            payload = getattr(message, field.name)
            payload.SetInParent()
            if variant >= 0:
                _fill(payload, _DEPTH, variant)
            made[message.SerializeToString()] = None
    return list(made)


SERVER_MESSAGES = _envelopes(ipc_pb2.IpcServerMessage)
CLIENT_MESSAGES = _envelopes(ipc_pb2.IpcClientMessage)

_TIME = {"created": 1700000000000, "updated": 1700000001000}
_TOKENS = {"input": 1, "output": 2, "reasoning": 0, "cache": {"read": 0, "write": 0}}
_TOOL = {"id": "prt_2", "sessionID": "ses_1", "messageID": "msg_1", "type": "tool", "callID": "c"}

SESSIONS: list[Any] = [
    {
        "id": "ses_1",
        "projectID": "p",
        "directory": "/tmp",
        "parentID": "ses_0",
        "title": "one",
        "version": "1.0",
        "time": {**_TIME, "archived": 1},
        "summary": {"additions": 1, "deletions": 2, "files": 3, "diffs": [{"file": "a"}]},
        "share": {"url": "https://example.invalid"},
        "permission": [{"permission": "edit", "pattern": "*", "action": "ask"}],
        "revert": {"messageID": "msg_1", "partID": "prt_1", "snapshot": "s", "diff": "d"},
    }
]
PARTS: list[Any] = [
    {"id": "prt_1", "sessionID": "ses_1", "messageID": "msg_1", "type": "text", "text": "hi"},
    {"id": "prt_1", "type": "reasoning", "text": "hm", "time": {"start": 1, "end": 2}},
    {"id": "prt_1", "type": "file", "mime": "text/plain", "url": "data:text/plain,x"},
    {"id": "prt_1", "type": "step-finish", "reason": "stop", "cost": 0.1, "tokens": _TOKENS},
    {"id": "prt_1", "type": "step-start", "snapshot": "s"},
    {"id": "prt_1", "type": "patch", "hash": "h", "files": ["a"]},
    {"id": "prt_1", "type": "agent", "name": "build", "source": {"value": "@b", "start": 0}},
    {"id": "prt_1", "type": "retry", "attempt": 1, "error": {"name": "APIError", "data": {}}},
    {"id": "prt_1", "type": "subtask", "prompt": "p", "description": "d", "agent": "a"},
    {"id": "prt_1", "type": "compaction", "auto": True},
    {**_TOOL, "tool": "bash", "state": {"status": "pending", "input": {}, "raw": ""}},
    {
        **_TOOL,
        "tool": "bash",
        "state": {
            "status": "completed",
            "input": {"a": [1, {"b": None}]},
            "output": "x",
            "title": "t",
            "metadata": {"n": 1.5},
            "time": {"start": 1, "end": 2},
            "attachments": [{"id": "prt_3", "type": "file", "mime": "a/b", "url": "file:///a"}],
        },
    },
    {**_TOOL, "tool": "bash", "state": {"status": "error", "input": {}, "error": "no"}},
]
ERRORS: list[Any] = [
    {"name": "ProviderAuthError", "data": {"providerID": "p", "message": "m"}},
    {"name": "APIError", "data": {"message": "m", "statusCode": 429, "isRetryable": True}},
    {"name": "APIError", "data": {"message": "m", "responseBody": '{"error":{"code":"x"}}'}},
    {"name": "MessageOutputLengthError", "data": {}},
    {"name": "MessageAbortedError", "data": {"message": "m"}},
    {"name": "UnknownError", "data": {"message": "m"}},
]
MESSAGES: list[Any] = [
    {
        "info": {
            "id": "msg_1",
            "sessionID": "ses_1",
            "role": "assistant",
            "time": {"created": 1, "completed": 2},
            "parentID": "msg_0",
            "modelID": "m",
            "providerID": "p",
            "mode": "build",
            "path": {"cwd": "/", "root": "/"},
            "cost": 0.5,
            "tokens": _TOKENS,
            "finish": "stop",
            "error": ERRORS[1],
        },
        "parts": PARTS,
    },
    {
        "info": {
            "id": "msg_0",
            "sessionID": "ses_1",
            "role": "user",
            "time": {"created": 1},
            "agent": "build",
            "model": {"providerID": "p", "modelID": "m"},
            "summary": {"title": "t", "diffs": [{"file": "a", "additions": 1}]},
        },
        "parts": PARTS[:3],
    },
]
AGENTS: list[Any] = [
    {
        "name": "build",
        "description": "d",
        "mode": "primary",
        "native": True,
        "permission": [{"permission": "*", "pattern": "*", "action": "allow"}],
        "model": {"providerID": "p", "modelID": "m"},
        "tools": {"bash": True},
        "options": {"a": 1},
        "temperature": 0.5,
    }
]
AUTH: list[Any] = [
    {"type": "api", "key": "sk-secret-0123456789"},
    {"type": "oauth", "refresh": "r", "access": "a", "expires": 1, "enterpriseUrl": "u"},
    {"type": "wellknown", "key": "K", "token": "t"},
]
PROVIDERS: list[Any] = [
    {
        "providers": [
            {
                "id": "p",
                "name": "P",
                "source": "env",
                "env": ["P_KEY"],
                "key": "sk-secret-0123456789",
                "options": {"apiKey": "sk-secret-0123456789"},
                "models": {
                    "m": {
                        "id": "m",
                        "name": "M",
                        "providerID": "p",
                        "api": {"id": "m", "url": "https://u:sk-secret-0123456789@x", "npm": "n"},
                        "cost": {"input": 1, "output": 2, "cache": {"read": 0, "write": 0}},
                        "limit": {"context": 1000, "output": 100},
                        "capabilities": {"toolcall": True, "input": {"text": True}},
                        "status": "active",
                        "headers": {"Authorization": "Bearer sk-secret-0123456789"},
                        "options": {"apiKey": "sk-secret-0123456789", "n": [1, {}]},
                        "variants": {"high": {"effort": "high"}},
                    }
                },
            }
        ],
        "default": {"p": "m"},
        "connected": ["p"],
    }
]


def _event(kind: str, **properties: Any) -> dict[str, Any]:
    return {"directory": "/tmp", "payload": {"id": "e", "type": kind, "properties": properties}}


EVENTS: list[Any] = [
    _event("server.connected"),
    _event("session.updated", info=SESSIONS[0]),
    _event("session.deleted", info=SESSIONS[0]),
    _event("session.status", sessionID="ses_1", status={"type": "retry", "attempt": 1, "next": 2}),
    _event("session.idle", sessionID="ses_1"),
    _event("session.error", sessionID="ses_1", error=ERRORS[0]),
    _event("message.updated", info=MESSAGES[0]["info"]),
    _event("message.removed", sessionID="ses_1", messageID="msg_1"),
    *(_event("message.part.updated", part=part, delta="x") for part in PARTS),
    _event("message.part.delta", sessionID="ses_1", messageID="msg_1", partID="prt_1", delta="x"),
    _event("permission.asked", id="per_1", sessionID="ses_1", permission="edit", patterns=["*"]),
    _event("question.asked", id="que_1", sessionID="ses_1", questions=[{"question": "q"}]),
    _event("todo.updated", sessionID="ses_1", todos=[{"content": "c", "status": "s", "id": "1"}]),
]

CONFIGS: list[Any] = [
    {"port": 4096, "auth_token": "tok-9f8e7d6c5b4a-shibboleth"},
    {"port": 65535, "auth_token": "tok-9f8e7d6c5b4a-shibboleth", "host": "::1", "pid": 7},
]
APP_CONFIGS: list[Any] = [
    {"version": 1},
    {
        "version": 1,
        "server": {"last_opencode_url": "http://127.0.0.1:1", "auto_start": True},
        "ui": {"font_size": "medium", "theme": "dark"},
        "audio": {"push_to_talk_key": "x"},
    },
]
TOML: list[bytes] = [
    b"[opencode_sync]\ndefault_request_timeout = 5\nping_interval = 'off'\n",
    b"max_message_size = 1000\nping_timeout = 1.5\n",
    b"[opencode_sync.deep]\nx = [1, {a = 1}]\n",
]
DOTENV: list[bytes] = [
    b"ANTHROPIC_API_KEY=sk-ant-0123456789abcdef\nexport X='a b'\n# c\n",
    b'A="x\\n${B}"\nB\n=c\nA=2\n',
]
UPGRADE: list[bytes] = [
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n\x82\x01a",
    b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nSet-Cookie: a=b\r\n\r\n",
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nno!!",
    b"HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
]
SSE: list[bytes] = [
    *(b"data: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS),
    b": comment\r\nevent: x\r\ndata: a\r\ndata: b\r\n\r\n",
    b"\xef\xbb\xbfdata:x\r\rdata\n\n",
]
CHUNKS: list[bytes] = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"A;extension=1\r\n0123456789\r\n",
    b"0\r\nTrailer: x\r\n\r\n",
    b"fffffffffffffff\r\n",
    b"1\na\n",
]

# A server's answer to a subscription, up to its body.
SSE_HEADS: list[bytes] = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: "
    + b"9" * 5000
    + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    b'\r\n1c\r\n{"name":"NotFoundError","data":{}}\r\n0\r\n\r\n',
    b"HTTP/1.1 500 Oh\r\nX: " + b"x" * 70000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n folded\r\nno colon\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
]

# Of a run whose prompt is "msg_OURS", in session "ses_1" with "ses_2" below it.
_ANSWER = {
    **MESSAGES[0]["info"],
    "id": "msg_2",
    "parentID": "msg_OURS",
    "time": {"created": 1, "completed": 2},
}
_ANSWER.pop("error")
RUN_MESSAGES: list[Any] = [
    {
        "info": {**MESSAGES[1]["info"], "id": "msg_OURS"},
        "parts": [{**PARTS[0], "messageID": "msg_OURS"}],
    },
    {"info": _ANSWER, "parts": [{**part, "messageID": "msg_2"} for part in PARTS]},
    *(
        {"info": {**_ANSWER, "id": each, "finish": "unknown"}, "parts": []}
        for each in ("msg_4", "msg_5", "msg_6")
    ),
    {"info": {**_ANSWER, "finish": "tool-calls"}, "parts": [PARTS[-1]]},
    {"info": {**_ANSWER, "structured": {"a": 1}}, "parts": []},
    {"info": {**_ANSWER, "finish": None, "error": ERRORS[4]}, "parts": []},
    {"info": {**_ANSWER, "id": "msg_3", "error": ERRORS[0]}, "parts": []},
    {"info": {**_ANSWER, "parentID": "msg_other"}, "parts": PARTS},
    {
        "info": {**_ANSWER, "finish": "\ud800", "structured": {"\ud800": "\ud800"}},
        "parts": [{**PARTS[0], "messageID": "msg_2", "text": "\ud800"}],
    },
    {"info": {**_ANSWER, "error": {"name": "\ud800", "data": {"message": "\ud800"}}}, "parts": []},
]
_CHILD = {**SESSIONS[0], "id": "ses_2", "parentID": "ses_1"}
_DELTA = {"messageID": "msg_2", "partID": "prt_1", "field": "text", "delta": "h"}
RUN_EVENTS: list[Any] = [
    *(
        _event("message.updated", sessionID="ses_1", info={**each["info"], "sessionID": "ses_1"})
        for each in RUN_MESSAGES
    ),
    *(
        _event("message.part.updated", sessionID="ses_1", part={**part, "messageID": "msg_2"})
        for part in PARTS[:4]
    ),
    _event("message.part.updated", part={**PARTS[0], "messageID": "msg_OURS"}),
    _event("message.part.delta", sessionID="ses_1", **_DELTA),
    _event("message.part.delta", sessionID="ses_2", **_DELTA),
    _event("message.part.updated", part={**PARTS[0], "messageID": "msg_unheard"}),
    *(_event("session.status", sessionID="ses_1", status={"type": t}) for t in ("idle", "busy")),
    _event("session.status", sessionID="ses_1", status={"type": "retry", "attempt": 1, "next": 2}),
    _event("session.idle", sessionID="ses_1"),
    _event("session.error", sessionID="ses_1", error=ERRORS[0]),
    _event("session.created", info=_CHILD),
    _event("session.deleted", info=SESSIONS[0]),
    _event("session.compacted", sessionID="ses_1"),
    _event("permission.asked", id="per_1", sessionID="ses_1", permission="edit", patterns=["*"]),
    _event("permission.asked", id="per_2", sessionID="ses_2", permission="bash"),
    _event("permission.asked", id="\ud800", sessionID="ses_1", permission="bash"),
    _event("message.part.updated", part={**PARTS[0], "id": "\ud800", "messageID": "\ud800"}),
    _event("permission.replied", sessionID="ses_1", requestID="per_1", reply="reject"),
    _event("question.asked", id="que_1", sessionID="ses_1", questions=[{"question": "q"}]),
    _event("question.rejected", sessionID="ses_1", requestID="que_1"),
    _event("todo.updated", sessionID="ses_1", todos=[]),
]
