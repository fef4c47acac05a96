"""What OpenCode, or what pretends to be one, can do to a run: events, answers, refusals and silence
in any order."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode import errors as opencode_errors
from opencode_sync.gateway.backends.opencode.events.memory import EventMemory
from opencode_sync.gateway.backends.opencode.events.reader import EventReader, OddLog
from opencode_sync.gateway.backends.opencode.http.client import (
    OpenCodeHttp,
    OutcomeUnknownError,
    RefusedError,
)
from opencode_sync.gateway.backends.opencode.runs import run as runs_module
from opencode_sync.gateway.backends.opencode.runs.prompts import Prompts
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.wire import ext_event_pb2, ipc_pb2
from opencode_sync.wire import ext_prompt_pb2 as pb
from tests.fuzz import seeds
from tests.fuzz.chooser import Chooser, as_text, changed_json
from tests.unit.gateway_opencode.run_doubles import FakeHub

__all__ = ["Runs"]

WAIT = 10.0
_URL = "http://127.0.0.1:1"

_SESSION, _OURS = "ses_1", "msg_OURS"
_PATIENCE = {
    "_ABORT_TIMEOUT": 0.05,
    "_FIRST_PATIENCE": 0.002,
    "_STATUS_PAUSE": 0.001,
    "_SETTLE_TIMEOUT": 0.002,
    "_CAUSE_TIMEOUT": 0.002,
}
"""Seconds that a run waits for what does not come."""


def _refused(status: int) -> BackendError:
    body = b'{"name":"NotFoundError","data":{"message":"no"}}'
    refusal = opencode_errors.read_refusal(status, "application/json", body)
    return RefusedError(refusal, call="POST /x", base_url=_URL)


_ERRORS: list[Callable[[], BackendError]] = [
    lambda: _refused(400),
    lambda: _refused(404),
    lambda: _refused(500),
    lambda: opencode_errors.server_error("it is late"),
    lambda: opencode_errors.no_server("it has gone"),
    lambda: OutcomeUnknownError("the connection broke"),
    lambda: BackendError(ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR, "the password is wrong"),
]
_ROUTES = ("session", "providers", "messages", "message", "abort", "status", "reply", "diff", "")


class _Script:
    """What OpenCode does in one run, decided before it begins."""

    def __init__(self, chooser: Chooser) -> None:
        self.answers: dict[str, list[Any]] = {
            "session": [{"id": _SESSION, "directory": "/p"}],
            "providers": [seeds.PROVIDERS[0]],
            "messages": [[seeds.RUN_MESSAGES[0], seeds.RUN_MESSAGES[1]]],
            "message": [chooser.pick(seeds.RUN_MESSAGES)],
            "status": [{}],
        }
        for _ in range(max(0, chooser.number(6) - 3)):
            route = chooser.pick(_ROUTES)
            documents = self.answers.get(route, seeds.RUN_MESSAGES)
            if chooser.number(2):
                self.answers[route] = [chooser.pick(_ERRORS)]
            elif not callable(documents[0]):
                self.answers[route] = [changed_json(chooser, documents)]
        # What is left out of a short input is the usual.
        self.outcome: Any = seeds.RUN_MESSAGES[1]
        match chooser.number(8):
            case 1:
                self.outcome = chooser.pick(_ERRORS)
            case 2:
                self.outcome = changed_json(chooser, seeds.RUN_MESSAGES)
            case 3 | 4:
                self.outcome = chooser.pick(seeds.RUN_MESSAGES)
        self.never_ends = chooser.number(8) == 1
        """Whether only an abort ends it, which a few do not mind either."""
        self.is_stubborn = chooser.number(8) == 1
        self.seconds = 0.02 if chooser.number(12) == 1 else WAIT
        self.stays_away = chooser.number(24) == 1
        self.events = chooser.pick((pb.IPC_RUN_EVENTS_ALL, *pb.IpcRunEvents.values()))
        self.permissions = chooser.pick(pb.IpcAnswerPolicy.values())
        self.questions = chooser.pick((pb.IPC_ANSWER_POLICY_REJECT, pb.IPC_ANSWER_POLICY_ASK))
        self.is_structured = chooser.number(8) == 1
        self.waits_for = chooser.number(12)
        """How many steps come before its answer."""
        self.steps: list[str] = []
        while chooser.more and len(self.steps) < 16:
            self.steps.append(self._step(chooser))

    @staticmethod
    def _step(chooser: Chooser) -> str:
        match chooser.number(32):
            case 1:
                return "resubscribed"
            case 2:
                return "ended"
            case 3:
                return "cancel"
        if chooser.number(3):
            return as_text(chooser.pick(seeds.RUN_EVENTS))
        return as_text(changed_json(chooser, seeds.RUN_EVENTS))


class _Hub(FakeHub):
    """A hub that calls nobody any more who has left, as the real one does."""

    def close(self, reason: str = "") -> None:
        with self._lock:
            super().close(reason)


class _OpenCode(Binding):
    """A server without a network, for one run."""

    def play(self, script: _Script, cancellation: Cancellation) -> None:
        put = object.__setattr__
        put(self, "events", _Hub())
        put(self, "script", script)
        put(self, "cancellation", cancellation)
        put(self, "reader", EventReader(EventMemory(), OddLog()))
        put(self, "message_id", _OURS)
        put(self, "gate", threading.Event())  # opened when the prompt is to be answered
        put(self, "left", threading.Event())  # set by the target when the run is over
        put(self, "calls", threading.Semaphore(0))
        if script.stays_away:
            self.events.error = opencode_errors.no_server("no events today")

    def call(
        self,
        method: str,
        path: str,
        query: Any,
        deadline: Deadline,
        body: Any = None,
        *,
        fresh: bool = False,
    ) -> Any:
        route, script = _route(method, path), self.script
        if route == "prompt":
            if "noReply" in body:
                return True
            object.__setattr__(self, "message_id", body["messageID"])
            self.hub.put(self)
            self.gate.wait(WAIT)
            if script.never_ends and script.is_stubborn:
                self.left.wait(WAIT)
            self.calls.release()
            return self._said(script.outcome)
        if route == "abort" and not (script.never_ends and script.is_stubborn):
            self.gate.set()
        answers = script.answers.get(route, [True])
        return self._said(answers[0])

    def _said(self, what: Any) -> Any:
        if callable(what):
            raise what()
        return json.loads(as_text(what).replace(_OURS, self.message_id), parse_constant=str)

    def publish(self) -> None:
        """Go through the steps. The hub's thread."""
        for number, step in enumerate(self.script.steps):
            if number == self.script.waits_for and not self.script.never_ends:
                self.gate.set()
            for subscriber in list(self.events.subscribers):
                if step == "resubscribed":
                    subscriber.resubscribed()
                elif step == "ended":
                    subscriber.ended("the fuzzer has ended it")
            if step == "cancel":
                self.cancellation.cancel("the fuzzer has cancelled it")
            found = self.reader.read(step.replace(_OURS, self.message_id))
            event = self.reader.event(*found) if found is not None else None
            if event is not None:
                self.events.publish(event)
        if self.script.never_ends:
            self.cancellation.cancel("nothing follows")
        else:
            self.gate.set()


