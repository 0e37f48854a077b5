"""`replay broker`: the embedded Valkey server."""

from __future__ import annotations

import typer

from broker import embedded
from replay.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The embedded broker. Not needed with REPLAY_BROKER_URL.")


@app.command()
def serve() -> None:
    """Run the embedded Valkey server in the foreground, on a private socket, with an append-only file.

    Example: replay broker serve
    """
    embedded.serve(Settings())


@app.callback()
def _group() -> None:
    """Keep `serve` a sub-command although it is the only one."""
