"""OpenCode's message JSON becomes the schema's message, part by part and error by error."""

from __future__ import annotations

import base64
import json

import pytest
from google.protobuf import json_format, struct_pb2

from opencode_sync.gateway.backends.opencode.mapping.message_errors import (
    hide_secrets,
    read_error,
    without_secrets,
)
from opencode_sync.gateway.backends.opencode.mapping.messages import read_message, read_messages
from opencode_sync.gateway.backends.opencode.mapping.parts import read_part, read_parts
from opencode_sync.gateway.backends.opencode.mapping.struct import MAX_DEPTH, fill_struct
from opencode_sync.gateway.backends.opencode.mapping.tables import Oddities, fill
from opencode_sync.gateway.backends.opencode.mapping.tools import PERMISSION
from opencode_sync.wire import ext_types_pb2 as types_pb
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire import oc_message_error_pb2 as error_pb
from opencode_sync.wire import oc_message_part_pb2 as part_pb
from opencode_sync.wire import oc_message_pb2 as pb
from opencode_sync.wire import oc_tool_pb2 as tool_pb

IDS = {"id": "prt_1", "sessionID": "ses_1", "messageID": "msg_1"}
OURS = {"id": "prt_1", "session_id": "ses_1", "message_id": "msg_1"}
TOKENS = {
    "total": 120,
    "input": 60,
    "output": 15,
    "reasoning": 5,
    "cache": {"read": 40, "write": 0},
}


def part(kind, **fields):
    odd = Oddities()
    return read_part({**IDS, "type": kind, **fields}, odd), dict(odd)


def error(name, **data):
    odd = Oddities()
    return read_error({"name": name, "data": data}, odd), dict(odd)


def message(info, parts=()):
    odd = Oddities()
    return read_message({"info": info, "parts": list(parts)}, odd), dict(odd)


# Messages...


def test_an_assistants_message():
    info = {
        "id": "msg_2",
        "sessionID": "ses_1",
        "role": "assistant",
        "parentID": "msg_1",
        "mode": "build",
        "agent": "build",
        "path": {"cwd": "/p", "root": "/p"},
        "cost": 0.00012,
        "tokens": TOKENS,
        "modelID": "model-1",
        "providerID": "provider",
        "time": {"created": 1, "completed": 2},
        "finish": "stop",
        "summary": True,
        "structured": {"a": 1},
        "variant": "high",
    }
    parts = [
        {**IDS, "type": "text", "text": "Hello, "},
        {**IDS, "type": "text", "text": "not this", "synthetic": True},
        {**IDS, "type": "text", "text": "nor this", "ignored": True},
        {**IDS, "type": "text", "text": "you."},
    ]
    read, odd = message(info, parts)
    assert odd == {}
    answer = read.assistant
    assert len(answer.parts) == 4
    del answer.parts[:]
    assert answer == pb.OcAssistantMessage(
        id="msg_2",
        session_id="ses_1",
        role="assistant",
        model=pb.OcModelReference(model_id="model-1", provider_id="provider"),
        text="Hello, you.",
        tokens=pb.OcTokenUsage(input=60, output=15, cache_read=40, cache_write=0),
        cost=0.00012,
        parent_id="msg_1",
        created=1,
        completed=2,
        finish="stop",
        agent="build",
        usage=types_pb.IpcUsage(input=60, output=15, reasoning=5, cache_read=40),
        structured_json='{"a": 1}',
        summary=True,
    )


def test_a_message_that_is_being_written_has_no_end():
    read, odd = message({"id": "msg_2", "role": "assistant", "time": {"created": 1}})
    assert not read.assistant.HasField("completed")
    assert (read.assistant.finish, read.assistant.structured_json) == ("", "")
    assert odd == {}


def test_a_users_message():
    info = {
        "id": "msg_1",
        "sessionID": "ses_1",
        "role": "user",
        "time": {"created": 1},
        "summary": {"diffs": []},
        "agent": "build",
        "model": {"modelID": "m", "providerID": "p", "variant": "high"},
        "system": "be brief",
        "tools": {"bash": False},
        "format": {"type": "json_schema"},
    }
    read, odd = message(info, [{**IDS, "type": "text", "text": "hi"}])
    assert odd == {}
    assert (read.user.id, read.user.role, read.user.text) == ("msg_1", "user", "hi")
    assert read.user.model == pb.OcModelReference(model_id="m", provider_id="p")
    assert (read.user.created, read.user.agent, read.user.system) == (1, "build", "be brief")


