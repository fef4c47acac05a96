"""OpenCode's events as the schema's messages: each type, odd ones, and what has to stay hidden."""

from __future__ import annotations

import json
import threading
import time

import pytest

from opencode_sync.gateway.backends.opencode.events.memory import EventMemory, Recent
from opencode_sync.gateway.backends.opencode.events.reader import (
    RESUBSCRIBED,
    EventReader,
    OddLog,
    OpenCodeEvent,
    resubscribed_event,
)
from opencode_sync.gateway.backends.opencode.events.secrets import (
    HIDDEN,
    Secrets,
    has_providers_words,
)
from opencode_sync.gateway.backends.opencode.mapping.tables import Oddities
from opencode_sync.wire import oc_tool_pb2

DIRECTORY = "/home/ana/shop"
SESSION = "ses_dfa50abb5ffeiSZ6W89uXF7NlR"
MESSAGE = "msg_205af54600011aXg1Kpa9Av4Y4"
KEY = "sk-0123456789abcdef"


class Reading:
    """A reader with what it writes to."""

    def __init__(self) -> None:
        self.memory = EventMemory()
        self.odd_log = OddLog()
        self.reader = EventReader(self.memory, self.odd_log)

    def __call__(self, kind, properties, *, directory=DIRECTORY, **options):
        return self.reader.event(kind, properties, directory, **options)

    def message(self, kind, **properties):
        return self(kind, properties).message

    @property
    def odd(self):
        return dict(self.odd_log.counts)


@pytest.fixture
def reading():
    return Reading()


def text_part(**fields):
    return {"id": "prt_1", "sessionID": SESSION, "messageID": MESSAGE, "type": "text", **fields}


# Frames...


def test_a_frame_is_type_properties_directory_and_id(reading):
    payload = {"id": "evt_1", "type": "session.idle", "properties": {"sessionID": SESSION}}
    frame = json.dumps({"directory": DIRECTORY, "project": "p", "payload": payload})
    expected = ("session.idle", {"sessionID": SESSION}, DIRECTORY, "evt_1")
    assert reading.reader.read(frame) == expected


def test_the_second_copy_of_an_event_is_passed_over(reading):
    frame = {"directory": DIRECTORY, "payload": {"type": "sync", "syncEvent": {}}}
    assert reading.reader.read(json.dumps(frame)) is None
    assert reading.odd == {}


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[" * 100_000,
        "7",
        "[]",
        "{}",
        '{"payload": 1}',
        '{"payload": {}}',
        '{"payload": {"type": 1}}',
        '{"payload": {"type": ""}}',
    ],
    ids=lambda frame: frame[:30] or "empty",
)
def test_what_is_no_event_is_counted(reading, frame):
    assert reading.reader.read(frame) is None
    assert sum(reading.odd.values()) == 1


def test_odd_fields_around_an_event_do_not_matter(reading):
    frame = {"directory": 7, "payload": {"type": "new.kind", "id": None, "properties": [1]}}
    assert reading.reader.read(json.dumps(frame)) == ("new.kind", {}, "", "")
    assert reading.odd == {"new.kind: properties": 1}
    assert reading.reader.read('{"payload": {"type": "new.kind"}}') == ("new.kind", {}, "", "")


def test_numbers_that_are_no_json_become_text(reading):
    kind, properties, *_ = reading.reader.read(
        '{"payload": {"type": "x", "properties": {"n": NaN, "i": -Infinity}}}'
    )
    assert json.loads(reading(kind, properties).message.properties_json) == {
        "n": "NaN",
        "i": "-Infinity",
    }


# What an event is about...


