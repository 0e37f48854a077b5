"""`replay evidence`: read the log, prove it, and take it elsewhere."""

from __future__ import annotations

import typer

from cli import evidence_export, evidence_loss, evidence_proof, evidence_reading, evidence_verify

app = typer.Typer(no_args_is_help=True, help="The append-only evidence log: read it, prove it.")

app.command("tail")(evidence_reading.tail)
app.command("show")(evidence_reading.show)
app.command("verify")(evidence_verify.verify)
app.command("export")(evidence_export.export)
app.command("prove")(evidence_proof.prove)
app.command("check-proof")(evidence_proof.check_proof)
app.command("keygen")(evidence_verify.keygen)
app.command("accept-loss")(evidence_loss.accept_loss)