def test_a_message_without_text_has_none():
    read, _ = message({"id": "msg_2", "role": "assistant"})
    assert not read.assistant.HasField("text")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"info": 1},
        {"info": {"id": "msg_1"}},
        {"info": {"role": "user"}},
        {"info": {"id": "msg_1", "role": "oracle"}},
    ],
)
def test_what_is_no_message(document):
    odd = Oddities()
    assert read_message(document, odd) is None
    assert read_messages([document], odd) == []
    assert odd["message"] == 1


def test_what_a_newer_opencode_may_send_is_passed_over_and_counted():
    info = {"id": "msg_2", "role": "assistant", "mood": "fine", "cost": "free", "error": "no"}
    parts = [
        {**IDS, "type": "hologram"},
        {**IDS, "type": 7},
        "text",
        {**IDS, "type": "text", "text": "ok", "font": "serif"},
    ]
    read, odd = message(info, parts)
    assert [each.WhichOneof("part") for each in read.assistant.parts] == ["text"]
    assert odd == {
        "assistant.mood": 1,
        "assistant.cost": 1,
        "assistant.error": 1,
        "part.type=hologram": 1,
        "part": 2,
        "part.text.font": 1,
    }


def test_tokens_that_are_odd():
    read, odd = message({"id": "msg_2", "role": "assistant", "tokens": {"input": 5, "cache": 7}})
    assert read.assistant.tokens == pb.OcTokenUsage(input=5)
    assert read.assistant.usage == types_pb.IpcUsage(input=5)
    assert odd == {"assistant.tokens.cache": 1}


def test_messages_in_their_order():
    odd = Oddities()
    documents = [
        {"info": {"id": "msg_1", "role": "user"}, "parts": {}},
        {"info": {"id": "msg_2", "role": "assistant"}},
    ]
    first, second = read_messages(documents, odd)
    assert (first.user.id, second.assistant.id) == ("msg_1", "msg_2")
    assert not first.user.HasField("text")
    assert odd == {"parts": 1}


def patch_of(parent, *diffs, summary=None):
    """Return the diff of a patch part whose prompt came with these changes."""
    summary = {"diffs": list(diffs)} if summary is None else summary
    documents = [
        {"info": {"id": "msg_1", "role": "user", "summary": summary}},
        {
            "info": {"id": "msg_2", "role": "assistant", "parentID": parent},
            "parts": [{**IDS, "type": "patch", "files": ["/p/a"]}],
        },
    ]
    return read_messages(documents, Oddities())[1].assistant.parts[0].patch.diff


def test_patches_get_the_changes_that_are_kept_with_their_prompt():
    change = {"file": "a", "patch": "@@ -1 +1 @@", "additions": 1, "deletions": 1}
    other = {"file": "b", "patch": "no"}
    assert patch_of("msg_1", change, other) == "@@ -1 +1 @@"
    assert patch_of("msg_0", change) == ""
    assert patch_of("msg_1", summary=True) == ""
    assert patch_of("msg_1", summary={"diffs": 7}) == ""


def test_a_result_that_is_nested_beyond_all_bounds_is_left_out():
    value = "core"
    for _ in range(100_000):
        value = [value]
    read, odd = message({"id": "msg_2", "role": "assistant", "structured": value})
    assert read.assistant.structured_json == ""
    assert odd == {"assistant.structured": 1}
    while value != "core":  # taken apart here, for the interpreter would do it recursively
        value = value[0]


def test_parts_that_are_no_list():
    odd = Oddities()
    assert read_parts({"type": "text"}, odd) == []
    assert odd == {"parts": 1}
    read, _ = message({"id": "msg_2", "role": "user"})
    assert list(read.user.parts) == []


