"""What a ``FakeIpcClient`` refuses to prompt because there is no such thing."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from opencode_sync.testing.fake_store import FakeStore
from opencode_sync.wire.ext_prompt_pb2 import IpcPromptRequest, IpcRunFailure

__all__ = ["KnownNames"]

_SHOWN: Final = 100


class KnownNames:
    """Looks prompts through. One thread at a time; the backend has the lock."""

    def __init__(self, store: FakeStore) -> None:
        """Take any agent and any model.

        Args:
            store: Has the sessions, agents and models.
        """
        self._store = store
        self.agents_are_known = False
        """Whether there are no agents but those of the store."""
        self.models_are_known = False
        """Whether there are no models but those of the store."""

    def problem_of(self, prompt: IpcPromptRequest) -> IpcRunFailure | None:
        """Return what is wrong with a prompt, as the run's failure; None: nothing."""
        what = self._store.description
        if prompt.session_id not in self._store.sessions:
            message = f"{what} has no session {prompt.session_id[:_SHOWN]}"
            return IpcRunFailure(kind="unknown_session", message=message)
        agents = [each.name for each in self._store.agents]
        if self.agents_are_known and prompt.agent and prompt.agent not in agents:
            message = f"agent: {what} has no agent {_named(prompt.agent, agents)}"
            return IpcRunFailure(kind="unknown_agent", message=message)
        wanted = f"{prompt.provider_id}/{prompt.model_id}"
        models = [f"{each.provider_id}/{each.id}" for each in self._store.models]
        if self.models_are_known and prompt.model_id and wanted not in models:
            message = f"model: {what} has no model {_named(wanted, models)}"
            return IpcRunFailure(kind="unknown_model", message=message)
        return None


def _named(wanted: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(wanted[:_SHOWN], known)
    if close:
        return f"{wanted[:_SHOWN]}; did you mean {' or '.join(close)}?"
    return f"{wanted[:_SHOWN]}; it has {', '.join(known) or 'none'}"
