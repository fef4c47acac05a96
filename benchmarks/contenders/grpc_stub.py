"""gRPC as its users have it: a blocking stub, and ``.future`` for many calls at once."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders.base import PATIENCE, Contender, ContenderMissing
from opencode_sync.wire import ipc_pb2

__all__ = ["GrpcStub"]


class GrpcStub(Contender):
    """A stub made by hand: what ``protoc`` would write is the same four lines."""

    name = "gRPC"

    def __init__(self, port: int | None) -> None:
        try:
            import grpc  # type: ignore[import-untyped]
        except ImportError:
            raise ContenderMissing("grpcio is not installed") from None
        if port is None:
            raise ContenderMissing("the responder has no gRPC")
        self._channel = grpc.insecure_channel(
            f"127.0.0.1:{port}",
            options=[("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)],
        )
        grpc.channel_ready_future(self._channel).result(PATIENCE)
        self._call = self._channel.unary_unary(
            "/benchmark.Backend/Call",
            request_serializer=ipc_pb2.IpcClientMessage.SerializeToString,
            response_deserializer=ipc_pb2.IpcServerMessage.FromString,
        )

    def check_health(self) -> bool:
        healthy: bool = self._call(_health(), timeout=PATIENCE).check_health_response.healthy
        return healthy

    def list_sessions(self) -> int:
        request = ipc_pb2.IpcClientMessage(request_id=2)
        request.list_sessions.SetInParent()
        return len(self._call(request, timeout=PATIENCE).session_list.sessions)

    def begin(self) -> Any:
        return self._call.future(_health(), timeout=PATIENCE)

    def finish(self, future: Any) -> bool:
        healthy: bool = future.result().check_health_response.healthy
        return healthy

    def close(self) -> None:
        self._channel.close()


def _health() -> ipc_pb2.IpcClientMessage:
    request = ipc_pb2.IpcClientMessage(request_id=2)  # HTTP/2 tells the calls apart
    request.check_health.SetInParent()
    return request
