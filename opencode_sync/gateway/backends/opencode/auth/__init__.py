"""Providers' credentials."""
