"""How large an answer will be, before it is made: about as large as the last one of its kind."""

from __future__ import annotations

from collections.abc import Callable

from opencode_sync.wire import ipc_pb2

__all__ = ["AnswerSizes"]

_MOST_KEPT = 4096
_MESSAGES_SIZE = 1 << 20
"""What the messages of a session are taken for that was not asked for yet."""

_Key = tuple[str, str, str]


class AnswerSizes:
    """Remembers the sizes of lists. A guess, so it has no lock; any thread may call any method.

    Args:
        list_size: Says about how large the list of sessions is, while none was made.
    """

    def __init__(self, list_size: Callable[[], int]) -> None:
        self._list_size = list_size
        self._sizes: dict[_Key, int] = {}

    def expected(self, request: ipc_pb2.IpcClientMessage, directory: str) -> int:
        """Return about how many bytes the answer will have."""
        operation = request.WhichOneof("payload")
        if operation == "list_sessions":
            size = self._sizes.get((operation, directory, ""))
            return self._list_size() if size is None else size
        if operation == "list_messages":
            return self._sizes.get(_messages_key(request, directory), _MESSAGES_SIZE)
        return request.ByteSize()  # a created session's title comes back

    def note(self, request: ipc_pb2.IpcClientMessage, directory: str, size: int) -> None:
        """Remember how many bytes an answer had."""
        operation = request.WhichOneof("payload")
        if operation == "list_sessions":
            self._keep((operation, directory, ""), size)
        elif operation == "list_messages":
            self._keep(_messages_key(request, directory), size)
        elif operation == "create_session":
            key = ("list_sessions", directory, "")
            if key in self._sizes:
                self._sizes[key] += size

    def _keep(self, key: _Key, size: int) -> None:
        if len(self._sizes) >= _MOST_KEPT:
            self._sizes.clear()
        self._sizes[key] = size


def _messages_key(request: ipc_pb2.IpcClientMessage, directory: str) -> _Key:
    wanted = request.list_messages
    return "list_messages", directory, f"{wanted.session_id} {wanted.limit}"
