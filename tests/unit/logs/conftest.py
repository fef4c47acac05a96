"""What the tests of the log share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opencode_sync.logger import logger as ours


@pytest.fixture
def log() -> Iterator[Callable[..., None]]:
    """``log(level, message, error=None, **fields)``: as the package's own modules do."""
    namespace: dict[str, Any] = {"__name__": "opencode_sync.somewhere", "logger": ours}
    source = """
def log(level, message, error=None, **fields):
    logger.bind(**fields).opt(exception=error).log(level, message)
"""
    exec(compile(source, "somewhere.py", "exec"), namespace)
    return namespace["log"]  # type: ignore[no-any-return]
