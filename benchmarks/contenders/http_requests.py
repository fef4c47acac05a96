"""HTTP with a connection that is kept: ``requests``, as most people use it."""

from __future__ import annotations

from benchmarks.contenders.base import PATIENCE, Contender, ContenderMissing

__all__ = ["HttpRequests"]


class HttpRequests(Contender):
    """A session of ``requests`` and JSON."""

    name = "requests"

    def __init__(self, port: int) -> None:
        try:
            import requests
        except ImportError:
            raise ContenderMissing("requests is not installed") from None
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between us and ourselves
        self._base = f"http://127.0.0.1:{port}"

    def check_health(self) -> bool:
        healthy: bool = self._session.get(f"{self._base}/health", timeout=PATIENCE).json()[
            "healthy"
        ]
        return healthy

    def list_sessions(self) -> int:
        return len(self._session.get(f"{self._base}/session", timeout=PATIENCE).json())

    def close(self) -> None:
        self._session.close()
