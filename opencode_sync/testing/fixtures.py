"""What the pytest fixtures are made of; usable without pytest as well."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from opencode_sync.client import IpcClient
from opencode_sync.config import IpcConfig
from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing.faults import Fault
from opencode_sync.testing.plan import FaultPlan
from opencode_sync.testing.proxy import FaultProxy, ProxiedBackend
from opencode_sync.testing.transport import FaultyTransports
from opencode_sync.transport.base import TransportFactory

if TYPE_CHECKING:
    from opencode_sync.gateway import EmbeddedBackend, Gateway

__all__ = ["Faults", "client_in_memory", "listening_gateway"]

_UNUSED_PORT: Final = 65535
"""A configuration has to name one; a link in memory has none."""

_RUNTIME_FILE: Final = "OPENCODE_SYNC_RUNTIME_FILE"
_OVERRIDES: Final = ("OPENCODE_IPC_PORT", "OPENCODE_IPC_TOKEN")


class _Environment(Protocol):
    """What is needed of ``pytest.MonkeyPatch``."""

    def setenv(self, name: str, value: str, /) -> None: ...

    def delenv(self, name: str, /, *, raising: bool) -> None: ...


@contextmanager
def client_in_memory(folder: Path) -> Iterator[IpcClient]:
    """Give a connected client of a gateway that is reached in memory.

    Args:
        folder: Where the sessions are kept.
    """
    from opencode_sync.gateway import Gateway

    gateway = Gateway(_embedded(folder))
    client = IpcClient(
        IpcConfig(_UNUSED_PORT, gateway.auth_token),
        transport_factory=lambda config, options: gateway.connect_in_memory(),
    )
    try:
        with client:
            yield client
    finally:
        gateway.stop()


@contextmanager
def listening_gateway(folder: Path, environment: _Environment) -> Iterator[Gateway]:
    """Give a gateway that listens on loopback, and that ``IpcClient()`` finds.

    Args:
        folder: Where its files are.
        environment: Gets the variable by which it is found.
    """
    from opencode_sync.gateway import Gateway

    runtime_file = folder / "run" / "gateway.json"
    with Gateway(_embedded(folder), runtime_file=runtime_file) as gateway:
        environment.setenv(_RUNTIME_FILE, str(runtime_file))
        for name in _OVERRIDES:
            environment.delenv(name, raising=False)
        yield gateway


def _embedded(folder: Path) -> EmbeddedBackend:
    from opencode_sync.gateway import EmbeddedBackend
    from opencode_sync.gateway.app_config import AppConfigStore

    # The user's own settings are not for tests.
    config = AppConfigStore(folder / "config.json")
    return EmbeddedBackend(folder / "sessions.db", directory=folder, config=config)


class Faults:
    """Makes connections on which things go wrong, all by one seed. For one thread.

    Example::

        def test_it_survives(opencode_gateway, opencode_faults):
            proxy = opencode_faults.proxy(opencode_gateway, Fault.reset(message=3))
            config = IpcConfig(proxy.port, opencode_gateway.auth_token)
            with IpcClient(config) as client:
                program_under_test(client)
    """

    def __init__(self, name: str) -> None:
        """Make nothing yet.

        Args:
            name: What the seed is made of: the same in every run.
        """
        self.seed: int = zlib.crc32(name.encode())
        """Decides every probability and choice of the plans that are made here; may be set."""
        self._plans: list[FaultPlan] = []
        self._open = ExitStack()

    def plan(self, *faults: Fault | FaultPlan) -> FaultPlan:
        """Return a plan of these faults; of some that the seed makes up if there are none.

        Args:
            *faults: What goes wrong; or a plan that a failed test has shown, as it was shown.

        Raises:
            IpcArgumentError: these are no faults, or there is something beside the plan.
        """
        only = [each for each in faults if not isinstance(each, FaultPlan)]
        if not faults:
            made = FaultPlan.from_seed(self.seed)
        elif len(only) == len(faults):
            made = FaultPlan(only, seed=self.seed)
        elif len(faults) == 1 and isinstance(faults[0], FaultPlan):
            made = faults[0]
        else:
            raise IpcArgumentError(
                "faults holds a plan beside other things; give either one plan or faults",
                field="faults",
            )
        self._plans.append(made)
        return made

    def proxy(self, backend: ProxiedBackend, *faults: Fault | FaultPlan) -> FaultProxy:
        """Return a running proxy in front of a backend; it is stopped when the test is over.

        Args:
            backend: A gateway, an address, or a function that is asked for one.
            *faults: What goes wrong, or a plan; none at all: what the seed makes up.

        Raises:
            IpcArgumentError: an argument is none of these.
        """
        proxy = FaultProxy(backend, self.plan(*faults))
        proxy.start()
        self._open.callback(proxy.stop)
        return proxy

    def transports(self, factory: TransportFactory, *faults: Fault | FaultPlan) -> FaultyTransports:
        """Return a ``transport_factory`` with faults around another one.

        Args:
            factory: Makes the links that work: ``ScriptedBackend.transport_factory``,
                ``FakeIpcClient.transport_factory``, or
                ``lambda config, options: gateway.connect_in_memory()``.
            *faults: As for ``proxy``.
        """
        return FaultyTransports(factory, self.plan(*faults))

    def report(self) -> str:
        """Return all plans as the expressions that make them again; "" if none was made."""
        return "\n".join(map(repr, self._plans))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def __repr__(self) -> str:
        return f"Faults(seed={self.seed})"