@pytest.mark.parametrize(
    ("kind", "properties", "expected"),
    [
        ("session.idle", {"sessionID": "ses_1"}, "ses_1"),
        ("session.updated", {"info": {"id": "ses_1"}}, "ses_1"),
        ("session.created", {"sessionID": "ses_1", "info": {"id": "ses_2"}}, "ses_1"),
        ("message.updated", {"info": {"id": "msg_1", "sessionID": "ses_1"}}, "ses_1"),
        ("message.updated", {"info": {"id": "msg_1"}}, ""),
        ("message.part.updated", {"part": {"sessionID": "ses_1"}}, "ses_1"),
        ("plugin.added", {"id": "x"}, ""),
        ("session.idle", {"sessionID": 7, "info": [], "part": None}, ""),
    ],
)
def test_the_session_is_found_wherever_it_is_named(reading, kind, properties, expected):
    event = reading(kind, properties)
    assert (event.session_id, event.message.session_id) == (expected, expected)


def test_every_event_carries_its_frame(reading):
    event = reading("todo.updated", {"sessionID": SESSION, "todos": [{"ä": 1}]}, id="evt_7")
    message = event.message
    assert (message.type, message.directory, message.id) == ("todo.updated", DIRECTORY, "evt_7")
    assert json.loads(message.properties_json) == event.properties
    assert not message.replayed
    assert event.message is message  # mapped once
    assert repr(event) == f"<OpenCodeEvent todo.updated of '{SESSION}'>"


def test_what_was_read_again_says_so(reading):
    event = reading("session.idle", {"sessionID": SESSION}, replayed=True)
    assert (event.replayed, event.message.replayed) == (True, True)


def test_the_gateways_own_event():
    message = resubscribed_event()
    assert (message.type, message.properties_json) == (RESUBSCRIBED, "{}")


# The types that the reference schema has...


def test_message_updated(reading):
    info = {
        "id": MESSAGE,
        "role": "user",
        "sessionID": SESSION,
        "time": {"created": 1795391706209},
        "agent": "build",
        "model": {"providerID": "stub", "modelID": "stub-1"},
    }
    event = reading.message("message.updated", sessionID=SESSION, info=info).event.message_updated
    assert (event.type, event.session_id) == ("message.updated", SESSION)
    assert (event.message.user.id, event.message.user.model.model_id) == (MESSAGE, "stub-1")
    assert list(event.message.user.parts) == []
    assert reading.odd == {}


def test_message_removed(reading):
    message = reading.message("message.removed", sessionID=SESSION, messageID=MESSAGE)
    event = message.event.message_removed
    assert (event.type, event.session_id, event.message_id) == (
        "message.removed",
        SESSION,
        MESSAGE,
    )


def test_part_updated(reading):
    message = reading.message(
        "message.part.updated", sessionID=SESSION, part=text_part(text="Hello"), time=1
    )
    event = message.event.message_part_updated
    assert (event.session_id, event.message_id) == (SESSION, MESSAGE)
    assert (event.part.text.id, event.part.text.text) == ("prt_1", "Hello")
    assert reading.odd == {}


def test_a_part_of_a_new_type_is_carried_by_its_json(reading):
    part = text_part(type="hologram")
    message = reading.message("message.part.updated", sessionID=SESSION, part=part)
    assert message.event.message_part_updated.message_id == MESSAGE
    assert not message.event.message_part_updated.HasField("part")
    assert json.loads(message.properties_json)["part"] == part
    assert reading.odd == {"part.type=hologram": 1}


def test_part_removed(reading):
    message = reading.message(
        "message.part.removed", sessionID=SESSION, messageID=MESSAGE, partID="prt_1"
    )
    event = message.event.message_part_removed
    assert (event.session_id, event.message_id, event.part_id) == (SESSION, MESSAGE, "prt_1")


@pytest.mark.parametrize("kind", ["session.created", "session.updated"])
def test_session_created_and_updated(reading, kind):
    message = reading.message(kind, sessionID=SESSION, info={"id": SESSION, "title": "Shop"})
    event = getattr(message.event, kind.replace(".", "_"))
    assert (event.type, event.session.id, event.session.title) == (kind, SESSION, "Shop")


def test_session_deleted(reading):
    message = reading.message("session.deleted", sessionID=SESSION, info={"id": SESSION})
    assert message.event.session_deleted.session_id == SESSION
    assert reading.odd == {}


