"""A client stepped through everything that can happen, in every order hypothesis thinks of.

One thread decides everything: which request is answered, late, twice or never, which call is
cancelled or runs out of time, when the link ends and how, when the client closes and connects. So
a failure is a short list of steps, and the same list fails again.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from opencode_sync import ConnectionState, IpcClient, IpcError, ReconnectPolicy
from opencode_sync.metrics import InMemoryMetrics
from tests.chaos.backends import session
from tests.chaos.model import Ledger, Record, violations
from tests.support.backend import HOLD, WAIT, Link, ScriptedBackend
from tests.support.leaks import eventually, no_leaks

EXAMPLES = int(os.environ.get("OPENCODE_SYNC_CHAOS_EXAMPLES", "60"))
LONG = 60.0
"""Seconds that no call of these tests takes."""


@dataclass
class Asked:
    """A request that the backend holds."""

    link: Link
    request_id: int
    nonce: str


class Machine(RuleBasedStateMachine):
    """The steps."""

    calls: Bundle[Future[Any]] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.leaks = no_leaks()
        self.leaks.__enter__()
        self.backend = ScriptedBackend()
        self.backend.rule("create_session", HOLD)
        self.backend.rule("get_session", HOLD)
        self.ledger, self.metrics = Ledger(), InMemoryMetrics()
        self.asked: list[Asked] = []
        self.answered: list[Asked] = []
        self.read: Counter[int] = Counter()
        self.seen: Counter[str] = Counter()
        self.count = 0
        self.client: IpcClient

    @initialize(
        reconnect=st.sampled_from([True, True, False]),
        wait=st.booleans(),
        attempts=st.sampled_from([None, 1, 2]),
        connect=st.sampled_from([True, True, False]),
    )
    def begin(self, reconnect: bool, wait: bool, attempts: int | None, connect: bool) -> None:
        self.endless = reconnect and attempts is None
        policy = ReconnectPolicy(
            initial_delay=0.001, jitter=0.0, wait_while_down=wait, attempts=attempts
        )
        self.client = self.backend.client(
            metrics=self.metrics, reconnect=policy if reconnect else None
        )
        self.client.on_state_change(self.ledger.step)
        if connect:
            self.client.connect()

    # --- The caller ---

    @rule(target=calls, idempotent=st.booleans())
    def call(self, idempotent: bool) -> Future[Any]:
        self.count += 1
        nonce = str(self.count)
        record = self.ledger.open(nonce, idempotent=idempotent, timeout=LONG)
        return self._begin(record, LONG)

    def _begin(self, record: Record, timeout: float) -> Future[Any]:
        futures = self.client.futures
        if record.idempotent:
            future: Future[Any] = futures.get_session(f"ses_{record.nonce}", timeout=timeout)
        else:
            future = futures.create_session(record.nonce, timeout=timeout)
        future.add_done_callback(lambda done: self.ledger.close_with(record, done))
        return future

    @rule(idempotent=st.booleans())
    def call_without_time(self, idempotent: bool) -> None:
        self.count += 1
        record = self.ledger.open(str(self.count), idempotent=idempotent, timeout=0.002)
        future = self._begin(record, 0.002)
        assert concurrent.futures.wait([future], WAIT).done

    @rule(future=consumes(calls))
    def cancel(self, future: Future[Any]) -> None:
        if future.cancel():
            assert future.cancelled()

    @rule(idempotent=st.booleans())
    def call_and_cancel_at_once(self, idempotent: bool) -> None:
        future = self.call(idempotent)
        future.cancel()
        assert future.done()

    # --- The connection ---

    @rule(refuse=st.sampled_from([False, False, True]))
    def connect(self, refuse: bool = False) -> None:
        self._refuse(refuse)
        try:
            self.client.connect()
        except IpcError:
            if self.backend.refusal is None:
                # It has joined an attempt that began while the backend refused; the next one has
                # no such excuse.
                self.client.connect()

    @rule()
    def close(self) -> None:
        self.client.close()
        assert not self.client.is_connected

    @rule(threads=st.integers(2, 4))
    def close_and_connect_at_once(self, threads: int) -> None:
        def connect() -> None:
            try:
                self.client.connect()
            except IpcError:
                return  # closed meanwhile, or refused

        jobs = [connect if n % 2 else self.client.close for n in range(threads)]
        started = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join(WAIT)
            assert not thread.is_alive()

    @rule()
    def let_it_settle(self) -> None:
        assert eventually(self._settled, WAIT)

    def _settled(self) -> bool:
        """Whether it is connected, or neither is nor will be by itself, or tries for ever."""
        if self.client.is_connected or (self.backend.refusal is not None and self.endless):
            return True
        changes = self.ledger.changes
        resting = self.client.state in (ConnectionState.FAILED, ConnectionState.DISCONNECTED)
        if not self.client._supervisor._wanted:
            return resting  # closed, perhaps while the next attempt was planned
        return resting and (not changes or changes[-1].retry_in is None)

    # --- The backend ---

    @rule(code=st.sampled_from([None, 1000, 1001, 1011, 4000]), settle=st.booleans())
    def end_link(self, code: int | None, settle: bool) -> None:
        def end(link: Link) -> None:
            if code is None:
                link.peer.drop()
            else:
                link.peer.close(code)

        self._lose(end)
        if settle:
            self.let_it_settle()

    @rule(idempotent=st.booleans(), refuse=st.booleans())
    def lose_it_with_a_call_on_its_way(self, idempotent: bool, refuse: bool) -> None:
        self.call(idempotent)
        self._refuse(refuse)
        self._lose(lambda link: link.peer.drop())
        self.let_it_settle()

    @rule()
    def break_the_rules(self) -> None:
        self._lose(lambda link: link.peer.violate())

    def _lose(self, end: Callable[[Link], None]) -> None:
        """End the newest link, and wait until the client has noticed."""
        if not self.backend.links:
            return
        links = self.backend.links
        end(self.backend.link(links - 1))
        assert eventually(
            lambda: not self.client.is_connected or self.backend.links > links, WAIT
        ), "the client does not notice that its link is gone"

    def _refuse(self, refuse: bool) -> None:
        self.backend.refusal = "nobody listens" if refuse else None

    def _link(self) -> Link | None:
        return self.backend.link(self.backend.links - 1) if self.backend.links else None

    def _read(self) -> None:
        """Learn of what came in on all links until now."""
        for number in range(self.backend.links):
            link = self.backend.link(number)
            for request in link.requests[self.read[number] :]:
                self.read[number] += 1
                if request.WhichOneof("payload") == "create_session":
                    nonce = request.create_session.title
                else:
                    nonce = request.get_session.session_id.removeprefix("ses_")
                self.seen[nonce] += 1
                self.asked.append(Asked(link, request.request_id, nonce))

    # What is drawn must not depend on what has come in by then, or nothing could be drawn again.

    @rule(which=st.integers(0, 1000))
    def answer(self, which: int) -> None:
        self._read()
        if self.asked:
            asked = self.asked.pop(which % len(self.asked))
            self.answered.append(asked)
            asked.link.send(asked.request_id, {"session_info": session(asked.nonce)})

    @rule(idempotent=st.booleans(), twice=st.booleans())
    def call_and_answer(self, idempotent: bool, twice: bool) -> None:
        """The ordinary case, and an answer that comes twice while the next call waits."""
        if not self.client.is_connected:
            return
        link = self._link()
        future = self.call(idempotent)
        nonce = str(self.count)
        assert eventually(lambda: self._has(nonce) or future.done(), WAIT)
        asked = next((each for each in self.asked if each.nonce == nonce), None)
        if asked is None or asked.link is not link:
            return  # lost in this moment
        self.asked.remove(asked)
        next_future = self.call(idempotent)
        for _ in range(1 + twice):
            asked.link.send(asked.request_id, {"session_info": session(nonce)})
        error = future.exception(WAIT)
        assert error is None or isinstance(error, IpcError)
        assert twice or not next_future.done() or next_future.exception() is not None

    def _has(self, nonce: str) -> bool:
        self._read()
        return any(asked.nonce == nonce for asked in self.asked)

    @rule(which=st.integers(0, 1000))
    def answer_again(self, which: int) -> None:
        if self.answered:
            asked = self.answered[which % len(self.answered)]
            asked.link.send(asked.request_id, {"session_info": session("somebody else")})

    @rule(request_id=st.integers(0, 2**63), garbage=st.binary(max_size=8))
    def send_what_nobody_asked_for(self, request_id: int, garbage: bytes) -> None:
        link = self._link()
        if link is not None:
            # No id that a call may be given before the client has read this.
            if request_id > 1000 or request_id == 0:
                link.send(request_id, {"session_info": session("nobody")})
            link.peer.send(b"\xff" + garbage)

    # --- What always holds ---

    @invariant()
    def no_more_ends_than_one(self) -> None:
        assert all(record.endings <= 1 for record in self.ledger.records)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """Where there is no connection, and will be none by itself, no call is left."""
        if hasattr(self, "client"):
            assert eventually(self._hope_or_end, WAIT), "calls are left, but nothing will come"

    def _hope_or_end(self) -> bool:
        if all(record.endings for record in self.ledger.records):
            return True
        changes = self.ledger.changes
        if self.client.state not in (ConnectionState.FAILED, ConnectionState.DISCONNECTED):
            return True
        return bool(changes) and changes[-1].retry_in is not None

    def teardown(self) -> None:
        try:
            if hasattr(self, "client"):
                self.client.close()
                self._check()
        finally:
            self.backend.close()
            self.leaks.__exit__(None, None, None)

    def _check(self) -> None:
        assert eventually(lambda: all(record.endings for record in self.ledger.records), WAIT)
        # What was sent is in a link's inbox before its call ends; let its thread read it.
        for number in range(self.backend.links):
            self.backend.link(number).peer.drop()
            self.backend.link(number).wait_for_end()
        self._read()
        wrong = list(
            violations(
                self.ledger.records,
                self.ledger.changes,
                self.seen,
                repeats_injected=False,
                bytes_changed=False,
            )
        )
        assert not wrong, "\n".join(wrong)
        counted = sum(
            each.succeeded + each.failed for each in self.metrics.snapshot().operations.values()
        )
        assert counted == len(self.ledger.records)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    derandomize="OPENCODE_SYNC_CHAOS_EXAMPLES" not in os.environ,
    # Making an example small takes minutes when a step of it waits for what never comes.
    phases=[Phase.generate, Phase.shrink]
    if "OPENCODE_SYNC_CHAOS_EXAMPLES" in os.environ
    else [Phase.generate],
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
