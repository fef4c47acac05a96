"""For the whole suite."""

from __future__ import annotations

import os
import signal

from tests.support.secrets import pytest_configure, pytest_runtest_makereport

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_xdist_auto_num_workers"]


# A shell ignores these for what it starts in the background, and so would all that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_xdist_auto_num_workers() -> int:
    """Two workers a core for ``-n auto``: most of the tests' time is waiting for somebody else."""
    return 2 * (os.cpu_count() or 1)
