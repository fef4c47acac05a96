"""On what the figures were taken."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from google.protobuf.internal import api_implementation

__all__ = ["describe_machine"]

_LIBRARIES: Final = (
    "opencode-sync-sdk",
    "websocket-client",
    "websockets",
    "protobuf",
    "grpcio",
    "requests",
    "urllib3",
    "loguru",
)


def describe_machine() -> dict[str, Any]:
    """Return interpreter, libraries, processor, load and date, as JSON can hold them."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "protobuf_implementation": api_implementation.Type(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "processors": _processors(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            key, _, text = line.partition(":")
            if key.strip() == "model name":
                return text.strip()
    return platform.processor() or "unknown"


def _processors() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()
