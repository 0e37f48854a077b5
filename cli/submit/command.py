"""`replay submit`: a file of tasks into the queues."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from broker.connection import connect
from cli.output import console
from cli.output.results import GoldOption, find_gold, print_results
from cli.output.tables import LiveProgress
from cli.submit.bar import SubmitBar
from evidence.reader import EvidenceReader
from producer import intake, manifest, reconcile
from producer.enqueue import WhenFull
from producer.estimate import Estimate, estimate
from producer.intake import Intake, Lines, Overrides
from producer.line import TaskLine
from producer.manifest import Batch
from producer.marks import Priority
from producer.progress import Progress
from producer.submit import Stage, Submission, drafted
from producer.submit import submit as accept
from replay import tracing
from replay.corpus.oneline import as_text
from replay.errors import InputError
from replay.settings import Settings


def submit(
    file: Annotated[
        str,
        typer.Argument(
            help="JSON lines with custom_id, task, and if wanted checklist, tags, options, also packed by gzip; "
            "`-` is stdin."
        ),
    ],
    wait: Annotated[
        bool, typer.Option("--wait", help="Show progress until every task has ended, then the results.")
    ] = False,
    local_only: Annotated[bool, typer.Option("--local-only", help="Never ask the large model.")] = False,
    no_retrieval: Annotated[
        bool, typer.Option("--no-retrieval", help="Baseline without evidence, marked as such.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="A new batch, even if these tasks were submitted before; no answer of theirs is reused."
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", min=1, help="Only the first so many good lines.")
    ] = None,
    priority: Annotated[
        Priority | None,
        typer.Option(help="high: before all that waits. low: few at a time, so that others hardly wait behind them."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Put a tag on every task; may be given several times.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check every line and estimate what it would take; submit and write nothing."),
    ] = False,
    gold: GoldOption = None,
    as_json: console.AsJson = False,
) -> None:
    """Submit tasks. The same file again is the same batch: it is resumed, and nothing is done twice.

    A file may have millions of lines. Where the queue is full the command waits for workers; after Ctrl-C nothing is
    lost, since the batch is kept before anything is enqueued.

    Bad lines are named and kept in FILE.errors.jsonl, with what is wrong; the good ones run. Mend the bad ones in a
    file of their own: FILE with other lines is another batch, and all of it would run. Exit code 1 when lines were bad
    or, with --wait, when a task failed.

    Example: replay submit data/tasks/celery-audit.jsonl --wait
    """
    settings = Settings()
    overrides = Overrides(
        allow_escalation=False if local_only else None,
        retrieval=False if no_retrieval else None,
        # Who wants it made again wants no answer from before.
        reuse=False if again else None,
        tags=_tags(tag or ()),
    )
    with SubmitBar() as bar:
        lines = Lines(
            file, overrides, limit=limit, keep_errors=not dry_run, on_read=lambda done: bar.read(done, lines.size)
        )
        if dry_run:
            value = _estimated(lines, settings, bar, nonce=uuid.uuid4().hex if again else "", file=file)
        else:
            submission = _accepted(
                lines, settings, bar, nonce=uuid.uuid4().hex if again else "", priority=priority, file=file
            )
    report_errors(lines, file)
    if dry_run:
        _print_estimate(value, as_json=as_json)
        raise typer.Exit(1 if lines.bad else 0)
    if not as_json:
        print_submission(submission)
    end = None
    if wait:
        end = wait_for(submission.batch, settings)
        # Read anew: runs may have been made again meanwhile.
        batch = manifest.load(settings.batches_dir, submission.batch_id)
        print_results(batch, settings, "json" if as_json else "table", gold or find_gold(file))
    elif as_json:
        console.print_json(_as_value(submission, lines))
    else:
        console.out.print(f"follow it: replay batch wait {submission.batch_id}; what came of it: replay results")
    if lines.bad or (end is not None and end.failed):
        raise typer.Exit(1)


def report_errors(taken: Intake | Lines, file: str) -> None:
    """Name the first bad lines, and say what becomes of all of them.

    Raises:
        InputError: Every line is bad.
    """
    for error in taken.first_errors:
        where = f"{file}:{error.line}:" + (f" field {error.field}:" if error.field else "")
        console.err.print(f"{where} {error.error}", soft_wrap=True)
    if not taken.bad:
        return
    if taken.bad > len(taken.first_errors):
        console.note(f"and {taken.bad - len(taken.first_errors):,} more")
    if taken.errors_file is None:
        console.note(
            f"{taken.bad:,} bad lines; a dry run writes no file: a submit keeps all of them in FILE.errors.jsonl"
        )
    else:
        console.note(f"{taken.bad:,} bad lines are kept in {taken.errors_file}, each with what is wrong with it")
    if not taken.good:
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
    if submission.left:
        parts.append(f"{submission.left} not enqueued yet")
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


def _accepted(
    lines: Lines, settings: Settings, bar: SubmitBar, *, nonce: str, priority: Priority | None, file: str
) -> Submission:
    try:
        with tracing.traced(settings, "producer"), tracing.span("submit", fan_out=True) as span:
            made = accept(
                lines,
                settings,
                source=lines.source,
                nonce=nonce,
                priority=priority,
                when_full=WhenFull.WAIT,
                on_step=bar.step,
            )
            span.set(replay__batch_id=made.batch_id, replay__enqueued=made.enqueued)
            return made
    except KeyboardInterrupt:
        if bar.last is not None and bar.last.stage is Stage.ENQUEUING:
            done = f"{bar.last.done:,} of {bar.last.total or 0:,}"
            console.note(f"the batch is accepted; {done} tasks are enqueued, and the scheduler enqueues the others")
        raise
    except InputError:
        if not lines.good:
            report_errors(lines, file)  # says what is wrong with the lines, where there are any
        raise


def _estimated(lines: Lines, settings: Settings, bar: SubmitBar, *, nonce: str, file: str) -> dict[str, Any]:
    may_escalate = 0

    def counted() -> Iterator[TaskLine]:
        nonlocal may_escalate
        for line in lines:
            may_escalate += line.options.allow_escalation and line.options.retrieval
            yield line

    try:
        with drafted(counted(), settings, source=lines.source, on_step=bar.step) as draft:
            batch_id = draft.batch_id(nonce)
            found = estimate(draft.count, may_escalate, settings)
    except InputError:
        if not lines.good:
            report_errors(lines, file)
        raise
    known = manifest.exists(settings.batches_dir, batch_id)
    return {
        "batch_id": batch_id,
        "is_known": known,
        "already_done": reconcile.ended(batch_id, settings, EvidenceReader(settings.evidence_log)) if known else 0,
        "bad_lines": lines.bad,
        "estimate": found,
    }


def _print_estimate(value: dict[str, Any], *, as_json: bool) -> None:
    found: Estimate = value["estimate"]
    if as_json:
        console.print_json(value | {"estimate": dataclasses.asdict(found), "unknown": found.unknown})
        return
    resumed = f", accepted before, {value['already_done']} of its tasks done" if value["is_known"] else ""
    console.out.print(f"{value['batch_id']}: {found.tasks:,} tasks{resumed}; nothing was submitted")
    for name, held in (
        ("large-model calls", _number(found.large_model_calls)),
        ("tokens read", _number(found.prompt_tokens)),
        ("tokens written", _number(found.completion_tokens)),
        ("model time", _seconds(found.model_seconds)),
        ("until the end", _seconds(found.seconds)),
        ("money", None if found.money is None else f"{found.money:,.2f}"),
    ):
        if held is not None:
            console.out.print(f"  {name:18} about {held}")
    if found.attempts:
        console.out.print(f"measured on the last {found.attempts:,} attempts in this data directory")
    for words in found.unknown:
        console.out.print(f"not known: {words}", soft_wrap=True)


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _seconds(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:,.0f} s" if value < 2 * 3600 else f"{value / 3600:,.1f} h"


def _tags(tags: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    if any(not tag.strip() for tag in tags):
        raise InputError("a tag is empty", hint="Give it a name: --tag nightly")
    return tuple(as_text(tag).strip() for tag in tags)


def _as_value(submission: Submission, lines: Lines) -> dict[str, object]:
    return {
        "batch_id": submission.batch_id,
        "total": submission.total,
        "enqueued": submission.enqueued,
        "already_done": submission.already_done,
        "already_queued": submission.already_queued,
        "left": submission.left,
        "resumed": submission.resumed,
        "bad_lines": lines.bad,
        "errors": [dataclasses.asdict(error) for error in lines.first_errors],
        "errors_file": str(lines.errors_file) if lines.errors_file else None,
    }
