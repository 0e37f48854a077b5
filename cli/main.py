"""The `replay` command. Each sub-command has its own file; this one names them and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from cli import ab, broker, console, corpus, doctor, evidence, models, quickstart, results, run, stack, submit, worker
from replay.errors import ReplayError

app = typer.Typer(
    name="replay",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Audit in bulk on a small local model, kept honest by playbooks, a deterministic gate and an evidence log.",
    epilog="Exit codes: 0 done · 1 done, but something ended failed · 2 wrong input or set-up · "
    "3 broker or model does not answer · 4 evidence · 130 Ctrl-C. Settings: REPLAY_* variables, see `replay doctor`.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"replay {version('replay-audit')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options before the sub-command."""


app.command("quickstart")(quickstart.quickstart)
app.command("run")(run.run)
app.command("submit")(submit.submit)
app.command("results")(results.results)
app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("status")(stack.status)
app.command("worker")(worker.worker)
app.command("dashboard")(stack.dashboard)
app.command("doctor")(doctor.doctor)
app.command("ab")(ab.ab)
app.add_typer(models.app, name="models")
app.add_typer(corpus.app, name="corpus")
app.add_typer(evidence.app, name="evidence")
app.add_typer(broker.app, name="broker")


def main() -> None:
    """Run the command line; end with an exit code that says what happened."""
    try:
        app()
    except ReplayError as error:
        console.print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.note("stopped; nothing is lost: run the same command again to go on")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (`replay evidence tail | head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
