"""The `replay` command. Each sub-command has its own file; this one names them and turns errors into exit codes."""

from __future__ import annotations

import os
import select
import sys
from importlib.metadata import version
from typing import Annotated

try:
    import typer
    from pydantic import ValidationError

    from cli import (
        api,
        broker,
        cancel,
        dead,
        doctor,
        metrics,
        models,
        quickstart,
        report,
        results,
        review,
        run,
        stack,
        top,
        worker,
    )
    from cli.ab import command as ab
    from cli.batch import app as batch
    from cli.corpus import app as corpus
    from cli.evidence import app as evidence
    from cli.gate import app as gate
    from cli.lane import app as lane
    from cli.output import console
    from cli.schedule import app as schedule
    from cli.study import app as study
    from cli.submit import command as submit
    from replay.errors import ConfigurationError, ReplayError
    from replay.settings import Settings
except KeyboardInterrupt:
    # Loading takes a second, and nobody else handles Ctrl-C yet.
    print("stopped before anything was begun", file=sys.stderr)
    sys.exit(130)

app = typer.Typer(
    name="replay",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Audit in bulk on a small local model, kept honest by playbooks, a deterministic gate and an evidence log.",
    epilog="Exit codes: 0 done · 1 done, but not all of it came out well · 2 wrong input or set-up · "
    "3 broker or model does not answer · 4 evidence · 130 Ctrl-C. Settings: REPLAY_* variables, see `replay doctor`.",
)


_CTRL_C = 130
_STOPPED = "stopped; nothing is lost: run the same command again to go on"


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
app.command("report")(report.report)
app.command("cancel")(cancel.cancel)
app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("status")(stack.status)
app.command("top")(top.top)
app.command("worker")(worker.worker)
app.command("dashboard")(stack.dashboard)
app.command("api")(api.api)
app.command("metrics")(metrics.metrics)
app.command("doctor")(doctor.doctor)
app.command("ab")(ab.ab)
app.add_typer(batch.app, name="batch")
app.add_typer(schedule.app, name="schedule")
app.add_typer(dead.app, name="dead")
app.add_typer(review.app, name="review")
app.add_typer(models.app, name="models")
app.add_typer(corpus.app, name="corpus")
app.add_typer(evidence.app, name="evidence")
app.add_typer(gate.app, name="gate")
app.add_typer(study.app, name="study")
app.add_typer(lane.app, name="lane")
app.add_typer(broker.app, name="broker")


def main() -> None:
    """Run the command line; end with an exit code that says what happened."""
    try:
        app()
    except ReplayError as error:
        sys.exit(_told(error))
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        sys.exit(_told(_wrong_settings(error)))
    except SystemExit as end:
        # Typer turns Ctrl-C and a broken pipe into exits of its own; the second one is told by its cause alone.
        if end.code == _CTRL_C:
            console.note(_STOPPED)
        if isinstance(end.__context__, BrokenPipeError) and _is_unread(1):
            # The reader of our output went away (`replay evidence tail | head`): not an error of ours.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(0)
        raise
    except KeyboardInterrupt:
        console.note(_STOPPED)
        sys.exit(_CTRL_C)


def _is_unread(descriptor: int) -> bool:
    """Has the reader at the other end of a pipe gone away?"""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _told(error: ReplayError) -> int:
    console.print_error(error)
    return error.exit_code


def _wrong_settings(error: ValidationError) -> ConfigurationError:
    # What was given is not repeated: it may be a key.
    faults = [f"REPLAY_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
    return ConfigurationError("; ".join(faults), hint="Correct it, or unset it for the default.")


if __name__ == "__main__":
    main()
