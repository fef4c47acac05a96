"""Handing the API keys of this user's environment to OpenCode, provider by provider.

No HTTP here: whoever calls says how a key is pushed. And no key anywhere but in that call: not in a
result, a log record or an exception, also when the other side quotes it in its refusal.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.dotenv import read_dotenv
from opencode_sync.gateway.provider_keys import KeyProblem, Secret, key_problem
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2

__all__ = ["KeyPushError", "Push", "sync_auth_keys"]

Push = Callable[[str, str, Deadline], None]
"""Pushes one provider's key: ``push(provider, key, deadline)``; raises ``BackendError``."""

_QUOTED_CHARACTERS = 6
"""So many characters of a key in a row, within a refusal, are taken for a quotation of it."""


class KeyPushError(BackendError):
    """A key was not accepted, with what tells whether a retry helps.

    Attributes:
        status: The HTTP status of the answer; None if there was none.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: int = ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR,
    ) -> None:
        super().__init__(code, message)
        self.status = status


class _Found(NamedTuple):
    """What a variable holds."""

    key: Secret
    origin: str
    """The variable and where it is set, in words for people."""
    problem: KeyProblem | None
    """Why it cannot be a key, or None if it can."""


def sync_auth_keys(
    push: Push,
    *,
    environ: Mapping[str, str],
    dotenv: Path | None,
    known: Mapping[str, Iterable[str]],
    skip_oauth_providers: bool,
    oauth: Callable[[str], bool],
    deadline: Deadline,
) -> ipc_pb2.IpcAuthSyncResponse:
    """Push each known provider's API key, in the order of the providers' ids.

    Each provider is in exactly one list of the answer:

    - ``synced``: its key was pushed.
    - ``skipped``: no variable is set (category ``not_set``), or it has an OAuth login that a key
      would replace (``oauth``).
    - ``validation_failed``: what is set cannot be its key, and was not sent; the category says why
      (see ``KeyProblem``).
    - ``failed``: the push failed, or the time was up before its turn. Categories: ``timeout``,
      ``unreachable``, ``rate_limited``, ``server_error`` (all worth a retry), ``unauthorized``,
      ``rejected``, ``internal`` (not).

    Of several variables the first usable one counts; each is looked for in the environment before
    the ``.env`` file, and a blank one counts as not set where another is.

    Args:
        push: Pushes one key; called by this thread, one after the other.
        environ: The environment.
        dotenv: The ``.env`` file, which need not exist; None for none.
        known: The variables that may hold a provider's key, best first, by provider id.
        skip_oauth_providers: Whether to leave providers alone that have an OAuth login.
        oauth: Whether a provider has one; only asked when it matters. May raise ``BackendError``.
        deadline: When everything must be done; ``push`` gets it too.

    Raises:
        BackendError: AUTH_SYNC_FAILED if the ``.env`` file exists and cannot be read.
    """
    began = time.monotonic()
    answer = ipc_pb2.IpcAuthSyncResponse()
    settings = {} if dotenv is None else read_dotenv(dotenv)
    sources = ((environ, "in the environment"), (settings, f"in {dotenv}"))

    def sync(provider: str) -> None:
        names = tuple(known[provider])
        found = _find(provider, names, sources)
        if found is None:
            error = f"no API key: {_unset(names, dotenv)}"
            answer.skipped.append(_result(provider, "not_set", error))
            return
        try:
            if found.problem is None and deadline.passed():
                raise KeyPushError("the time was up before its turn; try again with more time")
            if skip_oauth_providers and oauth(provider):
                error = "it has an OAuth login, which an API key would replace"
                answer.skipped.append(_result(provider, "oauth", error))
                return
            if found.problem is not None:
                error = f"{found.origin} {found.problem.words}"
                answer.validation_failed.append(_result(provider, found.problem.category, error))
                return
            push(provider, found.key, deadline)
        except BackendError as refusal:
            answer.failed.append(_failure(provider, found, refusal, deadline))
        except Exception as bug:  # noqa: BLE001
            # Its text and its frames may hold the key, so that its type is all that is told.
            kind = type(bug).__name__
            logger.bind(provider=provider, kind=kind).error(
                "pushing an API key failed for a reason the gateway does not know"
            )
            error = f"pushing the key failed inside the gateway ({kind}); report it"
            answer.failed.append(_result(provider, "internal", error))
        else:
            logger.bind(provider=provider, origin=found.origin).debug("pushed an API key")
            answer.synced.append(ipc_pb2.IpcProviderSyncResult(provider=provider))

    for provider in sorted(known):
        sync(provider)
    answer.duration_ms = round((time.monotonic() - began) * 1000)
    logger.bind(
        synced=len(answer.synced),
        failed=len(answer.failed),
        skipped=len(answer.skipped),
        validation_failed=len(answer.validation_failed),
        duration_ms=answer.duration_ms,
    ).info("synchronised API keys")
    return answer


def _unset(names: Sequence[str], dotenv: Path | None) -> str:
    if not names:
        return "no variable is known that could hold one"
    places = "the environment" if dotenv is None else f"the environment or {dotenv}"
    return f"{' or '.join(names)} is not set in {places}"


def _find(
    provider: str, names: Iterable[str], sources: Iterable[tuple[Mapping[str, str], str]]
) -> _Found | None:
    """Return the first usable key; else the first that is not blank; else any; else None."""
    found: list[_Found] = []
    for name in names:
        for values, place in sources:
            if (value := values.get(name)) is not None:
                key = Secret(value)
                found.append(_Found(key, f"{name} {place}", key_problem(provider, key)))
    return min(found, key=_unfitness, default=None)


def _unfitness(found: _Found) -> int:
    if found.problem is None:
        return 0
    return 2 if found.problem.category == "blank" else 1


def _failure(
    provider: str, found: _Found, error: BackendError, deadline: Deadline
) -> ipc_pb2.IpcProviderSyncResult:
    status = getattr(error, "status", None)
    category, retryable = _category(error.code, status, deadline)
    logger.bind(provider=provider, category=category, status=status).warning(
        "an API key was not pushed"
    )
    text = _without_key(error.message, found)
    return _result(provider, category, text, retryable=retryable, status=status)


def _category(code: int, status: int | None, deadline: Deadline) -> tuple[str, bool]:
    """Return an error's category, and whether a retry may help."""
    if status is not None:
        if status == 429:
            return "rate_limited", True
        if status in (401, 403):
            return "unauthorized", False
        if status == 408:
            return "timeout", True
        if status >= 500:
            return "server_error", True
        return "rejected", False
    if deadline.passed():
        return "timeout", True
    if code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER:
        return "unreachable", True
    if code == ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR:
        return "unauthorized", False
    if code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR:
        return "server_error", True
    return "rejected", False


def _without_key(text: str, found: _Found) -> str:
    """Return the other side's words, unless they quote the key or any telling part of it."""
    forms = {found.key, json.dumps(found.key)[1:-1]}
    for form in forms:
        for start in range(len(form) - _QUOTED_CHARACTERS + 1):
            if form[start : start + _QUOTED_CHARACTERS] in text:
                return (
                    f"the key ({found.origin}) was not accepted; the answer's words are left out "
                    f"because they quote it"
                )
    return text


def _result(
    provider: str,
    category: str,
    error: str,
    *,
    retryable: bool = False,
    status: int | None = None,
) -> ipc_pb2.IpcProviderSyncResult:
    return ipc_pb2.IpcProviderSyncResult(
        provider=provider,
        error=error,
        retryable=retryable,
        error_category=category,
        status_code=status,
    )
