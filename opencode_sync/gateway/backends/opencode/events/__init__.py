"""OpenCode's events: one subscription for everybody."""
