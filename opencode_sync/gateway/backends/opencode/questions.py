"""Answering what a run asks in OpenCode: permission questions, and the model's own."""

from __future__ import annotations

import re

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.checks import invalid
from opencode_sync.gateway.backends.opencode.errors import one_line
from opencode_sync.gateway.backends.opencode.http.client import RefusedError, quote_id
from opencode_sync.gateway.backends.opencode.lookups import is_unknown
from opencode_sync.gateway.backends.opencode.project import Project, check_directory
from opencode_sync.wire import oc_tool_pb2
from opencode_sync.wire.ext_operations_pb2 import (
    IpcReplyPermissionRequest,
    IpcReplyQuestionRequest,
)

__all__ = ["reply_permission", "reply_question"]

_REPLIES = {
    oc_tool_pb2.ALLOW: "once",
    oc_tool_pb2.DENY: "reject",
    oc_tool_pb2.ALLOW_ALL: "always",
}
_SHOWN = 60


def reply_permission(
    project: Project, request: IpcReplyPermissionRequest, deadline: Deadline
) -> None:
    """See ``OpenCodeBackend.reply_permission``."""
    _check_id("permission_id", request.permission_id, "per")
    if request.reply not in _REPLIES:
        raise invalid(
            f"reply must be ALLOW, DENY or ALLOW_ALL, but it is {request.reply}; use one of them"
        )
    body = {"reply": _REPLIES[request.reply]}
    if request.reply == oc_tool_pb2.DENY and request.message:
        body["message"] = request.message
    where = _where(project, request.permission_id, request.directory)
    path = f"/permission/{quote_id(request.permission_id)}/reply"
    _post(where, path, body, "permission_id", request.permission_id, deadline)


def reply_question(project: Project, request: IpcReplyQuestionRequest, deadline: Deadline) -> None:
    """See ``OpenCodeBackend.reply_question``."""
    _check_id("question_id", request.question_id, "que")
    where = _where(project, request.question_id, request.directory)
    path = f"/question/{quote_id(request.question_id)}"
    if not request.answers:
        return _post(where, f"{path}/reject", None, "question_id", request.question_id, deadline)
    items = _items(where, request.question_id, deadline)
    if items is not None and items != len(request.answers):
        # OpenCode would take what is missing for "Unanswered", and pass over the rest.
        raise invalid(
            f"answers has {len(request.answers)} of them, but the question has {items} item"
            f"{'' if items == 1 else 's'}; answer each, with an empty list where there is no answer"
        )
    body = {"answers": [list(answer.labels) for answer in request.answers]}
    return _post(where, f"{path}/reply", body, "question_id", request.question_id, deadline)


def _check_id(field: str, identifier: str, prefix: str) -> None:
    if not re.fullmatch(rf"{prefix}[A-Za-z0-9_-]*", identifier):
        problem = f'"{one_line(identifier, _SHOWN)}" is not one' if identifier else "it is empty"
        raise invalid(
            f'{field} must be the id of a question, "{prefix}_" followed by letters and digits, '
            f"but {problem}; use the id in the event that asked"
        )


def _where(project: Project, identifier: str, directory: str) -> Project:
    """Return the project that the question belongs to: OpenCode looks nowhere else."""
    if directory:
        return project._replace(directory=check_directory(directory, project.binding))
    known = project.binding.events.directory_of_question(identifier)
    return project if known is None else project._replace(directory=known)


def _items(project: Project, question_id: str, deadline: Deadline) -> int | None:
    """Return how many items a question has, None if it does not wait for an answer."""
    waiting = project.call("GET", "/question", deadline)
    for each in waiting if isinstance(waiting, list) else ():
        if isinstance(each, dict) and each.get("id") == question_id:
            questions = each.get("questions")
            return len(questions) if isinstance(questions, list) else None
    return None


def _post(
    project: Project, path: str, body: object, field: str, identifier: str, deadline: Deadline
) -> None:
    try:
        answer = project.call("POST", path, deadline, body)
    except RefusedError as error:
        if is_unknown(error, identifier):
            raise _not_waiting(project, field, identifier) from error
        raise
    if answer is not True:
        raise project.binding.misshapen("the answer to a question", "true")


def _not_waiting(project: Project, field: str, identifier: str) -> BackendError:
    place = f"the project {project.directory}" if project.directory else "OpenCode's own project"
    return invalid(
        f"{field}: no question {identifier[:_SHOWN]} waits for an answer in {place}; it was "
        f"answered before, or its run has ended, or it belongs to another project: then name that "
        f"one's directory"
    )
