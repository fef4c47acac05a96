"""What is known of API keys: which variables hold them, and what cannot be one.

The rules only catch what is certainly no key of that provider: a wrong key costs a clear answer of
the provider, a right one refused here costs its owner the day. They look at the key alone; nothing
is sent anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["KEY_VARIABLES", "KeyProblem", "Secret", "key_problem"]

KEY_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "cohere": ("COHERE_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "fireworks-ai": ("FIREWORKS_API_KEY",),
    "google": ("GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "groq": ("GROQ_API_KEY",),
    "minimax": ("MINIMAX_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "moonshotai": ("MOONSHOT_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "opencode": ("OPENCODE_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "perplexity": ("PERPLEXITY_API_KEY",),
    "togetherai": ("TOGETHER_API_KEY",),
    "vercel": ("AI_GATEWAY_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "zai": ("ZHIPU_API_KEY",),
}
"""The variables that hold a provider's API key and nothing else, by OpenCode's provider ids.

OpenCode's own catalogue is not used for it: it also names variables that are no keys (a resource's
name) or that were meant for other programs (``GITHUB_TOKEN``), which must not be handed on.
"""

MIN_LENGTH = 8
MAX_LENGTH = 4096

# Only what one provider alone puts in front of its keys. A plain "sk-" is many providers'.
_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "anthropic": ("sk-ant-",),
    "google": ("AIza",),
    "groq": ("gsk_",),
    "openai": ("sk-proj-", "sk-svcacct-", "sk-admin-"),
    "openrouter": ("sk-or-",),
    "xai": ("xai-",),
}

_QUOTES = "\"'`\u2018\u2019\u201c\u201d"

# "${NAME}", "$NAME", "$(command)", "%NAME%", "{{name}}", "{name}", "<name>", "[name]"
_TEMPLATE = re.compile(
    r"\$\{.*\}|\$\(.*\)|\$[A-Za-z_]\w*|%\w+%|\{\{.*\}\}|\{[\w .-]+\}|<.*>|\[.*\]", re.DOTALL
)

_VOCABULARY = """
actual add ant anthropic api bar baz cerebras change cohere deepseek dummy empty enter example fake
false fill fireworks fixme foo from gemini go goes google groq gsk here in insert it key me minimax
missing mistral moonshot my na nil none nothing null openai opencode openrouter or paste perplexity
placeholder please proj provide put real redacted replace sample secret set sk svcacct tbd test the
this to todo together token true undefined unset use value with xai your yours zhipu
"""
# A text made of nothing but these, in whatever order and joined by whatever, is no key.
_WORDS = frozenset(_VOCABULARY.split())
_LONGEST_WORD = max(map(len, _WORDS))
_LONGEST_PLACEHOLDER = 100


class Secret(str):
    """Text that does not show in ``repr``, so neither in tracebacks with values nor in dumps."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class KeyProblem(NamedTuple):
    """Why a text cannot be a provider's API key."""

    category: str
    """``"blank"``, ``"too_long"``, ``"quoted"``, ``"placeholder"``, ``"control_character"``,
    ``"whitespace"``, ``"not_ascii"``, ``"too_short"`` or ``"wrong_provider"``."""
    words: str
    """The problem and the remedy, to follow the variable's name; never any part of the key."""


def key_problem(provider: str, key: str) -> KeyProblem | None:
    """Return why ``key`` cannot be an API key of ``provider``, or None if it can."""
    if not key.strip():
        return KeyProblem("blank", "is blank; set it to the key, or remove it")
    if len(key) > MAX_LENGTH:
        return KeyProblem(
            "too_long", f"has {len(key)} characters, too many for a key; set it to the key alone"
        )
    inner = key.strip()
    if inner[0] in _QUOTES or inner[-1] in _QUOTES:
        return KeyProblem("quoted", "has quotation marks in its value; remove them")
    if _is_placeholder(inner):
        return KeyProblem("placeholder", "holds a placeholder; put the real key in its place")
    if any(ord(each) < 32 or 127 <= ord(each) < 160 for each in inner):
        return KeyProblem(
            "control_character", "has a control character in its value; copy the key again"
        )
    if any(each.isspace() for each in key):
        return KeyProblem("whitespace", "has white space in its value; remove it")
    if not key.isascii():
        return KeyProblem(
            "not_ascii", "has a character that keys never have (not ASCII); copy the key again"
        )
    if len(key) < MIN_LENGTH:
        return KeyProblem(
            "too_short",
            f"has only {len(key)} characters, too few for a key; copy the whole key",
        )
    owner = _other_owner(provider, key)
    if owner is not None:
        return KeyProblem(
            "wrong_provider", f"holds a key of {owner}; set it to the key of {provider}"
        )
    return None


def _is_placeholder(text: str) -> bool:
    if _TEMPLATE.fullmatch(text):
        return True
    if len(text) > _LONGEST_PLACEHOLDER:
        return False
    # What a known prefix leaves: "sk-ant-xxxx", "AIza...".
    bodies = [text]
    for prefixes in (*_PREFIXES.values(), ("sk-",)):
        bodies += [text.removeprefix(each) for each in prefixes if text.startswith(each)]
    return any(_is_made_of_one(body) or _is_made_of_words(body.lower()) for body in bodies)


def _is_made_of_one(text: str) -> bool:
    """Whether there is at most one character beside separators: "", "...", "xxxx-xxxx"."""
    return len({each for each in text.lower() if each not in "-_. "}) <= 1


def _is_made_of_words(text: str) -> bool:
    """Whether the text is words of the vocabulary, x's and signs, and nothing else."""
    # reachable[n]: the first n characters are. By this table, not by a pattern that could take
    # exponentially long to fail.
    reachable = [True] + [False] * len(text)
    for start, character in enumerate(text):
        if not reachable[start]:
            continue
        if character == "x" or not character.isalnum():
            reachable[start + 1] = True
        for end in range(start + 2, min(start + _LONGEST_WORD, len(text)) + 1):
            if text[start:end] in _WORDS:
                reachable[end] = True
    return reachable[-1]


def _other_owner(provider: str, key: str) -> str | None:
    """Return whose key it certainly is, if the provider has a prefix of its own and it is not."""
    own = _PREFIXES.get(provider)
    if own is None or key.startswith(own):
        return None
    return next((owner for owner, theirs in _PREFIXES.items() if key.startswith(theirs)), None)
