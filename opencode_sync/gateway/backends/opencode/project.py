"""A project of an OpenCode server: which folder calls are about."""

from __future__ import annotations

import ipaddress
import os
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.checks import invalid
from opencode_sync.gateway.backends.opencode.errors import one_line
from opencode_sync.gateway.backends.opencode.server.servers import Binding

__all__ = ["Project", "check_directory"]

_SHOWN = 200


class Project(NamedTuple):
    """A server in use, and the folder."""

    binding: Binding
    directory: str | None
    """None leaves it to the server: its own working directory."""

    @property
    def query(self) -> dict[str, str]:
        """The query that names the folder."""
        return {} if self.directory is None else {"directory": self.directory}

    def call(
        self, method: str, path: str, deadline: Deadline, body: object = None, **query: str
    ) -> Any:
        """Return what OpenCode answers for this folder; raises as ``Binding.call`` does."""
        return self.binding.call(method, path, {**query, **self.query}, deadline, body)

    def instance(self, deadline: Deadline) -> str:
        """Return the folder; if it is left to the server, ask."""
        if self.directory is not None:
            return self.directory
        answer = self.binding.call("GET", "/path", {}, deadline)
        directory = answer.get("directory") if isinstance(answer, dict) else None
        if not isinstance(directory, str):
            raise self.binding.misshapen("GET /path", "its directories")
        return directory


def check_directory(directory: str, binding: Binding | None) -> str:
    """Return a folder as OpenCode itself would name it, which has no symbolic links in it.

    Args:
        directory: As the client gave it.
        binding: Where it has to be; None for this machine. On another machine only its form can be
            checked.

    Raises:
        BackendError: INVALID_MESSAGE: it is not absolute, or there is no such folder. OpenCode
            itself would take it for an empty project.
    """
    shown = f'"{one_line(directory, _SHOWN)}"' if directory else "empty"
    here = binding is None or _is_here(binding.http.base_url)
    kinds = (PurePath,) if here else (PurePosixPath, PureWindowsPath)
    if not any(kind(directory).is_absolute() for kind in kinds):
        raise invalid(
            f"directory must be the absolute path of a project's folder, but it is {shown}"
        )
    if not here:
        return directory
    if not os.path.isdir(directory):
        raise invalid(f"directory: there is no folder {shown}; name one that exists")
    return os.path.realpath(directory)


def _is_here(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
