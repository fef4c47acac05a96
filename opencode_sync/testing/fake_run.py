"""One prompt of a ``FakeIpcClient``, step by step, from its text to its result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from opencode_sync.testing.steps import (
    AskPermission,
    AskQuestion,
    Fail,
    Pause,
    PromptScript,
    Retry,
    Say,
    Step,
    Think,
    UseTool,
)
from opencode_sync.wire import ext_prompt_pb2
from opencode_sync.wire.ext_event_pb2 import (
    IpcDelta,
    IpcEvent,
    IpcQuestion,
    IpcQuestionItem,
    IpcQuestionOption,
    IpcRetry,
)
from opencode_sync.wire.oc_event_pb2 import (
    OcEvent,
    OcMessagePartUpdatedEvent,
    OcMessageUpdatedEvent,
    OcPermissionAskedEvent,
)
from opencode_sync.wire.oc_message_part_pb2 import OcPart, OcToolPart
from opencode_sync.wire.oc_message_pb2 import OcAssistantMessage, OcMessage, OcUserMessage
from opencode_sync.wire.oc_tool_pb2 import OcPermissionReply, OcPermissionRequest

__all__ = ["FakeRun", "Stage"]

_YES: Final = frozenset(
    {ext_prompt_pb2.IPC_ANSWER_POLICY_ONCE, ext_prompt_pb2.IPC_ANSWER_POLICY_ALWAYS}
)
_ASK: Final = ext_prompt_pb2.IPC_ANSWER_POLICY_ASK


class Stage(Protocol):
    """What a run needs of the backend it runs on."""

    def new_id(self, kind: str) -> str:
        """Return an id nobody has."""

    def now(self) -> int:
        """Return the time in Unix milliseconds."""

    def publish(self, event: IpcEvent, run: FakeRun, *, attention: bool = False) -> None:
        """Show an event to who is interested."""

    def pause(self, step: Pause, run: FakeRun) -> bool:
        """Have the run go on when the gate opens; returns False when it is open."""

    def ended(self, run: FakeRun, result: ext_prompt_pb2.IpcRunResult) -> None:
        """Take the result."""


class FakeRun:
    """A run. One thread at a time; the backend has the lock."""

    def __init__(
        self, stage: Stage, request: ext_prompt_pb2.IpcPromptRequest, script: PromptScript
    ) -> None:
        """Make a run that has not begun.

        Args:
            stage: Where it runs.
            request: The prompt.
            script: What the model does.
        """
        self.request = request
        self.session_id = request.session_id
        self.waits_for = ""
        """The id of the question that it waits for an answer to."""
        self.asked: IpcEvent | None = None
        """The event that asked it."""
        self._stage = stage
        self._script = script
        # What is to do: the steps after a question come before those after its step.
        self._to_do: list[Iterator[Step]] = [iter(script.steps)]
        self._branches: Callable[[bool], tuple[Step, ...]] = lambda _: ()
        self._retries: list[IpcRetry] = []
        self._over = False
        self.user = OcUserMessage(
            id=stage.new_id("msg"),
            session_id=self.session_id,
            role="user",
            text=request.text,
            created=stage.now(),
            agent=request.agent,
            system=request.system,
        )
        self.answer = OcAssistantMessage(
            id=stage.new_id("msg"),
            session_id=self.session_id,
            role="assistant",
            parent_id=self.user.id,
            agent=request.agent or "build",
            cost=script.cost,
        )
        self.answer.model.model_id = request.model_id or "model"
        self.answer.model.provider_id = request.provider_id or "fake"

    # --- What the backend does with it ---

    def begin(self) -> None:
        """Do the first steps."""
        self.answer.created = self._stage.now()
        self._publish_message()
        self.go_on()

    def go_on(self) -> None:
        """Do step after step until one has to wait, or there are no more."""
        while self._to_do and not self._over:
            step = next(self._to_do[-1], None)
            if step is None:
                self._to_do.pop()
            elif not self._do(step):
                return
        self._end(None)

    def reply(self, yes: bool) -> None:
        """Go on with the answer to a question."""
        self.waits_for, self.asked = "", None
        self._to_do.append(iter(self._branches(yes)))
        self.go_on()

    def fail(self, kind: str, message: str) -> None:
        """End early, unless it has ended."""
        self._end(Fail(kind, message))

    # --- Steps; each returns whether to go on ---

    def _do(self, step: Step) -> bool:
        if isinstance(step, str | Say):
            self._say(step if isinstance(step, str) else step.text)
        elif isinstance(step, Think):
            self._think(step.text)
        elif isinstance(step, UseTool):
            self._use_tool(step)
        elif isinstance(step, AskPermission):
            return self._ask_permission(step)
        elif isinstance(step, AskQuestion):
            return self._ask_question(step)
        elif isinstance(step, Retry):
            self._retry(step)
        elif isinstance(step, Pause):
            return not self._stage.pause(step, self)
        else:
            self._end(step)
            return False
        return True

    def _say(self, text: str) -> None:
        parts = self.answer.parts
        if not parts or parts[-1].WhichOneof("part") != "text":
            part = parts.add().text
            part.id, part.type = self._stage.new_id("prt"), "text"
            part.session_id, part.message_id = self.session_id, self.answer.id
        part = parts[-1].text
        part.text += text
        self.answer.text += text
        self._publish_delta(part.id, "text", text)

    def _think(self, text: str) -> None:
        part = self.answer.parts.add().reasoning
        part.id, part.type, part.text = self._stage.new_id("prt"), "reasoning", text
        part.session_id, part.message_id = self.session_id, self.answer.id
        self._publish_delta(part.id, "reasoning", text)

    def _use_tool(self, step: UseTool) -> None:
        part = OcToolPart(
            id=self._stage.new_id("prt"),
            session_id=self.session_id,
            message_id=self.answer.id,
            type="tool",
            name=step.name,
            call_id=self._stage.new_id("call"),
        )
        started = self._stage.now()
        running = part.state.running
        running.status, running.time.start = "running", started
        running.input.update(dict(step.input))
        self._publish_part(part)
        if step.error is None:
            state: Any = part.state.completed
            state.status, state.output = "completed", step.output
        else:
            state = part.state.error
            state.status, state.error = "error", step.error
        state.input.update(dict(step.input))
        state.title = step.name
        state.time.start, state.time.end = started, self._stage.now()
        self.answer.parts.add().tool.CopyFrom(part)
        self._publish_part(part)

    def _retry(self, step: Retry) -> None:
        retry = IpcRetry(
            session_id=self.session_id, attempt=len(self._retries) + 1, message=step.message
        )
        self._retries.append(retry)
        self._publish(IpcEvent(type="session.status", retry=retry), attention=True)

    def _ask_permission(self, step: AskPermission) -> bool:
        self._branches = lambda yes: tuple(step.allowed if yes else step.rejected)
        policy = self.request.permissions
        if policy != _ASK:
            self._to_do.append(iter(self._branches(policy in _YES)))
            return True
        self.waits_for = self._stage.new_id("per")
        asked = OcPermissionAskedEvent(
            type="permission.asked",
            session_id=self.session_id,
            request=OcPermissionRequest(
                id=self.waits_for,
                permission=step.permission,
                patterns=step.patterns,
                message_id=self.answer.id,
            ),
        )
        return self._ask(IpcEvent(type="permission.asked", event=OcEvent(permission_asked=asked)))

    def _ask_question(self, step: AskQuestion) -> bool:
        self._branches = lambda yes: tuple(step.answered if yes else step.dismissed)
        if self.request.questions != _ASK:
            self._to_do.append(iter(self._branches(False)))
            return True
        self.waits_for = self._stage.new_id("que")
        options = [IpcQuestionOption(label=label) for label in step.options]
        item = IpcQuestionItem(
            header=step.question, question=step.question, options=options, custom=True
        )
        question = IpcQuestion(
            id=self.waits_for,
            session_id=self.session_id,
            items=[item],
            message_id=self.answer.id,
        )
        return self._ask(IpcEvent(type="question.asked", question=question))

    def _ask(self, event: IpcEvent) -> bool:
        self.asked = event
        self._publish(event, attention=True)
        return False

    # --- The end ---

    def _end(self, failure: Fail | None) -> None:
        if self._over:
            return
        self._over = True
        self.waits_for, self.asked = "", None
        answer, script = self.answer, self._script
        answer.completed = self._stage.now()
        answer.usage.input = len(self.request.text.split())
        answer.usage.output = len(answer.text.split())
        result = ext_prompt_pb2.IpcRunResult(
            session_id=self.session_id, user_message_id=self.user.id, retries=self._retries
        )
        if failure is None:
            answer.finish = result.finish = "stop"
            if script.structured is not None:
                answer.structured_json = result.structured_json = json.dumps(script.structured)
        else:
            answer.error.api.name, answer.error.api.message = failure.kind, failure.message
            result.failure.kind, result.failure.message = failure.kind, failure.message
            result.failure.retryable = failure.retryable
            if failure.status is not None:
                answer.error.api.status = result.failure.status = failure.status
        result.messages.add().assistant.CopyFrom(answer)
        self._publish_message()
        self._stage.ended(self, result)

    # --- Events ---

    def _publish_message(self) -> None:
        message = OcMessage()
        message.assistant.CopyFrom(self.answer)
        message.assistant.ClearField("parts")
        updated = OcMessageUpdatedEvent(
            type="message.updated", session_id=self.session_id, message=message
        )
        self._publish(IpcEvent(type="message.updated", event=OcEvent(message_updated=updated)))

    def _publish_part(self, part: OcToolPart) -> None:
        updated = OcMessagePartUpdatedEvent(
            type="message.part.updated",
            session_id=self.session_id,
            message_id=self.answer.id,
            part=OcPart(tool=part),
        )
        event = OcEvent(message_part_updated=updated)
        self._publish(IpcEvent(type="message.part.updated", event=event))

    def _publish_delta(self, part_id: str, kind: str, text: str) -> None:
        delta = IpcDelta(
            session_id=self.session_id,
            message_id=self.answer.id,
            part_id=part_id,
            part_type=kind,
            text=text,
        )
        self._publish(IpcEvent(type="message.part.delta", delta=delta))

    def _publish(self, event: IpcEvent, *, attention: bool = False) -> None:
        event.session_id = self.session_id
        self._stage.publish(event, self, attention=attention)


def is_yes(reply: OcPermissionReply) -> bool:
    """Return whether a permission was given."""
    return reply in (OcPermissionReply.ALLOW, OcPermissionReply.ALLOW_ALL)
