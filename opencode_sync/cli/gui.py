"""``opencode-sync gui``: the window."""

from __future__ import annotations

import typer

from opencode_sync.cli.connection import ConfigFile, Directory, Verbose, state_of
from opencode_sync.desktop import load_toolkit
from opencode_sync.providers import FileConfigProvider

__all__ = ["gui"]


def gui(
    context: typer.Context,
    config_file: ConfigFile = None,
    directory: Directory = None,
    verbose: Verbose = False,
) -> None:
    """Show the sessions and chats in a window.

    Without a gateway to connect to, the window offers to start one. Needs the extra desktop.
    """
    state_of(context, verbose=verbose)
    load_toolkit()
    from opencode_sync.desktop.application import run

    config = None if config_file is None else FileConfigProvider(config_file)
    raise typer.Exit(run(config, directory=directory))
