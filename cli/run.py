"""`replay run`: audit one thing."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli import session
from cli.output import console
from cli.output.results import print_results
from cli.output.tables import results_table
from cli.submit.command import wait_for
from producer import manifest, single
from producer.line import TaskLine
from producer.results import Result, result_of
from replay import pipeline
from replay.contracts import State, TaskOptions, Tier
from replay.corpus import snapshot
from replay.errors import InputError
from replay.settings import Settings


def run(
    task: Annotated[str, typer.Option("--task", "-t", help="The claim or question to audit.")],
    check: Annotated[
        list[str] | None, typer.Option("--check", help="A checklist item; may be given several times.")
    ] = None,
    local_only: Annotated[bool, typer.Option("--local-only", help="Never ask the large model.")] = False,
    allow_escalation: Annotated[
        bool, typer.Option("--allow-escalation", help="Ask the large model if the gate rejects; this is the default.")
    ] = False,
    no_retrieval: Annotated[
        bool, typer.Option("--no-retrieval", help="Baseline without evidence, marked as such.")
    ] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Without broker and workers, in this process.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Audit one task through the same queues as a batch, and show the answer, what it rests on, and the verdict.

    Exit code 0 when the answer was accepted, 1 otherwise.

    Example: replay run --task "Verify that Celery's worker prefetch multiplier defaults to 4."
    """
    if local_only and allow_escalation:
        raise InputError("--local-only and --allow-escalation exclude each other", hint="Give one of them, or none.")
    settings = Settings()
    options = TaskOptions(allow_escalation=not local_only, retrieval=not no_retrieval)
    line = single.line_of(task, check or (), options)
    if in_process:
        result = _in_process(line, settings)
        _print(result, as_json)
        raise typer.Exit(0 if result.state == State.ACCEPTED else 1)
    submission = single.submit_one(line, settings)
    end = wait_for(submission.batch, settings)
    print_results(submission.batch, settings, "json" if as_json else "table")
    if not as_json:
        console.out.print(f"everything about it: replay evidence show {submission.batch.tasks[0].run_id}")
    raise typer.Exit(0 if end.accepted_local + end.accepted_escalation else 1)


def audit_in_process(line: TaskLine, settings: Settings, engine: pipeline.Engine) -> Result:
    """Audit one line with an engine, keep the evidence of each attempt as it ends, and return the joined result."""
    batch = manifest.plan(
        [line],
        source="replay run --in-process",
        corpus_version=snapshot.current_version(settings.corpus_dir),
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        nonce=uuid.uuid4().hex,
    )
    task = batch.tasks[0]
    local = pipeline.audit_local(task, engine)
    runs = [local.run]
    session.keep(settings, local.run)
    if local.escalation is not None:
        escalated = pipeline.audit_escalated(local.escalation, engine)
        session.keep(settings, escalated.run)
        runs.append(escalated.run)
    return result_of(task, runs)


def _in_process(line: TaskLine, settings: Settings) -> Result:
    tiers = [Tier.LOCAL, Tier.ESCALATION] if line.options.allow_escalation and line.options.retrieval else [Tier.LOCAL]
    with session.engine(settings, tiers) as engine:
        return audit_in_process(line, settings, engine)


def _print(result: Result, as_json: bool) -> None:
    if as_json:
        console.print_json(dataclasses.asdict(result))
        return
    console.out.print(results_table([result]))
    if result.quote:
        console.out.print(f"  {result.quote}", style="dim")
    for reason in result.reasons:
        console.out.print(f"  {reason}", soft_wrap=True)
    console.out.print(f"everything about it: replay evidence show {result.run_id}")
