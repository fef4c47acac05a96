"""What becomes of the questions that a run asks: permissions, and questions to the user.

A run waits for the answer for ever, so a policy answers those that no person is there for. Its no
comes with an explanation, because OpenCode ends a run whose question is refused without a word. For
the same reason a question to the user is not dismissed but answered, by that explanation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.checks import invalid
from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from opencode_sync.gateway.backends.opencode.http.client import RefusedError, quote_id
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.wire import ext_prompt_pb2 as pb

__all__ = ["ANSWERED", "ASKED", "REJECT_ALL", "Ask", "Policy", "answer", "read_ask", "withdraw"]

ASKED = frozenset({"permission.asked", "question.asked"})
ANSWERED = frozenset({"permission.replied", "question.replied", "question.rejected"})

_REPLY_TIMEOUT = 5.0
_TRIES = 3
_WORDS = (
    "Nobody is there to answer: this run is unattended. Go on without it, and say in your answer "
    "what you could not do."
)
_REPLIES = {pb.IPC_ANSWER_POLICY_ONCE: "once", pb.IPC_ANSWER_POLICY_ALWAYS: "always"}


class Policy(NamedTuple):
    """How the questions of one run are answered."""

    permissions: pb.IpcAnswerPolicy
    questions: pb.IpcAnswerPolicy
    words: str
    """What the model is told with a no."""

    @classmethod
    def of(cls, request: pb.IpcPromptRequest) -> Policy:
        """Return what a request asks for.

        Raises:
            BackendError: INVALID_MESSAGE, naming the field.
        """
        known = pb.IpcAnswerPolicy.values()
        for field in ("permissions", "questions"):
            value = getattr(request, field)
            if value not in known:
                raise invalid(f"{field}: there is no answer policy {value}")
            if value == pb.IPC_ANSWER_POLICY_ASK and request.events == pb.IPC_RUN_EVENTS_NONE:
                raise invalid(
                    f"{field}: the client wants to be asked and takes no events, so the run would "
                    f"wait for ever; ask for events, or have another policy"
                )
        if request.questions in _REPLIES:
            raise invalid(
                "questions: yes is no answer to a question; reject it, or have the client asked"
            )
        return cls(request.permissions, request.questions, request.reject_message.strip() or _WORDS)

    def answers(self, ask: Ask) -> bool:
        """Return whether the gateway answers this itself."""
        policy = self.questions if ask.is_question else self.permissions
        return policy != pb.IPC_ANSWER_POLICY_ASK


REJECT_ALL = Policy(pb.IPC_ANSWER_POLICY_REJECT, pb.IPC_ANSWER_POLICY_REJECT, _WORDS)


class Ask(NamedTuple):
    """One thing that OpenCode asks."""

    id: str
    directory: str
    """Of the instance that asks: no other knows of it."""
    items: int
    """How many questions it is; 0 for a permission."""

    @property
    def is_question(self) -> bool:
        """Whether it is a question to the user."""
        return self.items > 0


def read_ask(event: OpenCodeEvent) -> Ask | None:
    """Return what an event asks, None if it has no id to answer to."""
    identifier = event.properties.get("id")
    if not isinstance(identifier, str) or not identifier:
        return None
    items = 0
    if event.type == "question.asked":
        questions = event.properties.get("questions")
        items = max(1, len(questions)) if isinstance(questions, list) else 1
    return Ask(identifier, event.directory, items)


def answer(binding: Binding, ask: Ask, policy: Policy, deadline: Deadline) -> str | None:
    """Answer as the policy says; returns what went wrong for good, None for nothing.

    Args:
        binding: The server.
        ask: One that the policy answers.
        policy: The run's.
        deadline: Of the run.
    """
    if ask.is_question:
        body: dict[str, object] = {"answers": [[policy.words]] * ask.items}
    elif policy.permissions in _REPLIES:
        body = {"reply": _REPLIES[policy.permissions]}
    else:
        body = {"reply": "reject", "message": policy.words}
    problem = None
    for _ in range(_TRIES):
        problem = _post(binding, ask, "reply", body, deadline)
        if problem is None or deadline.passed():
            break
    return problem


def withdraw(binding: Binding, asks: Iterable[Ask], deadline: Deadline) -> None:
    """Take back what an aborted run still asks: OpenCode would list it for ever."""
    for ask in asks:
        if ask.is_question:
            _post(binding, ask, "reject", {}, deadline)
        else:
            _post(binding, ask, "reply", {"reply": "reject"}, deadline)


def _post(
    binding: Binding, ask: Ask, call: str, body: dict[str, object], deadline: Deadline
) -> str | None:
    kind = "question" if ask.is_question else "permission"
    moment = deadline.earlier(Deadline.after(_REPLY_TIMEOUT))
    where = {"directory": ask.directory} if ask.directory else {}
    try:
        binding.call("POST", f"/{kind}/{quote_id(ask.id)}/{call}", where, moment, body)
    except RefusedError as error:
        # Not found: somebody else was quicker, or the run has ended.
        return None if error.refusal.is_not_found else error.message
    except BackendError as error:
        return error.message
    return None
