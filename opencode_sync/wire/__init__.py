"""The messages of the wire protocol, generated from ``proto/opencode_sync/wire``.

Nothing here is written by hand: change a ``.proto`` file, then run ``python proto/generate.py``.
Users find the types they need in ``opencode_sync.types``.

Protobuf knows every message of a process by its full name (``opencode.IpcClientMessage``). A
program that also loads generated code of its own for the same schema therefore fails on whichever
import comes second; such a program should use these modules in place of its own.
"""
