"""Steps that Ctrl-C must not tear in two.

Python runs signal handlers, and so raises KeyboardInterrupt, in the main thread only and between
any two of its instructions. A step that takes several to change shared state is therefore not run
there: the main thread has another do it, and only waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["uninterrupted"]

R = TypeVar("R")


def uninterrupted(step: Callable[[], R], timeout: float) -> R:
    """Run ``step`` to its end, whatever happens to the caller meanwhile, and return its result.

    Args:
        step: What to do. It knows its own deadline.
        timeout: Seconds to wait for it; only a caller that has interrupted the step's own owner (a
            signal handler) ever waits that long.

    Raises:
        TimeoutError: it took longer, and goes on.
    """
    if threading.current_thread() is not threading.main_thread():
        return step()
    outcome: Future[R] = Future()

    def run() -> None:
        try:
            outcome.set_result(step())
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name="opencode-sync-step", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread to be had, as when the interpreter ends
        return step()
    result = outcome.result(timeout)
    thread.join(timeout)
    return result
