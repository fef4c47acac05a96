"""Calls of OpenCode's HTTP interface."""
