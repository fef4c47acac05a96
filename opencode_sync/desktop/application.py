"""The program: one window, from its start to its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import shiboken6
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from opencode_sync import IpcConfig, IpcConfigError, IpcConfigProvider
from opencode_sync.desktop.interrupts import ending_on_signals
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.system_libraries import check_libraries
from opencode_sync.logger import logger

__all__ = ["check_display", "run"]

_LAST_SECONDS: Final = 20.0
"""For saying goodbye, and for OpenCode to end; the window is gone by then."""


def check_display(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> None:
    """See to it that there is a screen, for Qt itself would end the process for want of one.

    Raises:
        IpcConfigError: there is none.
    """
    if platform in ("win32", "darwin") or environ.get("QT_QPA_PLATFORM"):
        return
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        raise IpcConfigError(
            "there is no display to show a window on (neither DISPLAY nor WAYLAND_DISPLAY is set); "
            "run this in a desktop session, or use: opencode-sync chat",
            field="DISPLAY",
            source="environment",
        )


def run(
    config: IpcConfig | IpcConfigProvider | None = None, *, directory: Path | None = None
) -> int:
    """Show the window, and return once it is closed and everything has ended.

    Args:
        config: Where to connect; None for the environment, then a running gateway.
        directory: The project that it is about; None leaves it to the backend.

    Returns:
        The exit code.

    Raises:
        IpcConfigError: there is no display, a library is missing, or a setting is wrong.
    """
    check_display()
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        check_libraries()
        application = QApplication([sys.argv[0]])
    application.setOrganizationName("opencode-sync")  # these two name the place of the settings
    application.setApplicationName("opencode-sync")
    application.setApplicationDisplayName("OpenCode")
    service = Service(config, directory=directory)
    window = MainWindow(service)

    def end() -> None:
        if shiboken6.isValid(window):
            window.end()
        else:
            application.quit()

    with ending_on_signals(end):
        window.show()
        window.start()
        code = application.exec()
    service.close()
    if not service.wait_closed(_LAST_SECONDS):
        logger.warning("something is still ending after {} s; it is left to itself", _LAST_SECONDS)
    if shiboken6.isValid(window):
        window.deleteLater()
    # Now, while this is still the Qt thread: Python's collector may run on any other.
    application.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return code
