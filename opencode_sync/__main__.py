"""``python -m opencode_sync``: the same program as the ``opencode-sync`` command."""

from __future__ import annotations

import sys

from opencode_sync.cli import main

if __name__ == "__main__":
    sys.exit(main())
