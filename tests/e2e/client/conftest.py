"""One OpenCode, one stub of a model and one gateway for all tests of this folder.

Each test has a client, and a session, of its own; gates (see the stub) have the test's own names.
A test that breaks the server, the gateway or the connection makes its own of what it breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opencode_sync import IpcClient, IpcClientOptions, IpcConfig
from opencode_sync.gateway import Gateway, OpenCodeBackend
from tests.e2e.client.asking import Asked
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import StubModel


@pytest.fixture(scope="package")
def stub() -> Iterator[StubModel]:
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture(scope="package")
def start(
    opencode_program: Path, stub: StubModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], RealServer]]:
    """Start servers whose provider "stub" is the stub model; they end with the package."""
    servers: list[RealServer] = []
    dead = {"down": {**stub.provider("down", baseURL="http://127.0.0.1:9/v1")["down"]}}
    config = stub.config(provider={**stub.provider(), **dead})

    def start() -> RealServer:
        folder = tmp_path_factory.mktemp("opencode-of-clients")
        environ = {"OPENCODE_CONFIG_CONTENT": config}
        servers.append(RealServer(opencode_program, folder, environ=environ))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="package")
def server(start: Callable[[], RealServer]) -> RealServer:
    """The server of all tests of this folder. Its provider "down" leads nowhere."""
    return start()


@pytest.fixture(scope="package")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second project folder."""
    return tmp_path_factory.mktemp("elsewhere").resolve()


@pytest.fixture(scope="package")
def gateway(server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("settings")
    backend = OpenCodeBackend(
        server.url,
        config_file=folder / "config.json",
        environ={"GROQ_API_KEY": "gsk_of-the-tests-0123456789abcdef", "HOME": str(folder)},
    )
    with Gateway(backend) as gateway:
        yield gateway


@pytest.fixture
def connect(gateway: Gateway) -> Iterator[Callable[..., IpcClient]]:
    """``connect(**options)`` connects one more client of the test's own."""
    clients: list[IpcClient] = []

    def make(**options: object) -> IpcClient:
        config = IpcConfig(gateway.port, gateway.auth_token)
        chosen = IpcClientOptions(**options)  # type: ignore[arg-type]
        clients.append(IpcClient(config, options=chosen))
        clients[-1].connect()
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[..., IpcClient]) -> IpcClient:
    return connect()


@pytest.fixture
def asked(client: IpcClient, server: RealServer) -> Asked:
    """A new session, and what OpenCode itself says of it."""
    return Asked(server, client.create_session("of a test").id)
