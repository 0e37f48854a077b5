"""`replay study`: what the evidence says of gate and models. Each sub-command has its own file."""

from __future__ import annotations

import typer

from cli import study_regate

app = typer.Typer(no_args_is_help=True, help="Studies over the evidence: read-only, repeatable.")

app.command("regate")(study_regate.regate)