def test_permission_asked(reading):
    before = int(time.time() * 1000)
    message = reading.message(
        "permission.asked",
        id="per_1",
        sessionID=SESSION,
        permission="bash",
        patterns=["echo a", "echo b"],
        metadata={"command": "echo a; echo b"},
        always=["echo *"],
        tool={"messageID": MESSAGE, "callID": "call_1"},
    )
    event = message.event.permission_asked
    request = event.request
    assert (event.session_id, request.id, request.permission) == (SESSION, "per_1", "bash")
    assert (request.action, list(request.patterns)) == ("echo a\necho b", ["echo a", "echo b"])
    assert list(request.always) == ["echo *"]
    assert (request.tool.name, request.tool.input["command"]) == ("bash", "echo a; echo b")
    assert (request.message_id, request.call_id) == (MESSAGE, "call_1")
    assert before <= request.timestamp <= time.time() * 1000
    assert reading.odd == {}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("once", oc_tool_pb2.ALLOW),
        ("always", oc_tool_pb2.ALLOW_ALL),
        ("reject", oc_tool_pb2.DENY),
    ],
)
def test_permission_replied(reading, reply, expected):
    message = reading.message(
        "permission.replied", sessionID=SESSION, requestID="per_1", reply=reply
    )
    event = message.event.permission_replied
    assert (event.session_id, event.request_id, event.reply) == (SESSION, "per_1", expected)


# The status...


def test_an_idle_session(reading):
    message = reading.message("session.status", sessionID=SESSION, status={"type": "idle"})
    event = message.event.session_status
    assert (event.type, event.session_id) == ("session.status", SESSION)
    assert event.status.idle.status == "idle"


def test_a_busy_session_names_the_message_that_is_being_written(reading):
    busy = {"sessionID": SESSION, "status": {"type": "busy"}}
    user = {"id": "msg_0", "sessionID": SESSION, "role": "user"}
    reading("message.updated", {"sessionID": SESSION, "info": user})
    event = reading("session.status", busy).message.event.session_status
    assert (event.status.thinking.status, event.status.thinking.message_id) == ("thinking", "")
    answer = {"id": MESSAGE, "sessionID": SESSION, "role": "assistant"}
    reading("message.updated", {"sessionID": SESSION, "info": answer})
    reading("message.updated", {"sessionID": SESSION, "info": user})
    reading("message.updated", {"sessionID": SESSION, "info": {**answer, "id": 7}})
    event = reading("session.status", busy).message.event.session_status
    assert event.status.thinking.message_id == MESSAGE


def test_a_retry(reading):
    status = {"type": "retry", "attempt": 2, "message": "overloaded", "next": 1795391992190}
    message = reading.message("session.status", sessionID=SESSION, status=status)
    assert message.WhichOneof("detail") == "retry"
    retry = message.retry
    assert (retry.session_id, retry.attempt, retry.message) == (SESSION, 2, "overloaded")
    assert retry.next_at == 1795391992190
    assert not message.HasField("event")
    assert reading.odd == {}


@pytest.mark.parametrize("status", [{"type": "dreaming"}, {}, None, "busy"])
def test_a_status_of_a_new_type_is_carried_by_its_json(reading, status):
    message = reading.message("session.status", sessionID=SESSION, status=status)
    assert not message.HasField("event")
    assert message.WhichOneof("detail") is None
    assert json.loads(message.properties_json)["status"] == status
    assert reading.odd == {"session.status.type": 1}


# The types that only this project's schema has...


def delta(**fields):
    return {
        "sessionID": SESSION,
        "messageID": MESSAGE,
        "partID": "prt_1",
        "field": "text",
        "delta": "Hel",
        **fields,
    }


