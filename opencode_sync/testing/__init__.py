"""For testing programs that use ``opencode_sync``.

``docs/guides/testing.md`` shows how; in short:

=========================================  =====================================================
``FakeIpcClient``                          the client, with a made-up backend: what most tests need
``ScriptedBackend``                        expect this request, answer that, in this order
``Fault``, ``FaultPlan``, ``FaultProxy``,  connections on which things go wrong, by a seed
``FaultyTransports``
``Recorder``, ``replay``                   a real conversation in a file, and out of it again
``opencode_sync.testing.plugin``           all of these as pytest fixtures
=========================================  =====================================================

The core of the package is all this needs, and importing it brings nothing along: each name is
loaded when it is first used. Threads are named ``opencode-sync-testing-...`` and are joined by
whatever started them.

What goes wrong with a ``FaultPlan`` is decided by its seed, so that a failing run can be replayed:
the plan's ``repr`` is the expression that makes it again, and it is shown with the failure.

==============================  ===============  ================================================
fault                           only by a proxy  what the other side sees
==============================  ===============  ================================================
``delay``, ``throttle``                          it takes long
``slice``, ``fragment``         yes              the same, in more pieces
``duplicate``, ``reorder``                       a message twice; one behind its successor
``drop``, ``corrupt``                            a message missing; one with a byte changed
``half_open``, ``freeze``                        silence, on a link that stands
``stall_handshake``                              no answer to its opening
``reset``, ``cut``, ``close``                    the end, rude to polite
``refuse``                                       no connection
==============================  ===============  ================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opencode_sync.lazy import lazy_names

if TYPE_CHECKING:
    from opencode_sync.testing.fake import FakeIpcClient
    from opencode_sync.testing.fake_calls import FakeCall
    from opencode_sync.testing.faults import Direction, Fault, FaultKind
    from opencode_sync.testing.fixtures import Faults
    from opencode_sync.testing.gate import Gate
    from opencode_sync.testing.plan import FaultPlan, Injection
    from opencode_sync.testing.proxy import FaultProxy
    from opencode_sync.testing.recording import Recorder
    from opencode_sync.testing.replaying import Replay, replay
    from opencode_sync.testing.script import Expectation, ScriptError
    from opencode_sync.testing.scripted import ScriptedBackend
    from opencode_sync.testing.steps import (
        AskPermission,
        AskQuestion,
        Fail,
        Pause,
        Retry,
        Say,
        Step,
        Think,
        UseTool,
    )
    from opencode_sync.testing.transport import FaultyTransport, FaultyTransports

__all__ = [
    "AskPermission",
    "AskQuestion",
    "Direction",
    "Expectation",
    "Fail",
    "FakeCall",
    "FakeIpcClient",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "FaultProxy",
    "Faults",
    "FaultyTransport",
    "FaultyTransports",
    "Gate",
    "Injection",
    "Pause",
    "Recorder",
    "Replay",
    "Retry",
    "Say",
    "ScriptError",
    "ScriptedBackend",
    "Step",
    "Think",
    "UseTool",
    "replay",
]

_MODULES = {
    "fake": ("FakeIpcClient",),
    "fake_calls": ("FakeCall",),
    "faults": ("Direction", "Fault", "FaultKind"),
    "fixtures": ("Faults",),
    "gate": ("Gate",),
    "plan": ("FaultPlan", "Injection"),
    "proxy": ("FaultProxy",),
    "recording": ("Recorder",),
    "replaying": ("Replay", "replay"),
    "script": ("Expectation", "ScriptError"),
    "scripted": ("ScriptedBackend",),
    "steps": (
        "AskPermission",
        "AskQuestion",
        "Fail",
        "Pause",
        "Retry",
        "Say",
        "Step",
        "Think",
        "UseTool",
    ),
    "transport": ("FaultyTransport", "FaultyTransports"),
}
if not TYPE_CHECKING:  # for whom there would be no misspelt names any more
    __getattr__, __dir__ = lazy_names(__name__, _MODULES)
