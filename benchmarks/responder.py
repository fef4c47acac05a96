"""A process that answers health checks at once: what the contenders talk to.

Prints its port, then serves until its standard input ends.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from opencode_sync.wire import ipc_pb2


def answer(connection: ServerConnection) -> None:
    """Serve one connection until its end, however that comes."""
    try:
        answer_all(connection)
    except ConnectionClosed:
        return


def answer_all(connection: ServerConnection) -> None:
    """Answer what comes."""
    for data in connection:
        assert isinstance(data, bytes)
        request = ipc_pb2.IpcClientMessage.FromString(data)
        response = ipc_pb2.IpcServerMessage(request_id=request.request_id)
        if request.HasField("auth_handshake"):
            response.auth_handshake_response.success = True
        else:
            response.check_health_response.healthy = True
        connection.send(response.SerializeToString())


def main(argv: Sequence[str]) -> None:
    """Serve until standard input ends."""
    with serve(answer, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        print(server.socket.getsockname()[1], flush=True)
        sys.stdin.read()
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])
