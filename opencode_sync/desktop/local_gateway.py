"""A gateway in this process, for who starts the window without one."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_sync.errors import IpcConfigError
from opencode_sync.logger import logger

if TYPE_CHECKING:
    from opencode_sync.gateway import Gateway

__all__ = ["GatewayKind", "make_gateway"]


class GatewayKind(Enum):
    """What a gateway that the window starts has behind it."""

    EMBEDDED = "embedded"
    """The session store of this package: sessions without a model."""

    OPENCODE = "opencode"
    """The OpenCode server that runs already, else one that is started."""

    OWN_OPENCODE = "own opencode"
    """An OpenCode server that is started, whatever runs already."""


def make_gateway(kind: GatewayKind, directory: Path | None = None) -> Gateway:
    """Return a gateway that is not started yet. Imports its packages, so it takes a moment.

    Args:
        kind: What is behind it.
        directory: The project; None for the current folder.

    Raises:
        IpcConfigError: a package of the extra ``gateway`` is not installed.
        GatewayError: likewise, for the OpenCode backend.
    """
    try:
        from opencode_sync.gateway import Gateway
        from opencode_sync.gateway.serve import choose_backend
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "opencode_sync"):
            raise
        raise IpcConfigError(
            f"a gateway needs the package {package}, which is not installed; run: "
            "pip install 'opencode-sync-sdk[gateway]'",
            source="installation",
        ) from None
    embedded = kind is GatewayKind.EMBEDDED
    backend = choose_backend(
        "embedded" if embedded else "opencode",
        discover=kind is GatewayKind.OPENCODE,
        spawn=not embedded,
        directory=directory,
        announce=logger.info,
    )
    # No runtime file: this gateway ends with the window, which other programs would not expect.
    return Gateway(backend)