@pytest.mark.parametrize("kind", ["text", "reasoning"])
def test_a_delta_knows_what_its_part_is(reading, kind):
    reading("message.part.updated", {"part": text_part(type=kind, text="")})
    message = reading("message.part.delta", delta()).message
    assert message.WhichOneof("detail") == "delta"
    found = message.delta
    assert (found.session_id, found.message_id, found.part_id) == (SESSION, MESSAGE, "prt_1")
    assert (found.part_type, found.text) == (kind, "Hel")
    assert message.properties_json == ""
    assert not message.HasField("event")
    assert reading.odd == {}


def test_a_delta_of_an_unknown_part_has_no_part_type(reading):
    reading("message.part.updated", {"part": text_part(type="tool")})
    reading("message.part.updated", {"part": text_part(id=7)})
    reading("message.part.updated", {"part": None})
    assert reading("message.part.delta", delta()).message.delta.part_type == ""
    assert reading("message.part.delta", delta(partID=None)).message.delta.text == "Hel"


def test_a_delta_of_something_else_than_text_is_carried_by_its_json(reading):
    message = reading("message.part.delta", delta(field="state.raw")).message
    assert message.WhichOneof("detail") is None
    assert json.loads(message.properties_json)["delta"] == "Hel"
    assert reading.odd == {"message.part.delta.field": 1}


def test_deltas_of_a_part_that_was_read_again_whole_are_old_news(reading):
    whole = {"part": text_part(text="Hello", time={"start": 1, "end": 2})}
    begun = {"part": text_part(id="prt_2", text="", time={"start": 1})}
    odd = {"part": text_part(id="prt_3", text="", time=7)}
    for properties in (whole, begun, odd):
        reading("message.part.updated", properties, replayed=True)
    assert reading("message.part.delta", delta()) is None
    for part_id in ("prt_2", "prt_3"):
        assert reading("message.part.delta", delta(partID=part_id)) is not None
    reading.memory.begin()
    assert reading("message.part.delta", delta()) is not None


def test_session_error(reading):
    error = {"name": "APIError", "data": {"message": "no", "statusCode": 401, "isRetryable": False}}
    message = reading.message("session.error", sessionID=SESSION, error=error)
    assert message.WhichOneof("detail") == "session_error"
    assert message.session_error.session_id == SESSION
    assert (message.session_error.error.api.message, message.session_error.error.api.status) == (
        "no",
        401,
    )
    assert reading.message("session.error").WhichOneof("detail") == "session_error"


def test_question_asked(reading):
    option = {"label": "A", "description": "first"}
    first = {"question": "Which?", "header": "Pick", "options": [option]}
    message = reading.message(
        "question.asked",
        id="que_1",
        sessionID=SESSION,
        questions=[first, {**first, "multiple": True, "custom": False}, 7],
        tool={"messageID": MESSAGE, "callID": "call_1"},
    )
    question = message.question
    assert (question.id, question.session_id) == ("que_1", SESSION)
    assert (question.message_id, question.call_id) == (MESSAGE, "call_1")
    assert [(item.header, item.question) for item in question.items] == [("Pick", "Which?")] * 2
    assert (question.items[0].options[0].label, question.items[0].options[0].description) == (
        "A",
        "first",
    )
    # OpenCode takes answers that are no option unless it says otherwise.
    assert [(item.multiple, item.custom) for item in question.items] == [
        (False, True),
        (True, False),
    ]
    assert reading.odd == {"question.asked.questions[]": 1}


# What is odd...


@pytest.mark.parametrize(
    "kind",
    [
        "message.updated",
        "message.removed",
        "message.part.updated",
        "message.part.removed",
        "message.part.delta",
        "session.created",
        "session.updated",
        "session.deleted",
        "session.status",
        "session.error",
        "permission.asked",
        "permission.replied",
        "question.asked",
        "session.next.text.delta",
    ],
)
@pytest.mark.parametrize("value", [7, "x", [7], {"x": 7}, None, True, "\ud800"])
def test_no_value_makes_an_event_fail(reading, kind, value):
    keys = "sessionID info part messageID partID status error id permission patterns metadata"
    keys += " always tool requestID reply questions delta field text time new"
    message = reading(kind, dict.fromkeys(keys.split(), value)).message
    assert message.type == kind
    assert message.SerializeToString()


