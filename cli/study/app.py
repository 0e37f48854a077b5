"""`replay study`: what the evidence says of gate and models. Each sub-command has its own file."""

from __future__ import annotations

import typer

from cli.study import loop, regate

app = typer.Typer(no_args_is_help=True, help="Studies: what another gate would have said, and what the loop does.")

app.command("regate")(regate.regate)
app.command("loop")(loop.loop)