def _route(method: str, path: str) -> str:
    place = path.partition("?")[0].strip("/").split("/")
    if place[:1] == ["config"]:
        return "providers"
    if place[:1] in (["permission"], ["question"]):
        return "reply"
    if place == ["session", "status"]:
        return "status"
    if len(place) == 2:
        return "session"
    if place[2:3] == ["message"]:
        if method == "POST":
            return "prompt"
        return "message" if place[3:] else "messages"
    return place[-1]


class _Sink:
    def __init__(self) -> None:
        self.events: list[ext_event_pb2.IpcEvent] = []

    def event(self, message: ext_event_pb2.IpcEvent) -> None:
        self.events.append(message)

    def opened(self) -> None: ...

    def ended(self, reason: str) -> None: ...


class Runs:
    """Events, answers, refusals, cancels and silence in any order: each run ends once, in time,
    with a result or an error of ours, and nothing of it is left."""

    def __init__(self) -> None:
        self._patience = {name: getattr(runs_module, name) for name in _PATIENCE}
        for name, seconds in _PATIENCE.items():
            setattr(runs_module, name, seconds)
        self._http = OpenCodeHttp(_URL)
        self._runs = Prompts()
        self._prompts: queue.SimpleQueue[_OpenCode | None] = queue.SimpleQueue()
        self._done = threading.Semaphore(0)
        self._failed: list[BaseException] = []
        self._hub = threading.Thread(target=self._publish, name="fuzz-hub", daemon=True)
        self._hub.start()

    def _publish(self) -> None:
        while (server := self._prompts.get()) is not None:
            try:
                server.publish()
            except BaseException as error:  # it would end the hub's thread, and all subscriptions
                self._failed.append(error)
                server.gate.set()
            self._done.release()

    def __call__(self, data: bytes) -> None:
        script = _Script(Chooser(data))
        server, cancellation, sink = _OpenCode(self._http), Cancellation(), _Sink()
        object.__setattr__(server, "hub", self._prompts)
        server.play(script, cancellation)
        request = pb.IpcPromptRequest(
            session_id=_SESSION,
            text="hello",
            events=script.events,
            permissions=script.permissions,
            questions=script.questions,
        )
        if script.is_structured:
            request.schema_json = "{}"
        begun = time.monotonic()
        refused: BackendError | None = None
        try:
            result = self._runs.run(
                server,
                request,
                sink,
                deadline=Deadline.after(script.seconds),
                cancellation=cancellation,
            )
            self._check(result)
        except BackendError as error:
            refused = error
        took = time.monotonic() - begun
        if refused is not None:
            assert refused.message.encode()
            assert refused.code in ipc_pb2.IpcErrorCode.values()
        told = len(sink.events)
        server.gate.set()
        server.left.set()
        if server.message_id != _OURS:  # it was sent, so the other two threads come to their end
            assert self._done.acquire(timeout=WAIT)
            assert server.calls.acquire(timeout=WAIT)
        assert not self._failed, repr(self._failed.pop())
        assert took < WAIT, f"a run took {took:.1f} s"
        assert len(sink.events) == told, "a run told something after its end"
        for event in sink.events:
            event.FromString(event.SerializeToString())
        assert not server.events.subscribers
        assert not self._runs._running
        assert not self._runs._turns._queues
        assert not server.keys._running

    @staticmethod
    def _check(result: pb.IpcRunResult) -> None:
        assert pb.IpcRunResult.FromString(result.SerializeToString()).session_id == _SESSION
        if result.HasField("failure"):
            assert result.failure.kind
            assert result.failure.message

    def close(self) -> None:
        self._prompts.put(None)
        self._hub.join(WAIT)
        self._runs.close()
        self._http.close()
        for name, seconds in self._patience.items():
            setattr(runs_module, name, seconds)
