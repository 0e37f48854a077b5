"""`replay evidence`: read the log, prove it, and take it elsewhere."""

from __future__ import annotations

import typer

from cli.evidence import export, loss, proof, reading, verify
from cli.output import bare

app = typer.Typer(
    help="The append-only evidence log: read it, prove it. Alone it shows the last records, as `tail` does."
)
bare.shows(app, reading.tail)

app.command("tail")(reading.tail)
app.command("show")(reading.show)
app.command("verify")(verify.verify)
app.command("export")(export.export)
app.command("prove")(proof.prove)
app.command("check-proof")(proof.check_proof)
app.command("keygen")(verify.keygen)
app.command("accept-loss")(loss.accept_loss)
