"""What the window remembers from one time to the next. Never a token."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from PySide6.QtCore import QByteArray, QSettings

from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.sessions.listing import SortOrder
from opencode_sync.logger import logger

__all__ = ["WindowSettings"]

_MOST_PAGE: Final = 999_999
_MOST_PORT: Final = 65_535


class WindowSettings:
    """The window's settings, in the place where the system keeps such things.

    Values that make no sense, from another version or an editor, read as the default.
    """

    def __init__(self, store: QSettings | None = None) -> None:
        """Read the settings.

        Args:
            store: Where they are; None for this user's own.
        """
        self._store = QSettings("opencode-sync", "opencode-sync") if store is None else store

    @property
    def geometry(self) -> QByteArray:
        """The window's size and place; empty at first."""
        return self._bytes("window/geometry")

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._store.setValue("window/geometry", value)

    @property
    def splitter(self) -> QByteArray:
        """How the list and the chat share the window; empty at first."""
        return self._bytes("window/splitter")

    @splitter.setter
    def splitter(self, value: QByteArray) -> None:
        self._store.setValue("window/splitter", value)

    @property
    def page(self) -> int:
        """The page of sessions, from 0 on."""
        return self._number("sessions/page", _MOST_PAGE)

    @page.setter
    def page(self, value: int) -> None:
        self._store.setValue("sessions/page", value)

    @property
    def order(self) -> SortOrder:
        """What the list begins with."""
        try:
            return SortOrder(self._store.value("sessions/order", SortOrder.UPDATED.value))
        except ValueError:
            return SortOrder.UPDATED

    @order.setter
    def order(self, value: SortOrder) -> None:
        self._store.setValue("sessions/order", value.value)

    @property
    def port(self) -> int:
        """The port of the address that was entered last and worked; 0 for none."""
        return self._number("address/port", _MOST_PORT)

    @port.setter
    def port(self, value: int) -> None:
        self._store.setValue("address/port", value)

    @property
    def gateway(self) -> GatewayKind | None:
        """The kind of gateway that this window started last; None for none."""
        try:
            return GatewayKind(self._store.value("gateway/kind", ""))
        except ValueError:
            return None

    @gateway.setter
    def gateway(self, value: GatewayKind) -> None:
        self._store.setValue("gateway/kind", value.value)

    def save(self) -> None:
        """Write what has changed. The one moment that touches the disk: for the window's end."""
        self._keep_private()
        self._store.sync()

    def _keep_private(self) -> None:
        """Have nobody else read the file, which holds what was written and not sent."""
        if sys.platform in ("win32", "darwin"):
            return  # where other users do not get at it, and it may be no file of its own
        file = Path(self._store.fileName())
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)  # Qt keeps the mode of a file that is there
            file.chmod(0o600)
        except OSError as error:
            logger.warning("the settings in {} may be read by others: {}", file, error)

    def _number(self, key: str, most: int) -> int:
        value = str(self._store.value(key, 0))
        # By their length first: Python refuses to read thousands of digits as a number.
        if len(value) > len(str(most)) or not (value.isascii() and value.isdigit()):
            return 0
        return int(value) if int(value) <= most else 0

    def _bytes(self, key: str) -> QByteArray:
        value = self._store.value(key)
        return value if isinstance(value, QByteArray) else QByteArray()
