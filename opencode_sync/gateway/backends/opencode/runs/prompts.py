"""Prompts: each is sent when it is its session's turn, and what came of it is returned.

The prompts of one session go to OpenCode one after another: at once, it would run some of them
together and answer several with one message.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError, EventSink, check_session_id
from opencode_sync.gateway.backends.opencode.checks import UnknownNameError, check_texts
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.runs.events import RunEvents
from opencode_sync.gateway.backends.opencode.runs.failures import failure, failure_of_stop
from opencode_sync.gateway.backends.opencode.runs.lookup import look_up, refresh_keys
from opencode_sync.gateway.backends.opencode.runs.message_ids import MessageIds
from opencode_sync.gateway.backends.opencode.runs.policy import REJECT_ALL, Policy
from opencode_sync.gateway.backends.opencode.runs.request import Prompt
from opencode_sync.gateway.backends.opencode.runs.result import (
    explained,
    read_message_of,
    read_result,
)
from opencode_sync.gateway.backends.opencode.runs.run import Outcome, Run
from opencode_sync.gateway.backends.opencode.runs.schema import mend
from opencode_sync.gateway.backends.opencode.runs.stop import Stop, Turns
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.logger import logger
from opencode_sync.wire import ext_prompt_pb2, ipc_pb2, oc_message_pb2

__all__ = ["Prompt", "Prompts", "refresh_keys"]

_CLOSE_TIMEOUT = 2.0
_LOOK_UP_TIMEOUT = 30.0
"""Seconds for what is asked before the prompt is sent; the first call to a project takes a few."""
_SUBSCRIBE_TIMEOUT = 10.0
"""Seconds for the events of a run that goes on without them; one that needs them waits longer."""
_NEVER_BEGUN = (
    ipc_pb2.IPC_ERROR_CODE_NO_SERVER,
    ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR,
    ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
)


class _Ran(NamedTuple):
    """A run that was sent."""

    message_id: str
    outcome: Outcome
    events: RunEvents
    secrets: tuple[str, ...]


class _NotSentError(Exception):
    """The run has to end before it began; the text says what there was."""


class Prompts:
    """Sends prompts and returns what came of them. Any thread may call any method."""

    def __init__(self) -> None:
        self._ids = MessageIds()
        self._turns = Turns()
        self._closing = Cancellation()
        self._ended = threading.Condition()  # guards _running; waited on by close
        self._running = 0

    def send(
        self,
        binding: Binding,
        prompt: Prompt,
        deadline: Deadline,
        cancellation: Cancellation | None = None,
    ) -> oc_message_pb2.OcMessage:
        """See ``OpenCodeBackend.send_message``."""
        check_session_id(prompt.session_id)
        check_texts(
            text=prompt.text, model_id=prompt.model_id or "", provider_id=prompt.provider_id or ""
        )
        stop = Stop(deadline, cancelled=cancellation, closing=self._closing)
        with self._counted(), stop:
            try:
                ran = self._execute(binding, prompt, stop)
            except _NotSentError as error:
                raise server_error(f"{error}") from error
            if ran.outcome.error is not None:
                raise explained(binding, prompt.session_id, ran.outcome.error)
            message = read_message_of(
                binding, prompt.session_id, ran.message_id, ran.outcome, ran.secrets
            )
            why = ran.outcome.stopped
            if why is not None and message is None:
                raise server_error(failure_of_stop(stop, why, ran.outcome.told).message)
            if message is None:
                raise server_error("the run was aborted before the model began to answer")
            return message

    def run(
        self,
        binding: Binding,
        request: ext_prompt_pb2.IpcPromptRequest,
        sink: EventSink,
        *,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> ext_prompt_pb2.IpcRunResult:
        """See ``Backend.prompt``."""
        prompt, policy = Prompt.of(request), Policy.of(request)
        result = ext_prompt_pb2.IpcRunResult(session_id=prompt.session_id)
        stop = Stop(deadline, cancelled=cancellation, closing=self._closing)
        with self._counted(), stop:
            try:
                ran = self._execute(
                    binding, prompt, stop, policy=policy, wanted=request.events, sink=sink
                )
            except UnknownNameError as error:
                failed = failure(error.kind, error.message, provider_id=prompt.provider_id or "")
            except (_NotSentError, BackendError) as error:
                why = stop.why
                if why is None:
                    raise
                failed = failure_of_stop(stop, why, f"{error}")
            else:
                lost = ran.outcome.error
                if lost is not None and lost.code in _NEVER_BEGUN:
                    raise lost
                return read_result(
                    binding,
                    prompt.session_id,
                    ran.message_id,
                    ran.outcome,
                    ran.events,
                    stop,
                    secrets=ran.secrets,
                    structured=prompt.schema is not None,
                )
        result.failure.CopyFrom(failed)
        return result

    def close(self) -> None:
        """End what runs, so that nobody waits for it any longer; takes no more prompts."""
        self._closing.cancel("the gateway is closing")
        with self._ended:
            if not self._ended.wait_for(lambda: not self._running, _CLOSE_TIMEOUT):
                logger.warning("{} runs have not ended in time", self._running)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._ended:
            if self._closing.cancelled:
                raise server_error("the gateway is closing; start it again to go on")
            self._running += 1
        try:
            yield
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()

    def _execute(
        self,
        binding: Binding,
        prompt: Prompt,
        stop: Stop,
        *,
        policy: Policy = REJECT_ALL,
        wanted: ext_prompt_pb2.IpcRunEvents = ext_prompt_pb2.IPC_RUN_EVENTS_NONE,
        sink: EventSink | None = None,
    ) -> _Ran:
        session_id, deadline = prompt.session_id, stop.deadline
        with self._turns.of(session_id, stop) as is_mine:
            if not is_mine:
                raise _NotSentError(
                    f"another prompt of session {session_id} was still running when the time for "
                    f"this one was over; it was not sent"
                )
            moment = deadline.earlier(Deadline.after(_LOOK_UP_TIMEOUT))
            directory, secrets = look_up(binding, prompt, moment)
            message_id = self._ids.next()
            events = RunEvents(
                session_id, message_id, wanted=wanted, policy=policy, sink=sink, ring=stop.ring
            )
            binding.events.hide(secrets)
            with (
                binding.keys.running(directory, moment),
                _subscribed(binding, events, moment, required=sink is not None) as live,
            ):
                if stop.why is not None:
                    raise _NotSentError("the time allowed was over before the prompt could be sent")
                run = Run(
                    binding,
                    session_id,
                    directory,
                    prompt.body(message_id),
                    policy=policy,
                    events=events,
                    live=live,
                    stop=stop,
                )
                outcome = run.execute()
                if prompt.schema is not None:
                    mend(binding, prompt, message_id, _infos(outcome, events))
        return _Ran(message_id, outcome, events, secrets)


def _infos(outcome: Outcome, events: RunEvents) -> list[Mapping[str, Any]]:
    returned = outcome.document.get("info") if isinstance(outcome.document, dict) else None
    return [*events.infos.values(), *([returned] if isinstance(returned, dict) else [])]


@contextmanager
def _subscribed(
    binding: Binding, events: RunEvents, deadline: Deadline, *, required: bool
) -> Iterator[bool]:
    """Have the run's events followed inside; yields whether they are."""
    patience = _LOOK_UP_TIMEOUT if required else _SUBSCRIBE_TIMEOUT
    moment = deadline.earlier(Deadline.after(patience))
    subscription = None
    try:
        subscription = binding.events.subscribe(events, deadline=moment)
    except BackendError as error:
        if required:
            raise
        logger.warning("A prompt goes without OpenCode's events: {}", error.message)
    try:
        yield subscription is not None
    finally:
        if subscription is not None:
            subscription.close()
