"""What the backend's events tell a chat of other programs' runs."""

from __future__ import annotations

from opencode_sync.wire.ext_event_pb2 import IpcEvent, IpcEventPush
from opencode_sync.wire.oc_event_pb2 import OcEvent
from tests.desktop.chat.conftest import ChatBackend
from tests.support import backend as b

ELSEWHERE = "Another program is at work in this session…"
"""What the chat says of them."""


def status(session_id: str = "ses_1", *, busy: bool) -> IpcEvent:
    said = {"thinking": {"status": "busy"}} if busy else {"idle": {"status": "idle"}}
    told = OcEvent(session_status={"session_id": session_id, "status": said})
    return IpcEvent(type="session.status", session_id=session_id, event=told)


def permission(question_id: str = "per_1", session_id: str = "ses_1") -> IpcEvent:
    return of_session(b.permission_asked(question_id)["event"], session_id)


def question(question_id: str = "que_1", session_id: str = "ses_1") -> IpcEvent:
    return of_session(b.question_asked(question_id)["event"], session_id)


def of_session(push: IpcEventPush, session_id: str) -> IpcEvent:
    event = IpcEvent()
    event.CopyFrom(push.event)
    event.session_id = session_id
    if event.WhichOneof("detail") == "question":
        event.question.session_id = session_id
    else:
        event.event.permission_asked.session_id = session_id
    return event


def replied(question_id: str) -> IpcEvent:
    return IpcEvent(type="permission.replied", properties_json=f'{{"requestID": "{question_id}"}}')


def tell(backend: ChatBackend, event: IpcEvent) -> None:
    for each in list(backend.streams):
        each.push(event)