# Parts...


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"type": "text", "text": "a", "synthetic": False, "time": {"start": 1}},
            part_pb.OcPart(text=part_pb.OcTextPart(**OURS, type="text", text="a", synthetic=False)),
        ),
        (
            {"type": "reasoning", "text": "hm", "time": {"start": 1, "end": 2}, "metadata": {}},
            part_pb.OcPart(reasoning=part_pb.OcReasoningPart(**OURS, type="reasoning", text="hm")),
        ),
        (
            {"type": "step-start", "snapshot": "aaea5d"},
            part_pb.OcPart(step_start=part_pb.OcStepStartPart(**OURS, type="step-start")),
        ),
        (
            {"type": "step-finish", "reason": "stop", "cost": 0.5, "tokens": TOKENS},
            part_pb.OcPart(
                step_finish=part_pb.OcStepFinishPart(
                    **OURS,
                    type="step-finish",
                    title="stop",
                    cost=0.5,
                    tokens=part_pb.OcTokenUsage(input=60, output=15, cache_read=40, cache_write=0),
                )
            ),
        ),
        (
            {"type": "patch", "hash": "aaea5d", "files": ["/p/a", "/p/b"]},
            part_pb.OcPart(patch=part_pb.OcPatchPart(**OURS, type="patch", path="/p/a\n/p/b")),
        ),
        (
            {"type": "snapshot", "snapshot": "aaea5d"},
            part_pb.OcPart(
                snapshot=part_pb.OcSnapshotPart(**OURS, type="snapshot", snapshot_id="aaea5d")
            ),
        ),
        (
            {"type": "agent", "name": "general", "source": {"value": "@general"}},
            part_pb.OcPart(agent=part_pb.OcAgentPart(**OURS, type="agent", agent_name="general")),
        ),
        (
            {"type": "compaction", "auto": True, "overflow": True, "tail_start_id": "msg_1"},
            part_pb.OcPart(compaction=part_pb.OcCompactionPart(**OURS, type="compaction")),
        ),
        (
            {"type": "subtask", "prompt": "p", "description": "d", "agent": "general"},
            part_pb.OcPart(subtask=part_pb.OcSubtaskPart(**OURS, type="subtask")),
        ),
        (
            {
                "type": "retry",
                "attempt": 1,
                "error": {"name": "APIError", "data": {"message": "busy"}},
                "time": {"created": 1},
            },
            part_pb.OcPart(retry=part_pb.OcRetryPart(**OURS, type="retry", error="busy")),
        ),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
def test_each_type_of_part(document, expected):
    odd = Oddities()
    assert read_part({**IDS, **document}, odd) == expected
    assert not odd


def test_a_retry_of_an_error_without_words():
    assert part("retry", error={"name": "APIError"})[0].retry.error == "APIError"
    assert part("retry", error={})[1] == {"part.retry.error": 1}
    assert part("retry", error="busy")[1] == {"part.retry.error": 1}


def test_a_patch_of_odd_files():
    read, odd = part("patch", files=["/p/a", 7])
    assert read.patch.path == "/p/a"
    assert odd == {"part.patch.files[]": 1}
    assert part("patch", files="/p/a")[1] == {"part.patch.files": 1}


DATA = "data:text/plain;base64," + base64.b64encode("Grüße".encode()).decode()


@pytest.mark.parametrize(
    ("fields", "path", "content"),
    [
        (
            {"url": "file:///p/a%20b.txt?start=1", "source": {"type": "file", "path": "a b.txt"}},
            "a b.txt",
            "",
        ),
        ({"url": "file:///p/a%20b.txt?start=1", "filename": "a"}, "/p/a b.txt", ""),
        ({"url": DATA, "filename": "a.txt"}, "a.txt", "Grüße"),
        ({"url": "data:,Hi%20there"}, "", "Hi there"),
        ({"url": "data:image/png;base64,iVBORw0KGgr/"}, "", "data:image/png;base64,iVBORw0KGgr/"),
        ({"url": "data:text/plain;base64,!!!"}, "", "data:text/plain;base64,!!!"),
        ({"url": "https://x.org/a.pdf"}, "https://x.org/a.pdf", ""),
        ({"url": "http://[broken"}, "http://[broken", ""),
        ({"url": 7, "source": "no"}, "", ""),
    ],
)
def test_a_file_is_where_it_lies_and_what_is_in_it(fields, path, content):
    read, odd = part("file", mime="text/plain", **fields)
    assert (read.file.path, read.file.content) == (path, content)
    assert odd == {}


# Tools...


def tool(state):
    read, odd = part("tool", callID="call_1", tool="bash", state=state, metadata={})
    return read.tool, odd


