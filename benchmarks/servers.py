"""Two servers to compare: ``python -m benchmarks.servers gateway`` and ``... websockets``.

The gateway on its embedded store, and the plainest server that its library makes: one thread a
connection, each request decoded, answered and encoded in turn. Prints its port, then serves until
its standard input ends.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from benchmarks.wire import TOKEN
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.wire import ipc_pb2


def serve_gateway() -> None:
    """Serve by the gateway."""
    with tempfile.TemporaryDirectory() as folder:
        backend = EmbeddedBackend(Path(folder) / "sessions.db", directory=folder)
        with Gateway(backend, auth_token=TOKEN) as gateway:
            print(gateway.port, flush=True)
            sys.stdin.read()


def serve_websockets() -> None:
    """Serve by ``websockets.sync`` alone."""
    with serve(_answer, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        print(server.socket.getsockname()[1], flush=True)
        sys.stdin.read()
        server.shutdown()
        thread.join()


def _answer(connection: ServerConnection) -> None:
    try:
        for data in connection:
            assert isinstance(data, bytes)
            request = ipc_pb2.IpcClientMessage.FromString(data)
            response = ipc_pb2.IpcServerMessage(request_id=request.request_id)
            if request.HasField("auth_handshake"):
                response.auth_handshake_response.success = True
            else:
                response.check_health_response.healthy = True
            connection.send(response.SerializeToString())
    except ConnectionClosed:
        return


def main(argv: Sequence[str]) -> None:
    """Serve until standard input ends."""
    serves = {"gateway": serve_gateway, "websockets": serve_websockets}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=serves)
    serves[parser.parse_args(argv).server]()


if __name__ == "__main__":
    main(sys.argv[1:])
