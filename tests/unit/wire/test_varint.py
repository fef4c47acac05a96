"""Numbers of messages that are put together by hand: as protobuf itself writes them."""

from __future__ import annotations

import pytest

from opencode_sync.varint import varint
from opencode_sync.wire import ipc_pb2


@pytest.mark.parametrize(
    "number",
    [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000, 86_400_000, (1 << 64) - 1],
)
def test_protobuf_reads_it(number: int) -> None:
    message = ipc_pb2.IpcClientMessage.FromString(b"\x08" + varint(number))
    assert message.request_id == number
    if number:
        assert message.SerializeToString() == b"\x08" + varint(number)  # and no longer than it does
