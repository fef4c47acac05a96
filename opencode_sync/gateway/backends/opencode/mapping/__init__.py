"""OpenCode's JSON as the schema's messages."""