def test_what_is_nested_too_deep_is_left_out(reading, monkeypatch):
    def give_up(*args, **options):
        raise RecursionError

    monkeypatch.setattr("opencode_sync.gateway.backends.opencode.events.reader.json.dumps", give_up)
    assert reading.message("x.y", a=1).properties_json == "{}"
    assert reading.odd == {"x.y: too deep": 1}


def test_an_event_without_a_log_may_be_odd():
    assert OpenCodeEvent("session.created", {"new": 1}).message.type == "session.created"


def test_oddities_are_counted_and_the_list_of_them_is_bounded():
    log = OddLog()
    for number in range(2000):
        log.note(Oddities({f"path {number}": 1, "often": 2, "never": 0}))
    assert log.counts["often"] == 4000
    assert len(log.counts) == 1000


# Memory...


def test_the_newest_are_kept():
    recent = Recent(2)
    for key in "abac":
        recent.put(key, key.upper())
    assert recent.items() == [("c", "C"), ("a", "A")]
    assert (recent.get("a"), recent.get("b")) == ("A", None)
    recent.drop("a")
    recent.drop("a")
    assert recent.items() == [("c", "C")]


def test_the_folder_of_a_question_is_remembered(reading):
    reading("question.asked", {"id": "que_1", "sessionID": SESSION})
    reading("permission.asked", {"id": "per_1", "sessionID": SESSION}, directory="/other")
    reading("permission.asked", {"id": None})
    memory = reading.memory
    assert memory.directory_of_question("que_1") == DIRECTORY
    assert memory.directory_of_question("per_1") == "/other"
    assert memory.directory_of_question("que_2") is None
    memory.begin()
    assert memory.directory_of_question("que_1") == DIRECTORY


def test_folders_and_sessions_are_remembered(reading):
    memory = reading.memory
    reading("session.status", {"sessionID": "ses_1", "status": {"type": "busy"}})
    reading("project.updated", {}, directory="global")
    reading("session.status", {"sessionID": "ses_2", "status": {"type": "retry"}}, directory="/b")
    reading("session.status", {"sessionID": "ses_3", "status": 7}, directory="")
    assert memory.directories() == ["/b", DIRECTORY]
    assert [(key, seen.directory, seen.busy) for key, seen in memory.sessions()] == [
        ("ses_3", "", False),
        ("ses_2", "/b", True),
        ("ses_1", DIRECTORY, True),
    ]
    reading("session.idle", {"sessionID": "ses_2"})
    reading("session.deleted", {"sessionID": "ses_1"})
    assert [(key, seen.busy) for key, seen in memory.sessions()] == [
        ("ses_2", False),
        ("ses_3", False),
    ]
    live = dict(memory.sessions())["ses_2"].at
    reading("session.idle", {"sessionID": "ses_2"}, replayed=True)
    assert dict(memory.sessions())["ses_2"].at == live


# Secrets...


def error(words):
    return {"name": "APIError", "providerID": KEY, "data": {"message": words, "list": [words, 7]}}


def test_keys_are_taken_out_of_what_providers_say():
    secrets = Secrets()
    secrets.hide([KEY, KEY + "-longer", "short"])
    for kind, properties in [
        ("session.error", {"error": error(f"no: {KEY}-longer, {KEY}, short")}),
        ("session.status", {"status": {"type": "retry", "message": f"no: {KEY}"}}),
        ("message.updated", {"info": {"error": error(KEY), "id": "msg_1"}}),
        ("message.part.updated", {"part": {"type": "retry", "error": error(KEY)}}),
        ("new.kind", {"words": KEY}),
    ]:
        original = json.dumps(properties)
        cleaned = secrets.clean(kind, properties)
        assert json.dumps(properties) == original
        assert HIDDEN in json.dumps(cleaned)
        assert KEY not in json.dumps(cleaned).replace(f'"providerID": "{KEY}"', "")
    assert "short" in json.dumps(secrets.clean("session.error", {"error": error("short")}))


