"""`replay submit`: a file of tasks into the queues."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Annotated

import typer

from broker.connection import connect
from cli import console
from cli.results import GoldOption, find_gold, print_results
from cli.tables import LiveProgress
from producer import intake, reconcile
from producer.intake import Intake, Overrides
from producer.manifest import Batch
from producer.progress import Progress
from producer.submit import Submission
from producer.submit import submit as accept
from replay.errors import InputError
from replay.settings import Settings


def submit(
    file: Annotated[
        str,
        typer.Argument(help="JSON lines with custom_id, task, and if wanted checklist, tags, options; `-` is stdin."),
    ],
    wait: Annotated[
        bool, typer.Option("--wait", help="Show progress until every task has ended, then the results.")
    ] = False,
    local_only: Annotated[bool, typer.Option("--local-only", help="Never ask the large model.")] = False,
    no_retrieval: Annotated[
        bool, typer.Option("--no-retrieval", help="Baseline without evidence, marked as such.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="A new batch, even if these tasks were submitted before.")
    ] = False,
    gold: GoldOption = None,
    as_json: console.AsJson = False,
) -> None:
    """Submit tasks. The same file again is the same batch: it is resumed, and nothing is done twice.

    Bad lines are named and kept in FILE.errors.jsonl, with what is wrong; the good ones run. Mend the bad ones in a
    file of their own: FILE with other lines is another batch, and all of it would run. Exit code 1 when lines were bad
    or, with --wait, when a task failed.

    Example: replay submit data/tasks/celery-audit.jsonl --wait
    """
    settings = Settings()
    overrides = Overrides(allow_escalation=False if local_only else None, retrieval=False if no_retrieval else None)
    taken = intake.read(file, overrides)
    report_errors(taken, file)
    submission = accept(taken.lines, settings, source=taken.source, nonce=uuid.uuid4().hex if again else "")
    if not as_json:
        print_submission(submission)
    end = None
    if wait:
        end = wait_for(submission.batch, settings)
        print_results(submission.batch, settings, "json" if as_json else "table", gold or find_gold(file))
    elif as_json:
        console.print_json(_as_value(submission, taken))
    else:
        console.out.print(f"follow it: replay status; its results: replay results {submission.batch_id}")
    if taken.errors or (end is not None and end.failed):
        raise typer.Exit(1)


def report_errors(taken: Intake, file: str) -> None:
    """Name every bad line, and say what becomes of them.

    Raises:
        InputError: Every line is bad.
    """
    for error in taken.errors:
        where = f"{file}:{error.line}:" + (f" field {error.field}:" if error.field else "")
        console.err.print(f"{where} {error.error}", soft_wrap=True)
    if not taken.errors:
        return
    console.note(f"{len(taken.errors)} bad lines are kept in {taken.errors_file}, each with what is wrong with it")
    if not taken.lines:
        where = "the input" if file == intake.STDIN else file
        raise InputError(f"{where} has no good line", hint=f"Mend {where} and give it again.")
    console.note("write them, mended, into a file of their own: with other lines this one would be a new batch")


def print_submission(submission: Submission) -> None:
    """What a submit did, in a line."""
    parts = [f"{submission.enqueued} enqueued"]
    if submission.already_done:
        parts.append(f"{submission.already_done} done before")
    if submission.already_queued:
        parts.append(f"{submission.already_queued} in the queues already")
    word = "resumed" if submission.resumed else "accepted"
    console.note(f"{submission.batch_id} {word}: {submission.total} tasks, {', '.join(parts)}")


def wait_for(batch: Batch, settings: Settings) -> Progress:
    """Show a batch's progress until every task has ended."""
    with connect(settings) as broker, LiveProgress() as live:
        return reconcile.wait(
            batch,
            settings,
            broker,
            on_progress=live.show,
            on_trouble=live.trouble,
        )


def _as_value(submission: Submission, taken: Intake) -> dict[str, object]:
    return {
        "batch_id": submission.batch_id,
        "total": submission.total,
        "enqueued": submission.enqueued,
        "already_done": submission.already_done,
        "already_queued": submission.already_queued,
        "resumed": submission.resumed,
        "errors": [dataclasses.asdict(error) for error in taken.errors],
        "errors_file": str(taken.errors_file) if taken.errors_file else None,
    }
