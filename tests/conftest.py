"""For the whole suite."""

from __future__ import annotations

import os

from tests.support.secrets import pytest_configure, pytest_runtest_makereport

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_xdist_auto_num_workers"]


def pytest_xdist_auto_num_workers() -> int:
    """Two workers a core for ``-n auto``: most of the tests' time is waiting for somebody else."""
    return 2 * (os.cpu_count() or 1)
