"""OpenCode's processes: found, started, ended."""
