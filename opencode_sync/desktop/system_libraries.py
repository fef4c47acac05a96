"""The system's libraries that Qt shows windows with, which no Python package brings along."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from PySide6.QtCore import QLibraryInfo

from opencode_sync.errors import IpcConfigError

__all__ = ["PACKAGES", "check_libraries"]

PACKAGES: Final = "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxkbcommon-x11-0 libegl1"
"""What Debian and Ubuntu call those that are missing most often."""


def check_libraries(
    environ: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
    plugin: Path | None = None,
) -> None:
    """See to it that Qt's part for X11 can be loaded, where that is what will show the window.

    Qt itself would end the process, and name a library that need not be the missing one.

    Args:
        environ: The environment.
        platform: The operating system, as ``sys.platform`` names it.
        plugin: That part of Qt; None for this installation's. One that is not there is no error:
            somebody has packed Qt in another way.

    Raises:
        IpcConfigError: a library that it needs is missing.
    """
    if platform in ("win32", "darwin") or not _uses_x11(environ):
        return
    if plugin is None:
        folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)
        plugin = Path(folder, "platforms", "libqxcb.so")
    if not plugin.is_file():
        return
    try:
        ctypes.CDLL(str(plugin))  # as Qt does a moment later
    except OSError as error:
        raise IpcConfigError(
            f"Qt cannot show windows here, for a library of the system is missing ({error}); "
            f"install it, on Debian and Ubuntu by: sudo apt install {PACKAGES}",
            source="installation",
        ) from error


def _uses_x11(environ: Mapping[str, str]) -> bool:
    chosen = environ.get("QT_QPA_PLATFORM")
    if chosen:
        return chosen.partition(":")[0] == "xcb"
    return bool(environ.get("DISPLAY")) and not environ.get("WAYLAND_DISPLAY")
