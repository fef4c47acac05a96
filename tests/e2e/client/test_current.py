"""``client.events(current=True)``: what is going on already, for who comes later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opencode_sync import IpcClient, IpcConfig, IpcPromptError, PermissionAsked, QuestionAsked
from opencode_sync.gateway import Gateway, OpenCodeBackend
from opencode_sync.types import IpcEvent
from tests.e2e.client.asking import OUTSIDE, QUESTION, WAIT, Asked
from tests.e2e.opencode_server import RealServer

pytestmark = pytest.mark.e2e

CURRENT = ("session.status", "permission.asked", "question.asked")


@pytest.fixture
def later(server: RealServer) -> Iterator[IpcClient]:
    """A client of another gateway, which has seen nothing of what happened before."""
    with (
        Gateway(OpenCodeBackend(server.url)) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        yield client


def told(client: IpcClient, server: RealServer, **asked: str) -> list[IpcEvent]:
    """What a stream begins with, up to an event that is made once it has begun."""
    events = []
    with client.events(types=[*CURRENT, "session.updated"], current=True, **asked) as stream:
        session_id = asked.get("session_id") or server.create("ends what is read")
        path = f"/session/{session_id}"
        assert server.request("PATCH", path, {"title": "now"})[0] == 200
        while (event := stream.next_event(WAIT)).type != "session.updated":
            events.append(event)
    return events


def of(events: list[IpcEvent], session_id: str) -> list[tuple[str, bool]]:
    return [(event.type, event.replayed) for event in events if event.session_id == session_id]


def test_who_comes_later_answers_what_waits(
    client: IpcClient, later: IpcClient, server: RealServer, tmp_path: Path
) -> None:
    """A permission question and one of the model's, in folders that nobody has named."""
    here = client.create_session("here").id
    there = client.create_session("there", directory=tmp_path).id
    with (
        client.stream_prompt(here, OUTSIDE, on_permission="ask") as first,
        client.stream_prompt(there, QUESTION, on_question="ask") as second,
    ):
        permission = next(each for each in first if isinstance(each, PermissionAsked))
        question = next(each for each in second if isinstance(each, QuestionAsked))
        with later.events(types=CURRENT, current=True) as stream:
            seen: dict[str, IpcEvent] = {}
            while not seen.keys() >= {"permission.asked", "question.asked"}:
                event = stream.next_event(WAIT)
                assert event.replayed
                assert event.session_id in seen or event.type == "session.status"
                seen[event.session_id] = seen[event.type] = event
            asked = seen["permission.asked"]
            request = asked.event.permission_asked.request
            assert (request.id, asked.directory) == (permission.id, str(server.project))
            later.reply_permission(request.id, "once", directory=asked.directory)
            # Without its folder: the gateway remembers where it was asked.
            assert seen["question.asked"].directory == str(tmp_path.resolve())
            assert seen["question.asked"].question.id == question.id
            later.reply_question(question.id, [["A"]])
        assert first.result().finish == "stop"
        assert '"Which one?"="A"' in second.result().text
    assert of(told(later, server), here) == of(told(later, server), there) == []


def test_a_subagents_question_belongs_to_the_sessions_above(
    client: IpcClient, later: IpcClient, server: RealServer, asked: Asked
) -> None:
    inner = OUTSIDE.replace('"', '\\"').replace("[", "\\u005b").replace("]", "\\u005d")
    task = f'[[tool:task {{"description":"d","prompt":"{inner}","subagent_type":"general"}}]]'
    with client.stream_prompt(asked.id, task, on_permission="ask") as run:
        question = next(each for each in run if isinstance(each, PermissionAsked))
        events = told(later, server, session_id=asked.id)
        assert of(events, asked.id) == [("session.status", True)]
        assert of(events, question.session_id) == [
            ("session.status", True),
            ("permission.asked", True),
        ]
        later.reply_permission(question.id, "once", directory=events[-1].directory)
        assert run.result().finish == "stop"


def test_what_an_abort_has_left_is_not_told(
    client: IpcClient, connect: Callable[..., IpcClient], server: RealServer, asked: Asked
) -> None:
    """OpenCode itself goes on listing it, also while the next run in that session waits."""
    with client.stream_prompt(asked.id, OUTSIDE, on_permission="ask") as run:
        stale = next(each for each in run if isinstance(each, PermissionAsked))
        assert client.abort_session(asked.id)
        with pytest.raises(IpcPromptError, match=r"(?i)abort"):
            run.result()
    assert asked.ends()
    assert asked.pending("permission") == [stale.id]
    other = connect()
    assert of(told(other, server), asked.id) == []
    with client.stream_prompt(asked.id, OUTSIDE, on_permission="ask") as run:
        fresh = next(each for each in run if isinstance(each, PermissionAsked))
        events = [event for event in told(other, server) if event.session_id == asked.id]
        assert [event.type for event in events] == ["session.status", "permission.asked"]
        assert events[1].event.permission_asked.request.id == fresh.id
        other.reply_permission(fresh.id, "once", directory=events[1].directory)
        run.result()
