"""The answers to what is asked in the middle of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations.base import Operation, Request, make_request
from opencode_sync.operations.checks import Folder, check_directory, check_id, check_text
from opencode_sync.wire import ext_operations_pb2, ipc_pb2, oc_tool_pb2

__all__ = ["reply_permission", "reply_question"]

_REPLIES: Final = {
    "once": oc_tool_pb2.ALLOW,
    "always": oc_tool_pb2.ALLOW_ALL,
    "reject": oc_tool_pb2.DENY,
}


def _taken(answer: object) -> None:
    """Return nothing: that there is an answer says it all."""


_REPLY_PERMISSION: Final = Operation(
    "reply_permission", "reply_permission_response", _taken, False, True
)
_REPLY_QUESTION: Final = Operation("reply_question", "reply_question_response", _taken, False, True)


def reply_permission(
    permission_id: str, reply: str, *, message: str | None = None, directory: Folder = None
) -> Request[None]:
    """Answer a permission question."""
    check_id(
        permission_id, "permission_id", "the id of a question", "as PermissionAsked.id gives it"
    )
    if not isinstance(reply, str) or reply not in _REPLIES:
        raise IpcArgumentError(
            f'reply is {reply!r:.60}; give "once", "always" or "reject"', field="reply"
        )
    if message is not None:
        check_text(message, "message", "which the model is told, or None")
        if reply != "reject":
            raise IpcArgumentError(
                f'message goes with "reject" only, and reply is {reply!r}; leave it out',
                field="message",
            )
    request = ext_operations_pb2.IpcReplyPermissionRequest(
        permission_id=permission_id,
        reply=_REPLIES[reply],
        message=message,
        directory=check_directory(directory) or "",
    )
    return make_request(_REPLY_PERMISSION, ipc_pb2.IpcClientMessage(reply_permission=request))


def reply_question(
    question_id: str, answers: Sequence[Sequence[str]] | None, *, directory: Folder = None
) -> Request[None]:
    """Answer a question of the model's; None dismisses it."""
    check_id(question_id, "question_id", "the id of a question", "as QuestionAsked.id gives it")
    request = ext_operations_pb2.IpcReplyQuestionRequest(
        question_id=question_id,
        answers=[] if answers is None else _checked_answers(answers),
        directory=check_directory(directory) or "",
    )
    return make_request(_REPLY_QUESTION, ipc_pb2.IpcClientMessage(reply_question=request))


def _checked_answers(answers: Sequence[Sequence[str]]) -> list[ext_operations_pb2.IpcAnswer]:
    if not _is_list(answers):
        raise IpcArgumentError(
            f"answers is of type {type(answers).__name__}; give for each question a list of "
            "labels, or None to dismiss them",
            field="answers",
        )
    if not answers:
        raise IpcArgumentError(
            "answers is empty; give for each question a list of labels, or None to dismiss them",
            field="answers",
        )
    checked = []
    for number, labels in enumerate(answers, 1):
        if not _is_list(labels):
            raise IpcArgumentError(
                f"answers holds a {type(labels).__name__} for question {number}; give a list of "
                "labels for each",
                field="answers",
            )
        for label in labels:
            check_text(label, "answers", f"which is a label, for question {number}")
        checked.append(ext_operations_pb2.IpcAnswer(labels=labels))
    return checked


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
