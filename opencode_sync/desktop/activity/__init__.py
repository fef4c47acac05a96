"""What goes on in the backend's sessions, whoever began it: one stream of events for the window."""