def test_a_tool_that_waits():
    read, odd = tool({"status": "pending", "input": {}, "raw": '{"comm'})
    assert (read.name, read.type, read.call_id) == ("bash", "tool", "call_1")
    assert (read.state.pending.status, read.state.pending.raw) == ("pending", '{"comm')
    assert odd == {}


def test_a_tool_that_runs():
    read, odd = tool(
        {
            "status": "running",
            "input": {"command": "sleep 1"},
            "title": "Sleeps",
            "metadata": {"output": ""},
            "time": {"start": 1795391943234},
        }
    )
    running = read.state.running
    assert running.input["command"] == "sleep 1"
    assert running.metadata["output"] == ""
    assert (running.title, running.time.start) == ("Sleeps", 1795391943234)
    assert odd == {}


def test_a_tool_that_is_done():
    read, odd = tool(
        {
            "status": "completed",
            "input": {"apiKey": "kept", "sessionID": "kept", "n": [1, {"x": None}, True, 1.5]},
            "output": "done",
            "title": "",
            "metadata": {"exit": 3},
            "time": {"start": 1, "end": 2, "compacted": 3},
            "attachments": [],
        }
    )
    done = read.state.completed
    assert json_format.MessageToDict(done.input) == {
        "apiKey": "kept",
        "sessionID": "kept",
        "n": [1, {"x": None}, True, 1.5],
    }
    assert (done.output, done.time.start, done.time.end) == ("done", 1, 2)
    assert done.metadata["exit"] == 3
    assert odd == {}


def test_a_tool_that_failed_has_all_that_the_schema_asks_for():
    read, odd = tool({"status": "error", "input": {}, "error": "no", "time": {"start": 1}})
    failed = read.state.error
    assert (failed.status, failed.error, failed.title) == ("error", "no", "")
    assert all(failed.HasField(field) for field in ("input", "metadata", "time"))
    assert odd == {}


@pytest.mark.parametrize("state", [None, "done", {}, {"status": "thinking"}, {"status": ["error"]}])
def test_a_tool_in_a_state_that_is_not_known_keeps_its_name(state):
    read, odd = tool(state)
    assert read.name == "bash"
    assert read.state.WhichOneof("state") is None
    assert odd == ({} if state is None else {"part.tool.state": 1})


# Permission questions...


def permission(document):
    odd = Oddities()
    request = tool_pb.OcPermissionRequest()
    fill(request, PERMISSION, document, odd, "permission")
    return request, dict(odd)


def test_a_permission_question():
    request, odd = permission(
        {
            "id": "per_1",
            "sessionID": "ses_1",
            "permission": "bash",
            "patterns": ["ls", "rm x"],
            "metadata": {"command": "ls; rm x"},
            "always": ["ls *"],
            "tool": {"messageID": "msg_1", "callID": "call_1"},
        }
    )
    assert odd == {}
    assert request == tool_pb.OcPermissionRequest(
        id="per_1",
        permission="bash",
        action="ls\nrm x",
        tool=tool_pb.OcPermissionToolContext(
            name="bash", input=json_format.ParseDict({"command": "ls; rm x"}, struct_pb2.Struct())
        ),
        patterns=["ls", "rm x"],
        always=["ls *"],
        message_id="msg_1",
        call_id="call_1",
    )


def test_a_permission_question_that_is_odd():
    request, odd = permission({"id": "per_1", "patterns": ["ls", 7], "always": "ls", "tool": 7})
    assert list(request.patterns) == ["ls"]
    assert odd == {"permission.patterns[]": 1, "permission.always": 1, "permission.tool": 1}


# Errors...


def test_an_error_of_the_models_server():
    body = json.dumps({"error": {"message": "too much", "code": "rate_limit"}})
    read, odd = error(
        "APIError",
        message="too much",
        statusCode=429,
        isRetryable=True,
        responseHeaders={"retry-after": "5"},
        responseBody=body,
        metadata={"url": "http://127.0.0.1/v1"},
    )
    assert (read.api.name, read.api.message, read.api.status) == ("APIError", "too much", 429)
    assert (read.api.code, read.api.cause) == ("rate_limit", body)
    assert read.api.headers["retry-after"] == "5"
    assert odd == {}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("no JSON", ""),
        ("[]", ""),
        ('{"error": "text"}', ""),
        ('{"error": {"code": null}}', ""),
        ('{"error": {"code": true}}', ""),
        ('{"error": {"code": 1302}}', "1302"),
    ],
)
def test_the_providers_own_code(body, code):
    read, _ = error("APIError", message="m", responseBody=body)
    assert read.api.code == code
    assert read.api.HasField("code") == bool(code)


