"""The backend that keeps its sessions in a real OpenCode server."""
