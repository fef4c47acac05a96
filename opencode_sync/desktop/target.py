"""Where the client connects to, which the window may change."""

from __future__ import annotations

import threading

from opencode_sync import IpcConfig, IpcConfigError, IpcConfigProvider, StaticConfigProvider

__all__ = ["Target"]


class Target:
    """A config provider that asks the one in use now. Any thread may call any method."""

    def __init__(self, provider: IpcConfigProvider) -> None:
        self._lock = threading.Lock()  # guards all below, which change together
        self._provider = provider
        self._endpoint = ""
        self._closed = False

    @property
    def endpoint(self) -> str:
        """What the newest configuration says; "" before there is one."""
        with self._lock:
            return self._endpoint

    def set_config(self, config: IpcConfig) -> None:
        """Have the next attempt go there."""
        with self._lock:
            self._provider, self._endpoint = StaticConfigProvider(config), config.endpoint

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
