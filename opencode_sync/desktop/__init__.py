"""The desktop application, and what brings results to a toolkit's own thread.

Importing this costs nothing. ``dispatch`` works with Qt, Tk, wx and GTK and needs none of the rest;
everything else here is the application, which needs the extra ``desktop``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

from opencode_sync.errors import IpcConfigError

__all__ = ["MISSING", "check_pairing", "load_toolkit"]

MISSING: Final = (
    "the window needs the package PySide6-Essentials of the extra desktop, which is not installed; "
    "run: pip install 'opencode-sync-sdk[desktop]'"
)
"""What to tell people who do not have the toolkit."""


def load_toolkit() -> None:
    """Import PySide6, so that whatever is wrong with it is known before a window is made.

    Raises:
        IpcConfigError: it is not installed, cannot be loaded on this machine, or does not work
            with this Python.
    """
    try:
        package = import_module("PySide6")
        for name in ("PySide6.QtCore", "PySide6.QtGui", "PySide6.QtWidgets"):
            import_module(name)
    except ModuleNotFoundError:
        raise IpcConfigError(MISSING, source="installation") from None
    except ImportError as error:
        # It is there, and a library of the system that it needs is not: its text names that one.
        raise IpcConfigError(
            f"PySide6 cannot be loaded ({error}); install the system library that it names",
            source="installation",
        ) from error
    check_pairing(package.__version__)


def check_pairing(version: str, python: tuple[int, ...] = sys.version_info[:2]) -> None:
    """See to it that this PySide6 works with this Python.

    From 6.12 on it gives back more references to None and True than it takes. Since Python 3.12
    nobody counts those; before, the process ends some thousand calls later.

    Args:
        version: PySide6's.
        python: Python's, major and minor.

    Raises:
        IpcConfigError: it does not.
    """
    newest = tuple(int(part) for part in version.split(".")[:2])
    if python < (3, 12) and newest >= (6, 12):
        raise IpcConfigError(
            f"PySide6 {version} crashes with Python {python[0]}.{python[1]}; use Python 3.12 or "
            "later, or run: pip install 'PySide6-Essentials<6.12'",
            source="installation",
        )
