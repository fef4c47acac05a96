"""A screen that nobody sees, for toolkits that want an X server."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

_START: Final = 30.0


def need(program: str) -> str:
    """Return where a program is; skips the test where it is not, except in CI."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return path


@contextmanager
def virtual_screen() -> Iterator[str]:
    """Run an X server on a display that is free; yields its name."""
    reading, writing = os.pipe()
    command = [need("Xvfb"), "-displayfd", str(writing), "-screen", "0", "800x600x24"]
    server = subprocess.Popen(
        [*command, "-nolisten", "tcp"], pass_fds=[writing], stderr=subprocess.DEVNULL
    )
    try:
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as answer:
            number = b""
            while not number.endswith(b"\n"):
                assert select.select([answer], [], [], _START)[0], "the X server did not start"
                piece = answer.read(16)
                assert piece, "the X server ended"
                number += piece
        yield f":{int(number)}"
    finally:
        server.terminate()
        server.wait(_START)
