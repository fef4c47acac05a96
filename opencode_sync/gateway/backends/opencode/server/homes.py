"""Whose data and configuration an OpenCode works with, told by its process's environment.

Two servers of one user need not be alike: one that was started with another home has other
sessions, other settings and other credentials.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["differing"]

_PLACES = ("OPENCODE_CONFIG", "OPENCODE_CONFIG_DIR", "OPENCODE_DB")
_CONTENT = "OPENCODE_CONFIG_CONTENT"


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return the variables by which two environments lead OpenCode to different places.

    Args:
        ours: One environment.
        theirs: The other.

    Returns:
        Their names alone, for the values may hold secrets; none if both lead to the same data and
        configuration.
    """
    one, other = _places(ours), _places(theirs)
    return [name for name in one if one[name] != other[name]]


def _places(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what decides, as OpenCode reads it: empty is absent, and absent is the default."""
    name = "USERPROFILE" if os.name == "nt" else "HOME"
    home = environ.get(name) or _home_of_user()
    places = {
        name: home,
        "XDG_DATA_HOME": environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share"),
        "XDG_CONFIG_HOME": environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"),
        **{each: environ.get(each, "") for each in _PLACES},
    }
    # The same folder may be written in several ways. What is relative (":memory:", too) is compared
    # as it stands: nobody knows where it was relative to.
    real = {
        each: os.path.normcase(os.path.realpath(place)) if os.path.isabs(place) else place
        for each, place in places.items()
    }
    return {**real, _CONTENT: environ.get(_CONTENT, "")}


def _home_of_user() -> str:
    """Return the home that the system has for this user, "" if it has none."""
    try:
        import pwd
    except ImportError:  # Windows
        return ""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a user whom only a number is known of, as in containers
        return ""
