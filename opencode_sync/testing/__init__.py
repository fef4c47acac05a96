"""For testing programs that use ``opencode_sync``: connections on which things go wrong.

Say what shall go wrong with ``Fault`` and ``FaultPlan``, and let it happen either on real sockets,
with a ``FaultProxy`` in front of any backend, or in memory, with ``FaultyTransports``. What happens
is decided by the plan's seed, so that a failing run can be replayed: the plan's ``repr`` is the
expression that makes it again, and it is shown with the failure.

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

The core of the package is all this needs. Threads are named ``opencode-sync-testing-...`` and are
joined by whatever started them.
"""

from opencode_sync.testing.faults import Direction, Fault, FaultKind
from opencode_sync.testing.plan import FaultPlan, Injection
from opencode_sync.testing.proxy import FaultProxy
from opencode_sync.testing.transport import FaultyTransport, FaultyTransports

__all__ = [
    "Direction",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "FaultProxy",
    "FaultyTransport",
    "FaultyTransports",
    "Injection",
]
