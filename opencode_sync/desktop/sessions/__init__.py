"""The list of sessions: what is in it, how it is shown, and what can be done there."""
