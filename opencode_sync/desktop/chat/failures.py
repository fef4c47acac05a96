"""Why runs and answers failed, in words for people, with the details in brackets."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from opencode_sync.desktop.chat.words import line
from opencode_sync.errors import IpcError, IpcPromptError

__all__ = [
    "NoConnection",
    "NoThread",
    "answer_failure",
    "retry_hint",
    "run_failure",
    "stop_failure",
]


class NoConnection(Exception):
    """There was no connection for a prompt, which was not sent."""


class NoThread(Exception):
    """The system had no thread to spare for a run, which has not begun."""


def run_failure(error: BaseException) -> str:
    """Return why a run failed."""
    translate = QCoreApplication.translate
    if isinstance(error, NoConnection):
        return translate(
            "failures", "The message was not sent: there is no connection to the backend now."
        )
    if isinstance(error, NoThread):
        said = translate("failures", "The message was not sent: the system has no thread to spare.")
        return f"{said} {retry_hint()}"
    if not isinstance(error, IpcPromptError):
        return translate("failures", "The run ended: {0}").format(_message(error))
    said = _with_details(error.kind, _reason(error))
    return f"{said} {retry_hint()}" if error.retryable else said


def stop_failure(error: BaseException) -> str:
    """Return why another program's run goes on although it was to be stopped."""
    said = QCoreApplication.translate("failures", "It was not stopped: {0}")
    return said.format(_message(error))


def retry_hint() -> str:
    """Return what to do about a failure that may be over by now."""
    return QCoreApplication.translate("failures", "Sending it again may help.")


def answer_failure(kind: str, reason: str) -> str:
    """Return why an answer failed.

    Args:
        kind: As ``IpcPromptError.kind``.
        reason: In the provider's words or OpenCode's.
    """
    if kind == "aborted":
        return QCoreApplication.translate("failures", "Stopped")
    return _with_details(kind, reason)


def _message(error: BaseException) -> str:
    reason = error.message if isinstance(error, IpcError) else ""
    unexpected = QCoreApplication.translate("failures", "an unexpected error occurred")
    return line(reason or unexpected, 500)


def _with_details(kind: str, reason: str) -> str:
    title = _title(kind)
    if kind == "permission_rejected":  # of which the reason says nothing else
        return f"{title}."
    return f"{title}. ({line(reason, 500)})" if reason.strip() else f"{title}."


def _reason(error: IpcPromptError) -> str:
    """Return the backend's own words, without the frame that logs and tracebacks need."""
    code = error.kind if error.status is None else f"{error.kind}, status {error.status}"
    reason = error.message.removeprefix("the prompt failed: ").removesuffix(f" ({code})")
    return reason if error.status is None else f"{reason}, status {error.status}"


def _title(kind: str) -> str:
    translate = QCoreApplication.translate
    return {
        "provider_auth": translate("failures", "The provider did not accept the credentials"),
        "api": translate("failures", "The provider refused"),
        "rate_limited": translate("failures", "The provider allows no more requests for now"),
        "context_overflow": translate("failures", "The conversation is too long for the model"),
        "output_length": translate("failures", "The answer was cut off: it became too long"),
        "incomplete": translate("failures", "The answer broke off"),
        "content_filter": translate("failures", "The provider filtered the answer"),
        "permission_rejected": translate("failures", "The run ended by what you rejected"),
        "aborted": translate("failures", "The run was aborted"),
        "timeout": translate("failures", "The run took too long"),
        "unknown": translate("failures", "The run failed"),
        "unknown_model": translate("failures", "There is no such model"),
        "unknown_agent": translate("failures", "There is no such agent"),
        "unknown_session": translate("failures", "There is no such session any more"),
    }.get(kind, translate("failures", "The run failed ({0})").format(line(kind)))
