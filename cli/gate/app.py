"""`replay gate`: what the gate says and why. Each sub-command has its own file."""

from __future__ import annotations

import typer

from cli.gate import audit, cases, check, explain

app = typer.Typer(no_args_is_help=True, help="The gate: try it on cases, see why it decided, audit what is claimed.")

app.command("check")(check.check)
app.command("cases")(cases.cases_)
app.command("explain")(explain.explain_)
app.command("audit")(audit.audit)
