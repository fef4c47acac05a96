"""What stands in the place of OpenCode's events: an answer of HTTP, and bytes in it."""

from __future__ import annotations

from collections import deque

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.events.sse import SseStream
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from tests.fuzz import seeds
from tests.fuzz.chooser import Chooser, changed_bytes

__all__ = ["Stream", "heard"]

WAIT = 10.0
_URL = "http://127.0.0.1:1"


class _Pieces:
    """Stands in for a socket: what a server sends, cut as a network may cut it."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = deque(pieces)

    def settimeout(self, seconds: float | None) -> None: ...

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        if piece[size:]:
            self._pieces.appendleft(piece[size:])
        return piece[:size]


class _FedStream(SseStream):
    def __init__(self, http: OpenCodeHttp, pieces: list[bytes]) -> None:
        super().__init__(http, "/global/event")
        self._pieces = pieces

    def _connect(self, deadline: Deadline) -> None:
        self._socket = _Pieces(self._pieces)  # type: ignore[assignment]


def heard(http: OpenCodeHttp, pieces: list[bytes]) -> tuple[list[str], str]:
    """Return the events, and the words of the end, which always comes."""
    stream = _FedStream(http, [piece for piece in pieces if piece])
    events: list[str] = []
    deadline = Deadline.after(WAIT)
    end = ""
    try:
        stream.open(deadline)
        while True:
            events.append(stream.read(deadline))
    except BackendError as error:
        end = error.message
    end.encode()
    assert len(end.splitlines()) == 1
    assert "\x1b" not in end
    return events, end


class Stream:
    """A server's answer to a subscription, head and all: events, and an error of ours in the end.

    However it is cut, but that of a body which breaks the rules less may be heard in one piece.
    """

    def __init__(self) -> None:
        self._http = OpenCodeHttp(_URL)

    def __call__(self, data: bytes) -> None:
        chooser = Chooser(data)
        size = 1 + chooser.number(40)
        head = changed_bytes(chooser, seeds.SSE_HEADS)
        body = b"".join(changed_bytes(chooser, seeds.SSE) for _ in range(chooser.number(4)))
        match chooser.number(4):
            case 0 | 1:  # as a chunked body
                step = 1 + chooser.number(60)
                cut = [body[at : at + step] for at in range(0, len(body), step)]
                body = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in cut)
            case 2:
                body = b"".join(changed_bytes(chooser, seeds.CHUNKS) for _ in range(3))
        answer = head + body
        if len(answer) > 10_000:
            size *= 1000
        whole = heard(self._http, [answer])
        cut = heard(self._http, [answer[at : at + size] for at in range(0, len(answer), size)])
        assert whole[1] == cut[1], (whole, cut)
        assert whole[0] == cut[0][: len(whole[0])], (whole, cut)
        assert whole[0] == cut[0] or "broke (the server ended it)" not in whole[1], (whole, cut)

    def close(self) -> None:
        self._http.close()
