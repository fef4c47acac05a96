"""The backend behind a ``FakeIpcClient``: one link at a time, everything in the order it came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from opencode_sync.deadline import NOW
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.testing.envelope import error_answer, unwrap
from opencode_sync.testing.fake_events import FakeEvents, Key, busy_event
from opencode_sync.testing.fake_names import KnownNames
from opencode_sync.testing.fake_run import FakeRun, is_yes
from opencode_sync.testing.fake_store import DIRECTORY
from opencode_sync.testing.gate import Gate
from opencode_sync.testing.peer import Links, ServedLink
from opencode_sync.testing.steps import Pause, PromptScript
from opencode_sync.wire import ext_event_pb2, ext_operations_pb2, ext_prompt_pb2, ipc_pb2
from opencode_sync.wire.oc_message_pb2 import OcMessage

__all__ = ["FakeBackend"]

_UNLIMITED: Final = 30.0
_LARGEST: Final = 64 << 20
_CANCELLED: Final = "cancelled by the client"
_Request = ipc_pb2.IpcClientMessage


class FakeBackend:
    """Serves a fake client. Any thread may call any method."""

    def __init__(self) -> None:
        # Guards everything below, the store and the runs too. What is done under it is short: links
        # in memory take an answer without waiting.
        self.lock = threading.RLock()
        self.events = FakeEvents()
        self.store = self.events.store
        self.names = KnownNames(self.store)
        self.scripts: list[PromptScript] = []
        self.gates: dict[str, Gate] = {}
        self.links = Links(self._take, self._link_ended)
        self._dispatcher = Dispatcher(
            self.store, request_timeout=_UNLIMITED, max_message_size=_LARGEST
        )
        self._runs: dict[Key, FakeRun] = {}
        self._turns: dict[str, deque[Key]] = {}  # by session: only the first runs

    # --- Requests, on the link's thread ---

    def _take(self, link: ServedLink, message: _Request) -> None:
        request, directory = unwrap(message)
        operation = request.WhichOneof("payload") or ""
        with self.lock:
            gate = self.gates.get(operation)

            def serve() -> None:
                with self.lock:
                    self._serve(link, operation, request, directory)

            if gate is None or not gate.park((link, request.request_id), serve):
                serve()

    def _serve(self, link: ServedLink, operation: str, request: _Request, directory: str) -> None:
        handler = self._HANDLERS.get(operation)
        if handler is None:
            link.send_raw(self._dispatcher.answer(request, directory))
            return
        try:
            handler(self, (link, request.request_id), request, directory)
        except BackendError as error:
            link.send(request.request_id, error_answer(error.code, error.message))

    def _subscribe(self, key: Key, request: _Request, directory: str) -> None:
        self.events.subscribe(key, request.subscribe, directory, self._current())

    def _current(self) -> list[ext_event_pb2.IpcEvent]:
        """Return what is so now: who is at work, then the questions that wait."""
        at_work, waiting = [], []
        for session_id, line in self._turns.items():
            at_work.append(busy_event(session_id, self._directory_of(session_id)))
            asked = self._runs[line[0]].asked
            if asked is not None:
                waiting.append(asked)
        current = []
        for each in (*at_work, *waiting):
            read = ext_event_pb2.IpcEvent()
            read.CopyFrom(each)
            read.replayed = True
            current.append(read)
        return current

    def _directory_of(self, session_id: str) -> str:
        session = self.store.sessions.get(session_id)
        return DIRECTORY if session is None else session.directory

    def _unsubscribe(self, key: Key, request: _Request, directory: str) -> None:
        found = self.events.unsubscribe((key[0], request.unsubscribe.request_id), _CANCELLED)
        key[0].send(key[1], ext_event_pb2.IpcUnsubscribeResponse(found=found))

    def _cancel(self, key: Key, request: _Request, directory: str) -> None:
        target = (key[0], request.cancel.request_id)
        run = self._runs.get(target)
        found = self.events.unsubscribe(target, _CANCELLED)
        if run is not None:
            found = True
            run.fail("aborted", _CANCELLED)
        for gate in self.gates.values():
            if gate.leave(target):
                found = True
                key[0].send(target[1], error_answer("SERVER_ERROR", _CANCELLED))
        key[0].send(key[1], ext_operations_pb2.IpcCancelResponse(found=found))

    def _abort_session(self, key: Key, request: _Request, directory: str) -> None:
        session = self.store.get_session(request.abort_session.session_id, deadline=NOW)
        for each in list(self._turns.get(session.id, ())):
            self._runs[each].fail("aborted", "the session was aborted")
        key[0].send(key[1], ext_operations_pb2.IpcAbortSessionResponse(success=True))

    def _reply_permission(self, key: Key, request: _Request, directory: str) -> None:
        reply = request.reply_permission
        run = self._asking("permission", reply.permission_id)
        key[0].send(key[1], ext_operations_pb2.IpcReplyPermissionResponse())
        run.reply(is_yes(reply.reply))

    def _reply_question(self, key: Key, request: _Request, directory: str) -> None:
        reply = request.reply_question
        run = self._asking("question", reply.question_id)
        key[0].send(key[1], ext_operations_pb2.IpcReplyQuestionResponse())
        run.reply(bool(reply.answers))

    def _asking(self, what: str, question_id: str) -> FakeRun:
        for run in self._runs.values():
            if question_id and run.waits_for == question_id:
                return run
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
            f"{what}_id: no {what} {question_id[:100]} is open; it was answered, or never asked",
        )

    def _prompt(self, key: Key, request: _Request, directory: str) -> None:
        prompt = request.prompt
        failure = self.names.problem_of(prompt)
        if failure is not None:
            result = ext_prompt_pb2.IpcRunResult(session_id=prompt.session_id, failure=failure)
            key[0].send(key[1], result)
            return
        self._begin(key, FakeRun(self, prompt, self._script_for(prompt.text)))

    def _send_message(self, key: Key, request: _Request, directory: str) -> None:
        wanted = request.send_message
        self.store.get_session(wanted.session_id, deadline=NOW)
        prompt = ext_prompt_pb2.IpcPromptRequest(
            session_id=wanted.session_id,
            text=wanted.text,
            model_id=wanted.model_id,
            provider_id=wanted.provider_id,
            agent=wanted.agent,
        )
        failure = self.names.problem_of(prompt)
        if failure is not None:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, failure.message)
        self._begin(key, _LastMessage(self, prompt, self._script_for(wanted.text)))

    _HANDLERS: Final[dict[str, Callable[[FakeBackend, Key, _Request, str], None]]] = {
        "abort_session": _abort_session,
        "cancel": _cancel,
        "prompt": _prompt,
        "reply_permission": _reply_permission,
        "reply_question": _reply_question,
        "send_message": _send_message,
        "subscribe": _subscribe,
        "unsubscribe": _unsubscribe,
    }

    # --- Runs: those of one session take turns ---

    def _script_for(self, text: str) -> PromptScript:
        for script in self.scripts:
            if script.to in (None, text):
                if not script.repeat:
                    self.scripts.remove(script)
                return script
        return PromptScript((f"You said: {text}",))

    def _begin(self, key: Key, run: FakeRun) -> None:
        self._runs[key] = run
        line = self._turns.setdefault(run.session_id, deque())
        line.append(key)
        if line[0] == key:
            self._start(run)

    def _start(self, run: FakeRun) -> None:
        self.events.emit(busy_event(run.session_id, self._directory_of(run.session_id)))
        run.begin()

    def _key_of(self, run: FakeRun) -> Key | None:
        return next((key for key, each in self._runs.items() if each is run), None)

    # What a run asks of its stage

    def new_id(self, kind: str) -> str:
        """See ``Stage``."""
        return self.store.new_id(kind)

    def now(self) -> int:
        """See ``Stage``."""
        return self.store.now()

    def pause(self, step: Pause, run: FakeRun) -> bool:
        """See ``Stage``."""

        def go_on() -> None:
            with self.lock:
                run.go_on()

        return step.gate.park(run, go_on)

    def publish(
        self, event: ext_event_pb2.IpcEvent, run: FakeRun, *, attention: bool = False
    ) -> None:
        """See ``Stage``."""
        event.directory = self._directory_of(run.session_id)
        wanted = run.request.events
        if wanted == ext_prompt_pb2.IPC_RUN_EVENTS_ALL or (
            attention and wanted == ext_prompt_pb2.IPC_RUN_EVENTS_ATTENTION
        ):
            key = self._key_of(run)
            if key is not None:
                key[0].send(key[1], ext_event_pb2.IpcEventPush(event=event))
        self.events.emit(event)

    def ended(self, run: FakeRun, result: ext_prompt_pb2.IpcRunResult) -> None:
        """See ``Stage``."""
        key = self._key_of(run)
        if key is None:
            return  # its link has ended
        self.store.add_messages(
            run.session_id, OcMessage(user=run.user), OcMessage(assistant=run.answer)
        )
        self._leave(key, run)
        last = isinstance(run, _LastMessage)
        key[0].send(key[1], result.messages[-1] if last else result)
        self.events.emit(ext_event_pb2.IpcEvent(type="session.idle", session_id=run.session_id))
        self._next_turn(run.session_id)

    def _leave(self, key: Key, run: FakeRun) -> None:
        del self._runs[key]
        line = self._turns[run.session_id]
        line.remove(key)
        if not line:
            del self._turns[run.session_id]

    def _next_turn(self, session_id: str) -> None:
        line = self._turns.get(session_id)
        if line:
            run = self._runs[line[0]]
            if not run.answer.created:
                self._start(run)

    def _link_ended(self, link: ServedLink) -> None:
        """Forget what was asked on a link that has ended; its runs end with it."""
        with self.lock:
            self.events.forget(link)
            sessions = set()
            for key, run in [each for each in self._runs.items() if each[0][0] is link]:
                self._leave(key, run)
                run.fail("aborted", "the client has gone")
                sessions.add(run.session_id)
            for session_id in sessions:
                self._next_turn(session_id)


class _LastMessage(FakeRun):
    """A run that answers with its last message and nothing else, as ``send_message`` does."""
