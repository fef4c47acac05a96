"""Looks for tokens and keys in everything that tests print and log; a test that shows one fails.

A pytest plugin: ``-p tests.support.secrets``, or its hooks imported by a conftest. What is looked
for:

- every token that a test gave to an ``IpcConfig`` or a ``Gateway`` of its process, and every one
  that a gateway made for itself, from the moment it was made until the session's end;
- what has the shape of a provider's key (``sk-...``).

Looked at is what pytest captures while a test is set up, runs and is torn down: standard output and
error of the process and of those it starts, loguru's lines among them, and ``logging``. Words too
short or too common to be a secret are left out, as tests have tokens like "wrong", too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

import pytest

__all__ = ["KNOWN", "pytest_configure", "pytest_runtest_makereport", "shown_secrets"]

KNOWN: Final[set[str]] = set()
"""The tokens of this process so far."""

_SHORTEST: Final = 12
_ON_PURPOSE: Final = ("test_the_sinks_of_these_tests_would_show_a_token_in_a_frame",)
"""Tests that show one to prove that it would be seen."""
_KEY: Final = re.compile(r"\bsk-[A-Za-z0-9_-]{12,}")
_WATCHED: Final = pytest.StashKey[bool]()


def shown_secrets(text: str, known: Iterable[str] = KNOWN) -> list[str]:
    """Return what is secret in a text, shortened so that saying so shows nothing.

    Args:
        text: What was printed or logged.
        known: The secrets besides what has the shape of one.
    """
    # Each in one step: a set may grow in other threads.
    found = [secret for secret in tuple(known) if secret in text]
    found += _KEY.findall(text)
    return sorted({f"{secret[:4]}... ({len(secret)} characters)" for secret in found})


def pytest_configure(config: pytest.Config) -> None:
    """Note every token from now on."""
    if config.stash.get(_WATCHED, False):
        return
    config.stash[_WATCHED] = True
    from opencode_sync.config import IpcConfig
    from opencode_sync.gateway import gateway

    checked_config: Callable[..., None] = IpcConfig.__post_init__
    checked_token: Callable[..., str] = gateway._checked_token

    @functools.wraps(checked_config)
    def post_init(self: IpcConfig) -> None:
        checked_config(self)
        _note(self.auth_token)

    @functools.wraps(checked_token)
    def token(given: str | None) -> str:
        made = checked_token(given)
        _note(made)
        return made

    IpcConfig.__post_init__ = post_init  # type: ignore[method-assign]
    gateway._checked_token = token  # type: ignore[assignment]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that showed a secret, when all that it printed is known."""
    report = yield
    if call.when != "teardown" or item.name in _ON_PURPOSE:
        return report
    for name, text in report.sections:
        secrets = shown_secrets(text)
        if secrets and report.outcome == "passed":
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} shows a secret ({name}): {', '.join(secrets)}"
    return report


def _note(token: str) -> None:
    # Not a word, nor one character again and again.
    if len(token) >= _SHORTEST and len(set(token)) >= 6:
        KNOWN.add(token)
