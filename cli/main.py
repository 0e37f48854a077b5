"""The `replay` command. Each sub-command has its own file; this one names them and turns errors into exit codes."""

from __future__ import annotations

import os
import select
import sys
from importlib.metadata import version
from typing import Annotated

try:
    import typer

    from cli.lazy import Place, lazy
    from replay.errors import ConfigurationError, ReplayError
except KeyboardInterrupt:
    # Nobody else handles Ctrl-C yet.
    print("stopped before anything was begun", file=sys.stderr)
    sys.exit(130)

# What `replay --help` lists, in its order. The sentences are those of the commands.
PLACES = {
    "quickstart": Place(
        "cli.quickstart",
        "quickstart",
        "Audit eight claims about the source of celery, kombu and redis-py, start to end, on this machine alone.",
    ),
    "run": Place(
        "cli.run",
        "run",
        "Audit one task through the same queues as a batch, and show the answer, what it rests on, and the verdict.",
    ),
    "submit": Place(
        "cli.submit.command",
        "submit",
        "Submit tasks. The same file again is the same batch: it is resumed, and nothing is done twice.",
    ),
    "results": Place(
        "cli.results",
        "results",
        "Show what came of a batch, in the order of its input; partial results are fine at any time.",
    ),
    "report": Place("cli.report", "report", "Write the replay report of a batch, of a period, or of all evidence."),
    "cancel": Place(
        "cli.cancel", "cancel", "Cancel a batch: its waiting tasks end as `cancelled` as soon as a worker takes them."
    ),
    "up": Place(
        "cli.stack",
        "up",
        "Start the local stack under supervision: broker, model servers, workers, writer, scheduler, dashboard.",
    ),
    "down": Place("cli.stack", "down", "Stop the local stack; what is being generated is finished and written first."),
    "status": Place(
        "cli.stack", "status", "Show programs, queues, lanes and workers. Exit code 3 when the broker does not answer."
    ),
    "top": Place("cli.top", "top", "Watch queues, lanes, workers, rates and the last runs live; q or Ctrl-C ends it."),
    "worker": Place(
        "cli.worker",
        "worker",
        "Run one worker in the foreground until it is told to stop; SIGTERM lets it finish what it has begun.",
    ),
    "dashboard": Place("cli.stack", "dashboard", "Serve the monitoring dashboard in the foreground."),
    "api": Place(
        "cli.api", "api", "Serve a Batch HTTP API in the foreground that OpenAI's clients know: files, batches, models."
    ),
    "metrics": Place(
        "cli.metrics",
        "metrics",
        "Print the metrics of the whole system once, or serve them for Prometheus where no dashboard runs.",
    ),
    "doctor": Place(
        "cli.doctor",
        "doctor",
        "Check the installation, the settings and what should answer. Exit code 1 when a check fails.",
    ),
    "ab": Place(
        "cli.ab.command",
        "ab",
        "Compare three arms on the same tasks: the local model with evidence, from memory, and no model at all.",
    ),
    "batch": Place(
        "cli.batch.app",
        "app",
        "Batches: list, look at, wait for, pause, resume, retry and cancel them; their results. Alone it lists them.",
    ),
    "schedule": Place(
        "cli.schedule.app",
        "app",
        "Recurring replays: add, list, look at, pause, resume and remove them; what comes next. Alone it lists them.",
    ),
    "dead": Place(
        "cli.dead",
        "app",
        "Messages that could not be run: look at them, requeue or discard them. Alone it lists them, as `list` does.",
    ),
    "review": Place(
        "cli.review",
        "app",
        "Reviews: what a person says of a run that ended rejected or undecided. Alone it lists what waits.",
    ),
    "models": Place(
        "cli.models",
        "app",
        "The embedded models: list, fetch, serve. Not needed with your own endpoint. Alone it lists them.",
    ),
    "corpus": Place(
        "cli.corpus.app",
        "app",
        "The corpus: what retrieval finds. Build it, add to it, look into it. Alone it says what is in it: `stats`.",
    ),
    "evidence": Place(
        "cli.evidence.app",
        "app",
        "The append-only evidence log: read it, prove it. Alone it shows the last records, as `tail` does.",
    ),
    "gate": Place("cli.gate.app", "app", "The gate: try it on cases, see why it decided, audit what is claimed."),
    "study": Place("cli.study.app", "app", "Studies: what another gate would have said, and what the loop does."),
    "lane": Place(
        "cli.lane.app",
        "app",
        "The lanes of work: pause, resume, budgets, and why one stands still. Alone it shows them, as `list` does.",
    ),
    "broker": Place("cli.broker", "app", "The embedded broker, and users with few rights for one of your own."),
}

app = typer.Typer(
    name="replay",
    cls=lazy(PLACES),
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


def main() -> None:
    """Run the command line; end with an exit code that says what happened."""
    try:
        app()
    except ReplayError as error:
        sys.exit(_told(error))
    except ValueError as error:
        if (wrong := _wrong_settings(error)) is None:
            raise
        sys.exit(_told(wrong))
    except SystemExit as end:
        # Typer turns Ctrl-C and a broken pipe into exits of its own; the second one is told by its cause alone.
        if end.code == _CTRL_C:
            _note(_STOPPED)
        if isinstance(end.__context__, BrokenPipeError) and _is_unread(1):
            # The reader of our output went away (`replay evidence tail | head`): not an error of ours.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(0)
        raise
    except KeyboardInterrupt:
        _note(_STOPPED)
        sys.exit(_CTRL_C)


def _is_unread(descriptor: int) -> bool:
    """Has the reader at the other end of a pipe gone away?"""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _told(error: ReplayError) -> int:
    from cli.output import console  # noqa: PLC0415  what speaks in colour takes a while to load

    console.print_error(error)
    return error.exit_code


def _note(text: str) -> None:
    from cli.output import console  # noqa: PLC0415  as above

    console.note(text)


def _wrong_settings(error: ValueError) -> ConfigurationError | None:
    """What an error says of the settings, if it is about them."""
    from pydantic import ValidationError  # noqa: PLC0415  as above; where it was raised it is loaded

    if not isinstance(error, ValidationError) or error.title != "Settings":
        return None
    # What was given is not repeated: it may be a key.
    faults = [f"REPLAY_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
    return ConfigurationError("; ".join(faults), hint="Correct it, or unset it for the default.")


if __name__ == "__main__":
    main()