def test_a_models_server_that_is_down_has_no_status():
    read, _ = error("APIError", message="Cannot connect to API", isRetryable=True)
    assert read.api.status == 0
    assert not read.api.HasField("cause")


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (
            "ProviderAuthError",
            {"providerID": "p", "message": "no key"},
            error_pb.OcMessageError(
                provider_auth=error_pb.OcProviderAuthError(
                    name="ProviderAuthError", message="no key", provider_id="p"
                )
            ),
        ),
        (
            "MessageOutputLengthError",
            {},
            error_pb.OcMessageError(
                output_length=error_pb.OcOutputLengthError(
                    name="MessageOutputLengthError",
                    message="the answer reached the model's limit of output tokens",
                )
            ),
        ),
        (
            "MessageAbortedError",
            {"message": "Aborted"},
            error_pb.OcMessageError(
                aborted=error_pb.OcAbortedError(name="MessageAbortedError", message="Aborted")
            ),
        ),
        (
            "UnknownError",
            {"message": "odd", "ref": "err_1"},
            error_pb.OcMessageError(
                unknown=error_pb.OcUnknownError(name="UnknownError", message="odd", cause="err_1")
            ),
        ),
        (
            "ContextOverflowError",
            {"message": "too long", "responseBody": "{}"},
            error_pb.OcMessageError(
                unknown=error_pb.OcUnknownError(
                    name="ContextOverflowError", message="too long", cause="{}"
                )
            ),
        ),
        (
            "StructuredOutputError",
            {"message": "no JSON", "retries": 2},
            error_pb.OcMessageError(
                unknown=error_pb.OcUnknownError(name="StructuredOutputError", message="no JSON")
            ),
        ),
        (
            "ContentFilterError",
            {"message": "blocked"},
            error_pb.OcMessageError(
                unknown=error_pb.OcUnknownError(name="ContentFilterError", message="blocked")
            ),
        ),
    ],
)
def test_each_name_of_an_error(name, data, expected):
    assert error(name, **data) == (expected, {})


def test_an_error_of_a_name_that_is_not_known_keeps_it():
    read, odd = error("QuotaError", message="all used", plan="free")
    assert read.unknown == error_pb.OcUnknownError(name="QuotaError", message="all used")
    assert odd == {"error.name=QuotaError": 1, "error.QuotaError.plan": 1}


def test_errors_that_are_odd():
    odd = Oddities()
    for document in (None, "", {}, []):
        assert read_error(document, odd) is None
    empty, counted = message({"id": "msg_2", "role": "assistant", "error": {}})
    assert not empty.assistant.HasField("error")
    assert counted == {"assistant.error": 1}
    assert read_error({"name": "UnknownError"}, odd).unknown.message == "UnknownError"
    assert not +odd
    assert read_error({"name": "UnknownError", "data": "no"}, odd).unknown.message
    assert odd["error.data"] == 1


@pytest.mark.parametrize(
    ("document", "name", "message"),
    [
        ("no", "UnknownError", "no"),
        ({"message": "no"}, "UnknownError", "no"),
        ({"name": 7, "data": {"message": "no"}}, "UnknownError", "no"),
        ({"name": "QuotaError", "message": "no"}, "QuotaError", "no"),
        ({"name": ""}, "UnknownError", "UnknownError"),
        ([7], "UnknownError", "UnknownError"),
    ],
)
def test_an_error_of_another_shape_is_one_all_the_same(document, name, message):
    odd = Oddities()
    read = read_error(document, odd).unknown
    assert (read.name, read.message) == (name, message)
    assert odd["error"] == 1


def test_a_providers_key_is_taken_out_of_its_own_words():
    read, _ = error(
        "APIError",
        message="wrong key sk-12345678",
        responseBody="sk-12345678 and sk-12345678",
        responseHeaders={"x-key": "sk-12345678", "x-number": 1},
    )
    hide_secrets(read, ["sk-12345678"])
    assert "sk-12345678" not in str(read)
    assert read.api.message == "wrong key [key]"
    assert read.api.headers["x-number"] == 1
    hide_secrets(error_pb.OcMessageError(), ["sk-12345678"])


