"""A proxy on loopback that does to a connection what a ``FaultPlan`` says.

It stands in front of any backend, and a program under test connects to it instead::

    plan = FaultPlan([Fault.reset(direction="to_client", message=3, offset=1)], seed=1)
    with FaultProxy(gateway, plan) as proxy:
        config = IpcConfig(port=proxy.port, auth_token=gateway.auth_token)
        with IpcClient(config) as client:
            ...
    assert proxy.injected

An exception that leaves the ``with`` block gets a note that says how to replay the faults.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from opencode_sync.errors import IpcArgumentError, IpcUsageError
from opencode_sync.logger import logger
from opencode_sync.testing.faults import Fault, FaultKind
from opencode_sync.testing.link import ProxiedLink, reset
from opencode_sync.testing.loop import ProxyLoop
from opencode_sync.testing.plan import FaultPlan, Injection, Journal, check_plan

__all__ = ["Address", "FaultProxy", "ProxiedBackend"]

Address = tuple[str, int]
"""Host and port."""


class _Listening(Protocol):
    """What is needed of a ``Gateway``."""

    @property
    def port(self) -> int: ...


ProxiedBackend = _Listening | Address | Callable[[], Address]
"""Where connections go: a gateway that runs, an address, or a function that returns one."""

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class FaultProxy:
    """Passes connections on to a backend, with faults. Any thread may call any method.

    All of it runs on one thread, joined by ``stop``. Connections are numbered from 1 as they come.
    """

    def __init__(
        self,
        backend: ProxiedBackend,
        plan: FaultPlan | None = None,
        *,
        port: int = 0,
        websocket: bool = True,
    ) -> None:
        """Make a proxy that does not listen yet.

        Args:
            backend: Where connections go: a gateway that runs, or another proxy; an address; or a
                function that is asked for one for each of them.
            plan: What goes wrong; None for nothing.
            port: Where to listen on 127.0.0.1; 0 takes any free port.
            websocket: Whether the bytes are a WebSocket's. Each message is then passed on once it
                is whole, and the ``Host`` of the handshake is made the backend's own. Without,
                bytes are passed on as they come, and only faults with an offset or of the whole
                stream strike.

        Raises:
            IpcArgumentError: the backend is none, or not on loopback; the plan is none.
            IpcUsageError: the backend is a gateway that does not run.
        """
        self._backend = _asked(backend)
        self._plan = FaultPlan(seed=0) if plan is None else check_plan(plan)
        self._wanted_port = port
        self._websocket = websocket
        self._journal = Journal()
        self._accepted = 0  # written by the loop's thread alone
        self._lock = threading.Lock()  # guards the two below, through a start or a stop
        self._loop: ProxyLoop | None = None
        self._stopped = False

    # --- What a test looks at ---

    @property
    def port(self) -> int:
        """Where it listens, also while it is down.

        Raises:
            IpcUsageError: it was not started.
        """
        loop = self._loop
        if loop is None:
            raise IpcUsageError("the proxy has no port before start()")
        return loop.port

    @property
    def endpoint(self) -> str:
        """Where it is reached: ``"ws://127.0.0.1:4096/"``."""
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def connections(self) -> int:
        """How many came until now, those that were refused included."""
        return self._accepted

    @property
    def injected(self) -> tuple[Injection, ...]:
        """The faults that struck until now, in order."""
        return self._journal.injections()

    @property
    def plan(self) -> FaultPlan:
        """What goes wrong; a new plan holds for what comes in from then on."""
        return self._plan

    @plan.setter
    def plan(self, plan: FaultPlan) -> None:
        self._plan = check_plan(plan)

    def __repr__(self) -> str:
        loop = self._loop
        return f"FaultProxy(port={loop.port if loop else self._wanted_port}, {self._plan!r})"

    # --- Life ---

    def start(self) -> None:
        """Begin to listen. A second call does nothing.

        Raises:
            OSError: the port cannot be had.
            IpcUsageError: the proxy was stopped.
        """
        with self._lock:
            if self._stopped:
                raise IpcUsageError("the proxy was stopped; make a new one")
            if self._loop is None:
                self._loop = ProxyLoop(self._wanted_port, self._accept)

    def stop(self) -> None:
        """End all connections and the thread. Idempotent."""
        with self._lock:
            self._stopped = True
            if self._loop is not None:
                self._loop.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if exc is not None:
            exc.add_note(f"these faults were injected: {self._plan!r}")

    # --- Faults by hand ---

    def inject(self, fault: Fault, *, connection: int | None = None) -> int:
        """Let a fault strike what is connected, now; where it says it strikes is not looked at.

        Args:
            fault: One that ends, silences or holds up a link.
            connection: The number of the only connection it strikes; None: all.

        Returns:
            How many connections it struck.

        Raises:
            IpcArgumentError: the fault is of a kind that needs a message.
        """
        if fault.kind not in _BY_HAND:
            raise IpcArgumentError(
                f"fault is {fault!r}, which needs a message to strike; put it into a plan",
                field="fault",
            )
        struck: list[ProxiedLink] = []

        def strike(loop: ProxyLoop) -> None:
            now = time.monotonic()
            for link in sorted(loop.links, key=lambda link: link.number):
                if connection in (None, link.number) and link.inject(fault):
                    struck.append(link)
                    loop.advance(link, now)

        self._ask(strike)
        return len(struck)

    def go_down(self) -> None:
        """Stop listening: whoever connects now is refused. Open connections go on."""
        self._ask(ProxyLoop.close_listener)

    def come_back(self) -> None:
        """Listen again, on the same port.

        Raises:
            OSError: somebody else has the port.
        """
        problems: list[OSError] = []

        def listen(loop: ProxyLoop) -> None:
            try:
                loop.listen()
            except OSError as error:
                problems.append(error)

        self._ask(listen)
        if problems:
            raise problems[0]

    def _ask(self, job: Callable[[ProxyLoop], None]) -> None:
        """Have the loop's thread do something, and wait until it has."""
        loop = self._loop
        if loop is None or not loop.ask(lambda: job(loop)):
            raise IpcUsageError("the proxy does not run; call start(), or use it in a with block")

    def _accept(
        self, client: socket.socket, selector: selectors.BaseSelector
    ) -> ProxiedLink | None:
        """Make a link of a connection, or refuse it. The loop's thread."""
        self._accepted = number = self._accepted + 1
        refusal = self._plan.refuses(number)
        if refusal is not None:
            self._journal.note(Injection(refusal, number, None, 0))
            reset(client)
            return None
        try:
            return ProxiedLink(
                number,
                client,
                _on_loopback(self._backend()),
                selector=selector,
                websocket=self._websocket,
                plan=lambda: self._plan,
                journal=self._journal,
            )
        except Exception as error:  # noqa: BLE001 - the caller's function may raise anything
            logger.warning("the proxy refused connection {}: {}", number, error)
            reset(client)
            return None


_BY_HAND: Final = frozenset(
    {
        FaultKind.DELAY,
        FaultKind.FREEZE,
        FaultKind.HALF_OPEN,
        FaultKind.RESET,
        FaultKind.CUT,
        FaultKind.CLOSE,
    }
)
"""Kinds that need no message."""


def _asked(backend: ProxiedBackend) -> Callable[[], Address]:
    """Return what is asked for the address of each connection."""
    if isinstance(backend, tuple):
        address = _on_loopback(backend)
    elif callable(backend):
        return backend
    else:
        port = getattr(backend, "port", None)
        if not isinstance(port, int):
            raise IpcArgumentError(
                f"backend is of type {type(backend).__name__}; give a gateway that runs, an "
                'address such as ("127.0.0.1", 4096), or a function that returns one',
                field="backend",
            )
        address = ("127.0.0.1", port)
    return lambda: address


def _on_loopback(backend: Address) -> Address:
    host, _ = backend
    if host not in _LOOPBACK:
        raise IpcArgumentError(
            f"backend is at {host!r}; give one on loopback, such as 127.0.0.1", field="backend"
        )
    return backend
