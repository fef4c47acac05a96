"""The environment variables that are read, and those that look as if they were."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from typing import Final

from opencode_sync.cli.checks import Finding, Level
from opencode_sync.errors import IpcConfigError
from opencode_sync.options import IpcClientOptions
from opencode_sync.providers import PORT_VARIABLE, TOKEN_VARIABLE
from opencode_sync.runtime_file import RUNTIME_FILE_VARIABLE

__all__ = ["VARIABLES", "check_variables"]

VARIABLES: Final = "variables"
"""What the findings are about."""

_OURS: Final = ("OPENCODE_SYNC_", "OPENCODE_IPC_")


def check_variables(environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Which variables of ours are set; one that nobody reads is misspelt, and one may be wrong.

    Values are not shown: one of them is a token.
    """
    options = (each.name.upper() for each in dataclasses.fields(IpcClientOptions))
    known = {PORT_VARIABLE, TOKEN_VARIABLE, RUNTIME_FILE_VARIABLE}
    known |= {f"OPENCODE_SYNC_{each}" for each in options}
    ours = sorted(each for each in environ if each.startswith(_OURS))
    read = [each for each in ours if each in known]
    text = ", ".join(read) if read else "none of ours is set"
    findings = [Finding(VARIABLES, Level.OK, text, details={"variables": read})]
    try:
        IpcClientOptions.from_environment(environ)
    except IpcConfigError as error:
        findings.append(Finding(VARIABLES, Level.PROBLEM, error.message))
    return findings + [_unknown(each, known) for each in ours if each not in known]


def _unknown(name: str, known: set[str]) -> Finding:
    close = difflib.get_close_matches(name, known, 1)
    remedy = f"if you mean {close[0]}, set that instead" if close else f"unset {name}"
    return Finding(
        VARIABLES, Level.NOTE, f"{name} is read by nobody", remedy, details={"variables": [name]}
    )
