"""A prompt of this window's, from its sending to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from opencode_sync.cancel import CancelToken
from opencode_sync.desktop.service import Service
from opencode_sync.prompts import PromptResult
from opencode_sync.run_events import RunEvent
from opencode_sync.streams import PromptStream

__all__ = ["PromptRun"]

_RUN_SECONDS: Final = 24 * 3600.0
"""How long a run may take: somebody sits there, who can stop it, or may come back to a question."""


class PromptRun:
    """Follows the run, and can end it. For the Qt thread."""

    def __init__(
        self,
        service: Service,
        session_id: str,
        text: str,
        *,
        model: str | None,
        agent: str | None,
        took: Callable[[Sequence[RunEvent]], object],
        missed: Callable[[int], object],
        ended: Callable[[PromptResult | None, BaseException | None], object],
    ) -> None:
        """Send the prompt.

        Args:
            service: Whose connection it takes.
            session_id: Where it belongs.
            text: What the user says.
            model: See ``IpcClient.prompt``.
            agent: Likewise.
            took: Gets the run's events as they come.
            missed: Gets how many of them are missing.
            ended: Gets the result, or the error.

        Raises:
            RuntimeError: there is no thread to spare; nothing was sent.
        """
        self.began: Final = time.monotonic()
        """When, by ``time.monotonic``."""
        self.stopping = False
        """Whether it is being ended."""
        self._stop = stop = CancelToken()
        opened: list[PromptStream] = []

        def begin() -> PromptStream:
            stream = service.client.stream_prompt(
                session_id,
                text,
                model=model,
                agent=agent,
                on_permission="ask",
                on_question="ask",
                timeout=_RUN_SECONDS,
                cancel=stop,
            )
            opened.append(stream)
            return stream

        def end(error: BaseException | None) -> None:
            ended(opened[0].result() if error is None else None, error)

        self._delivery = service.dispatcher.follow(begin, took, end, missed=missed)

    def stop(self) -> None:
        """Abort it; its end is told all the same."""
        self.stopping = True
        self.cancel()

    def cancel(self) -> None:
        """As ``stop``, but not by the user's wish."""
        self._stop.cancel()

    def close(self) -> None:
        """Abort it, and hear of nothing any more. Does not wait."""
        self._stop.cancel()
        self._delivery.cancel()
