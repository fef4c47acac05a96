"""Where the client connects to, which the window may change."""

from __future__ import annotations

import threading
from typing import Final

from opencode_sync import IpcConfig, IpcConfigError, IpcConfigProvider, StaticConfigProvider

__all__ = ["Target"]


class Target:
    """A config provider that asks the one in use now. Any thread may call any method."""

    def __init__(self, provider: IpcConfigProvider) -> None:
        self._lock = threading.Lock()  # guards all below, which change together
        self.first: Final = provider
        """What was asked at the start: for a gateway that runs, as a rule."""
        self._provider = provider
        self._endpoint = ""
        self._closed = False

    @property
    def endpoint(self) -> str:
        """What the newest configuration says; "" before there is one."""
        with self._lock:
            return self._endpoint

    def set_config(self, config: IpcConfig, provider: IpcConfigProvider | None = None) -> None:
        """Have the next attempt go there.

        Args:
            config: Where.
            provider: Who says so and is asked again by each attempt; None for nobody.
        """
        with self._lock:
            self._provider = StaticConfigProvider(config) if provider is None else provider
            self._endpoint = config.endpoint

    def close(self) -> None:
        """Let no attempt begin any more."""
        with self._lock:
            self._closed = True

    def get_config(self) -> IpcConfig:
        """See ``IpcConfigProvider``."""
        with self._lock:
            if self._closed:
                raise IpcConfigError("the window closes; nothing is connected any more")
            provider = self._provider
        config = provider.get_config()
        with self._lock:
            if provider is self._provider:
                self._endpoint = config.endpoint
        return config
