"""The client through WebSocket and gateway to a real OpenCode, with a stub for its model."""
