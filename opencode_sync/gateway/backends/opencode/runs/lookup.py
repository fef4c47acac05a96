"""What has to be known before a prompt is sent.

A session, model or agent that OpenCode does not have is found out here: OpenCode would store the
prompt first and then refuse it without a cause.
"""

from __future__ import annotations

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.checks import (
    UnknownNameError,
    check_agent,
    check_model,
    providers,
)
from opencode_sync.gateway.backends.opencode.http.client import RefusedError, quote_id
from opencode_sync.gateway.backends.opencode.runs.request import Prompt
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.logger import logger

__all__ = ["look_up", "refresh_keys"]


def refresh_keys(
    binding: Binding, directory: str, provider_id: str | None, deadline: Deadline
) -> bool:
    """Have a directory's instance read new keys if it is idle; returns whether it knows them all.

    Args:
        binding: The server.
        directory: The instance's.
        provider_id: Whose key matters; None for all.
        deadline: For all of it.
    """
    where = {"directory": directory}

    def dispose() -> bool:
        status = binding.call("GET", "/session/status", where, deadline)
        # Who is idle is not in it. What cannot be read is no reason to abort somebody's run.
        if not isinstance(status, dict) or status:
            logger.info("OpenCode is busy in {} and does not read its new keys yet", directory)
            return False
        binding.call("POST", "/instance/dispose", where, deadline)
        return True

    return binding.keys.refresh(directory, provider_id, dispose, deadline)


def look_up(binding: Binding, prompt: Prompt, deadline: Deadline) -> tuple[str, tuple[str, ...]]:
    """Return where the session runs, and the providers' keys, which must not be shown.

    Raises:
        UnknownNameError: the session, the model or the agent does not exist.
        BackendError: as ``Binding.call`` does.
    """
    directory = _directory(binding, prompt.session_id, deadline)
    fresh = refresh_keys(binding, directory, prompt.provider_id, deadline)
    where = {"directory": directory}
    known = providers(binding.call("GET", "/config/providers", where, deadline))
    if known is None:
        raise binding.misshapen("GET /config/providers", "a list of providers")
    if prompt.provider_id is not None and prompt.model_id is not None:
        check_model(known, prompt.provider_id, prompt.model_id, stale=not fresh)
    if prompt.agent:
        check_agent(binding.call("GET", "/agent", where, deadline), prompt.agent)
    return directory, tuple(secret for each in known.values() for secret in each.secrets)


def _directory(binding: Binding, session_id: str, deadline: Deadline) -> str:
    """Return where the session runs: its own directory, whatever directory is asked for."""
    try:
        session = binding.call("GET", f"/session/{quote_id(session_id)}", {}, deadline)
    except RefusedError as error:
        if error.refusal.status in (404, 414, 431):
            raise UnknownNameError(
                "unknown_session",
                f"session_id: OpenCode has no session {session_id[:100]}; use an id that "
                f"list_sessions or create_session returned",
            ) from error
        raise
    directory = session.get("directory") if isinstance(session, dict) else None
    if not isinstance(directory, str):
        raise binding.misshapen("GET /session/{id}", "a session with a directory")
    return directory