def test_what_has_the_shape_of_a_key_is_masked_in_what_providers_say_alone():
    secrets = Secrets()
    failed = secrets.clean("session.error", {"error": error(KEY)})["error"]
    assert failed["data"] == {"message": "sk-[secret]", "list": ["sk-[secret]", 7]}
    said = {"part": text_part(text=KEY)}
    assert secrets.clean("message.part.updated", said) is said


def test_the_conversation_and_names_are_left_as_they_are():
    secrets = Secrets()
    untouched = {"info": {"text": KEY}}
    assert secrets.clean("message.updated", untouched) is untouched
    secrets.hide(["lm-studio"])
    for kind, properties in [
        ("message.part.delta", delta(delta="use lm-studio")),
        ("message.part.updated", {"part": text_part(text="use lm-studio")}),
        ("permission.asked", {"patterns": ["ls lm-studio"]}),
        ("session.next.text.delta", {"delta": "lm-studio"}),
    ]:
        assert secrets.clean(kind, properties) is properties
    failed = {"info": {"providerID": "lm-studio", "text": "lm-studio", "error": error("lm-studio")}}
    info = secrets.clean("message.updated", failed)["info"]
    assert (info["providerID"], info["text"]) == ("lm-studio", "lm-studio")
    assert info["error"]["data"] == {"message": HIDDEN, "list": [HIDDEN, 7]}


def test_what_is_nested_too_deep_is_hidden_whole():
    deep: dict[str, object] = {"x": KEY}
    for _ in range(100):
        deep = {"x": [deep]}
    secrets = Secrets()
    secrets.hide([KEY])
    assert KEY not in json.dumps(secrets.clean("new.kind", deep))
    within = secrets.clean("message.updated", {"info": {"error": error(KEY)}, "deep": deep})
    assert KEY not in json.dumps(within["info"]["error"]["data"])
    assert within["deep"] == deep


@pytest.mark.parametrize(
    ("kind", "properties", "expected"),
    [
        ("session.error", {}, True),
        ("session.status", {"status": {"type": "retry", "message": "no"}}, True),
        ("session.status", {"status": {"type": "busy"}}, False),
        ("session.status", {"status": 7}, False),
        ("message.updated", {"info": {"error": {}}}, True),
        ("message.updated", {"info": {}}, False),
        ("message.part.updated", {"part": {"error": {}}}, True),
        ("message.part.delta", delta(), False),
    ],
)
def test_providers_have_their_say_in_some_events(kind, properties, expected):
    assert has_providers_words(kind, properties) is expected


def test_many_threads_may_hide_at_once():
    secrets = Secrets()
    words = [f"secret-{number:04}" for number in range(400)]
    threads = [
        threading.Thread(target=lambda part: [secrets.hide([each]) for each in part], args=(part,))
        for part in (words[at::4] for at in range(4))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cleaned = secrets.clean("new.kind", {"words": " ".join(words)})
    assert "secret" not in cleaned["words"]


def test_an_emoji_in_two_deltas_is_one_character() -> None:
    """A model's tokens may end in the middle of one; neither half alone can be carried."""
    log = OddLog()
    reader = EventReader(EventMemory(), log)

    def delta(part: str, piece: str) -> str | None:
        properties = {"sessionID": "ses_1", "messageID": "msg_1", "partID": part, "field": "text"}
        event = reader.event("message.part.delta", {**properties, "delta": piece}, "/p")
        return None if event is None else event.message.delta.text

    assert delta("prt_1", "a \ud83d") == "a "
    assert delta("prt_2", "b") == "b"  # another part has nothing to do with it
    assert delta("prt_1", "\ude00 b\ud83d") == "😀 b"
    assert delta("prt_1", "\ude01") == "😁"
    assert delta("prt_3", "\ud83d") == ""  # nothing to tell yet
    assert delta("prt_3", "x") == "\ufffdx"
