"""What the model of a ``FakeIpcClient`` does when it is prompted, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing.gate import Gate

__all__ = [
    "AskPermission",
    "AskQuestion",
    "Fail",
    "Pause",
    "PromptScript",
    "Retry",
    "Say",
    "Step",
    "Think",
    "UseTool",
    "checked_steps",
]


@dataclass(frozen=True)
class Say:
    """Write text. As a step, a plain ``str`` means the same.

    Attributes:
        text: What is added to the answer; a stream gets it as one ``TextDelta``.
    """

    text: str


@dataclass(frozen=True)
class Think:
    """Reason; a stream gets it as one ``ReasoningDelta``.

    Attributes:
        text: What is thought.
    """

    text: str


@dataclass(frozen=True)
class UseTool:
    """Call a tool; a stream sees it running, and then ended.

    Attributes:
        name: The tool's: ``"bash"``.
        input: Its arguments.
        output: What it answers.
        error: Why it fails; None: it does not.
    """

    name: str
    input: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    error: str | None = None


@dataclass(frozen=True)
class AskPermission:
    """Ask whether a tool may do something, and wait for the answer where the prompt's policy asks.

    Attributes:
        permission: What is asked for: ``"bash"``.
        patterns: To what it applies.
        allowed: What comes next when the answer is yes...
        rejected: ...and when it is no.
    """

    permission: str
    patterns: Sequence[str] = ()
    allowed: Sequence[Step] = ()
    rejected: Sequence[Step] = ()


@dataclass(frozen=True)
class AskQuestion:
    """Ask the user something, and wait for the answer where the prompt's policy asks.

    Attributes:
        question: What is asked.
        options: The answers that are offered.
        answered: What comes next when there is an answer...
        dismissed: ...and when there is none.
    """

    question: str
    options: Sequence[str] = ()
    answered: Sequence[Step] = ()
    dismissed: Sequence[Step] = ()


@dataclass(frozen=True)
class Retry:
    """Be refused by the provider, and try again.

    Attributes:
        message: What the provider says.
    """

    message: str = "Too Many Requests"


@dataclass(frozen=True)
class Pause:
    """Do nothing until a gate is open.

    Attributes:
        gate: Opened by the test.
    """

    gate: Gate


@dataclass(frozen=True)
class Fail:
    """End the run with a failure: ``client.prompt`` raises ``IpcPromptError``.

    Attributes:
        kind: See ``IpcPromptError.kind``.
        message: Why, for people.
        status: The provider's HTTP status; None where it gave none.
        retryable: Whether the same prompt may succeed later.
    """

    kind: str
    message: str = "the test lets this run fail"
    status: int | None = None
    retryable: bool = False


Step: TypeAlias = str | Say | Think | UseTool | AskPermission | AskQuestion | Retry | Pause | Fail
"""One thing the model does."""

_STEPS = (str, Say, Think, UseTool, AskPermission, AskQuestion, Retry, Pause, Fail)


@dataclass(frozen=True)
class PromptScript:
    """What the model does about one prompt.

    Attributes:
        steps: One after the other.
        to: The text of the prompt that it is for; None for any.
        cost: What the run costs, in US dollars.
        structured: The result that fits the prompt's schema.
        repeat: Whether it is for all such prompts, and not only for the next.
    """

    steps: tuple[Step, ...]
    to: str | None = None
    cost: float = 0.0
    structured: Any = None
    repeat: bool = False


def checked_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return steps that are some, those after a question included.

    Raises:
        IpcArgumentError: one is not.
    """
    for step in steps:
        if not isinstance(step, _STEPS):
            raise IpcArgumentError(
                f"a step is of type {type(step).__name__}; give a str for text, or one of "
                f"{', '.join(each.__name__ for each in _STEPS[1:])}",
                field="steps",
            )
        if isinstance(step, AskPermission):
            checked_steps((*step.allowed, *step.rejected))
        elif isinstance(step, AskQuestion):
            checked_steps((*step.answered, *step.dismissed))
    return tuple(steps)
