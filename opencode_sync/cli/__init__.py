"""The ``opencode-sync`` command.

Importing this package costs next to nothing: typer, rich, the client and the gateway are imported
only when ``main`` runs, and of those only what the command needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA_PACKAGES = frozenset({"typer", "rich", "click"})
"""What the ``cli`` extra installs (older releases of typer bring click along)."""

_MISSING_EXTRA = (
    'opencode-sync needs its command line extra: pip install "opencode-sync-sdk[cli,gateway]"'
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        argv: The arguments without the program's name; None means those of this process.

    Returns:
        One of ``opencode_sync.cli.errors.ExitCode``.
    """
    try:
        from opencode_sync.cli.app import run
    except ImportError as error:
        # An ImportError of our own making is a bug and must not be blamed on the installation.
        if (error.name or "").partition(".")[0] not in _EXTRA_PACKAGES:
            raise
        sys.stderr.write(f"{_MISSING_EXTRA}\n")
        return 1
    return run(argv)
