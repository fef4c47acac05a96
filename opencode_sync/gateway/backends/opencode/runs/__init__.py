"""Prompts: whole runs of the agent."""