def test_what_has_the_shape_of_a_key_is_masked():
    read, _ = error(
        "APIError",
        message="Incorrect API key provided: sk-proj-AbC_123456789.",
        responseBody='{"sent":"Bearer eyJhbGciOi.J9_x-y","key":"sk-12345678"}',
        responseHeaders={"x-authorization": "bearer abcdef0123456789", "x-id": "req_1"},
    )
    hide_secrets(read, [])
    assert read.api.message == "Incorrect API key provided: sk-[secret]."
    assert read.api.cause == '{"sent":"Bearer [secret]","key":"sk-[secret]"}'
    assert dict(read.api.headers) == {"x-authorization": "bearer [secret]", "x-id": "req_1"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer sk-0123456789", "Bearer sk-[secret]"),
        ("ghp_0123456789abcdef", "ghp_[secret]"),
        ("Bearer [key]", "Bearer [key]"),
        ("Bearer authentication is needed", "Bearer authentication is needed"),
        ("no bearer token.", "no bearer token."),
        ("Bearer abcdefghijklmnopqrstuvwxyz", "Bearer [secret]"),
        ("BEARER ABCDEFGH", "BEARER [secret]"),
        ("Bearer abc-def", "Bearer [secret]"),
        ("sk-short", "sk-short"),
        ("task-management-list risk-assessment", "task-management-list risk-assessment"),
        ("known sk-12345678 sk-87654321", "known [key] sk-[secret]"),
    ],
)
def test_words_are_left_as_they_are_and_keys_are_not(text, shown):
    assert without_secrets(text, ["sk-12345678"]) == shown
    assert without_secrets(shown, []) == shown


# Free JSON...


def test_numbers_that_a_struct_cannot_hold_are_carried_as_text():
    target = struct_pb2.Struct()
    words = fill_struct(
        target, json.loads('{"a": NaN, "b": -Infinity, "c": 1e999, "d": 1' + "0" * 400 + "}")
    )
    assert dict(target) == {"a": "NaN", "b": "-Infinity", "c": "Infinity", "d": "1" + "0" * 400}
    assert words == ["not finite"] * 3 + ["too large"]
    assert json_format.MessageToJson(target)


def test_whole_numbers_beyond_a_doubles_become_the_nearest_double():
    target = struct_pb2.Struct()
    assert fill_struct(target, {"n": 2**53 + 1, "m": 2**53}) == []
    assert (target["n"], target["m"]) == (float(2**53), float(2**53))


def nested(levels):
    value = "core"
    for _ in range(levels):
        value = {"a": [value]}
    return value


def test_what_is_nested_too_deep_is_carried_as_json_and_the_answer_stays_readable():
    odd = Oddities()
    state = {"status": "completed", "input": nested(300), "metadata": nested(10)}
    read = read_message(
        {
            "info": {"id": "msg_1", "role": "assistant"},
            "parts": [{**IDS, "type": "tool", "tool": "t", "state": state}],
        },
        odd,
    )
    answer = ipc_pb2.IpcServerMessage(request_id=2, send_message_response=read)
    again = ipc_pb2.IpcServerMessage.FromString(answer.SerializeToString())
    assert again == answer
    value = again.send_message_response.assistant.parts[0].tool.state.completed.input
    levels = 0
    while not isinstance(value, str):
        value = value[0] if isinstance(value, struct_pb2.ListValue) else value["a"]
        levels += 1
    assert levels == MAX_DEPTH
    assert json.loads(value) == nested(300 - MAX_DEPTH // 2)
    assert odd == {"part.tool.state.completed.input: too deep": 1}


def test_what_is_nested_beyond_all_bounds_is_left_out():
    value = "core"
    for _ in range(100_000):
        value = [value]
    target = struct_pb2.Struct()
    assert fill_struct(target, {"a": value}) == ["too deep"]
    while value != "core":  # taken apart here, for the interpreter would do it recursively
        value = value[0]


def test_half_of_a_surrogate_pair_is_replaced_in_keys_and_values():
    target = struct_pb2.Struct()
    fill_struct(target, {"\ud800": "\udfff!"})
    assert dict(target) == {"\ufffd": "\ufffd!"}
