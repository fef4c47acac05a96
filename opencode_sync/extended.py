"""The blocking operations that the reference protocol does not have; prompts among them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

from opencode_sync import operations
from opencode_sync.answering import OnPermission, OnQuestion
from opencode_sync.cancel import CancelToken
from opencode_sync.operations import PromptFiles, Request
from opencode_sync.prompting import prompt_request
from opencode_sync.prompts import PromptResult
from opencode_sync.wire.ext_operations_pb2 import IpcBackendInfo, IpcModelList
from opencode_sync.wire.oc_message_pb2 import OcMessage
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["ExtendedOperations"]

R = TypeVar("R")


class _Run(Protocol):
    def __call__(
        self, request: Request[R], timeout: float | None, cancel: CancelToken | None
    ) -> R: ...


class ExtendedOperations:
    """This project's extensions: another backend raises ``IpcUnsupportedOperationError``."""

    _run: _Run
    """Makes a blocking call. ``IpcClient`` says how."""

    def get_backend_info(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> IpcBackendInfo:
        """Return what serves this client: its kind, its version, and OpenCode's."""
        return self._run(operations.get_backend_info(), timeout, cancel)

    def list_models(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> IpcModelList:
        """Return the models that can be used (``models``), of all providers.

        ``default_models`` of the result names the one that a provider is used with otherwise.

        Args:
            directory: The project folder; None for the client's, or else the backend's own.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.list_models(directory), timeout, cancel)

    def get_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> OcSessionInfo:
        """Return one session.

        Args:
            session_id: The id, as ``list_sessions`` gives it.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.get_session(session_id), timeout, cancel)

    def update_session(
        self,
        session_id: str,
        *,
        title: str | None = None,
        archived: bool | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> OcSessionInfo:
        """Change a session, and return it as it is then.

        Args:
            session_id: The id, as ``list_sessions`` gives it.
            title: A new title; None leaves it.
            archived: True puts it into the archive, False takes it out, None leaves it.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the session may be changed all the same.
        """
        request = operations.update_session(session_id, title=title, archived=archived)
        return self._run(request, timeout, cancel)

    def list_messages(
        self,
        session_id: str,
        *,
        limit: int | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Sequence[OcMessage]:
        """Return the messages of a session, the oldest first.

        Args:
            session_id: The id, as ``list_sessions`` gives it.
            limit: Only the newest so many; None for all.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.list_messages(session_id, limit=limit), timeout, cancel)

    def abort_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> bool:
        """Abort whatever runs in a session and below it; returns whether nothing runs any more.

        Args:
            session_id: The id, as ``list_sessions`` gives it.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the runs may be aborted all the same.
        """
        return self._run(operations.abort_session(session_id), timeout, cancel)

    def reply_permission(
        self,
        permission_id: str,
        reply: Literal["once", "always", "reject"],
        *,
        message: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        """Answer a permission question.

        Args:
            permission_id: The question's, as ``PermissionAsked.id`` gives it.
            reply: ``"once"``, ``"always"`` (from now on, in every session of the project) or
                ``"reject"``.
            message: With ``"reject"``: what the model is told, and the run goes on. Without it the
                run ends there.
            directory: The project folder, as ``PermissionAsked.directory`` gives it; None leaves it
                to the backend to remember.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the answer may be taken all the same.
        """
        request = operations.reply_permission(
            permission_id, reply, message=message, directory=directory
        )
        return self._run(request, timeout, cancel)

    def reply_question(
        self,
        question_id: str,
        answers: Sequence[Sequence[str]] | None,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        """Answer a question of the model's.

        Args:
            question_id: The question's, as ``QuestionAsked.id`` gives it.
            answers: For each of its items the chosen labels, or an answer of one's own; None
                dismisses the question.
            directory: The project folder, as ``QuestionAsked.directory`` gives it; None leaves it
                to the backend to remember.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the answer may be taken all the same.
        """
        request = operations.reply_question(question_id, answers, directory=directory)
        return self._run(request, timeout, cancel)

    def prompt(
        self,
        session_id: str,
        text: str,
        *,
        model: str | None = None,
        agent: str | None = None,
        files: PromptFiles = (),
        system: str | None = None,
        schema: Mapping[str, Any] | None = None,
        on_permission: OnPermission = None,
        on_question: OnQuestion = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> PromptResult:
        """Send a prompt, wait until the agent has done what it says, and return the whole run.

        When OpenCode has to try again because the model's provider refused, that is logged as a
        warning at once, and ``retries`` of the result holds it.

        Args:
            session_id: The session's id, as ``create_session`` gives it.
            text: What to do; at most 8,000,000 bytes in UTF-8, and blank only with files.
            model: ``"provider/model"``, such as ``"anthropic/claude-sonnet-4-5"``; None for the one
                that the session used last, or OpenCode's default.
            agent: An agent's name, as ``list_agents`` gives it; None for OpenCode's default.
            files: What goes with it: paths of files, ``PromptFile`` for what is in memory, URLs
                that begin with ``data:``.
            system: Instructions that come before the agent's own.
            schema: A JSON schema; ``structured`` of the result then fits it.
            on_permission: What to do when a tool asks whether it may: ``"reject"`` (the default:
                the model is told so and goes on without), ``"once"``, ``"always"``, or a function
                that gets a ``PermissionAsked`` and returns one of these words or a
                ``PermissionReply``. It runs on the client's notifier thread; when it raises, or
                returns anything else, the answer is no.
            on_question: What to do when the model asks the user: ``"reject"`` (the default), or a
                function that gets a ``QuestionAsked`` and returns for each item a list of labels
                (for a single item the list itself will do), or None to dismiss it. It runs as
                ``on_permission`` does.
            timeout: Seconds for the whole run; None for the option ``default_prompt_timeout``. The
                run is aborted then.
            cancel: Aborts the run.

        Raises:
            IpcPromptError: the run failed; ``kind`` says of what, ``partial`` holds what was made
                until then.
        """
        request = prompt_request(
            session_id,
            text,
            model=model,
            agent=agent,
            files=files,
            system=system,
            schema=schema,
            on_permission=on_permission,
            on_question=on_question,
        )
        return self._run(request, timeout, cancel)
