"""`replay gate`: what the gate says and why. Each sub-command has its own file."""

from __future__ import annotations

import typer

from cli import gate_audit, gate_cases, gate_check, gate_explain

app = typer.Typer(no_args_is_help=True, help="The gate: try it on cases, see why it decided, audit what is claimed.")

app.command("check")(gate_check.check)
app.command("cases")(gate_cases.cases_)
app.command("explain")(gate_explain.explain_)
app.command("audit")(gate_audit.audit)
