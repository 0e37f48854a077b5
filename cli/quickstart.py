"""`replay quickstart`: the main job on real input, from nothing to a table of results. Reads downwards."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import samples, session
from cli.corpus.bar import CorpusBar
from cli.output import console
from cli.output.results import print_results
from cli.submit.command import print_submission, wait_for
from evidence import verify
from evidence.reader import EvidenceReader
from producer import intake, manifest, reconcile
from producer.intake import Intake
from producer.manifest import Batch
from producer.submit import submit
from replay.contracts import Record, State, Tier
from replay.corpus import playbooks, snapshot, sources
from replay.errors import ConfigurationError
from replay.settings import Settings


def quickstart(
    again: Annotated[
        bool, typer.Option("--again", help="Run the sample anew, even if it has been run to its end.")
    ] = False,
) -> None:
    """Audit eight claims about the source of celery, kombu and redis-py, start to end, on this machine alone.

    Fetches the two models where they are missing, builds the corpus, starts the stack, submits the sample, shows its
    progress and results, and stops what it started. Ctrl-C stops cleanly; the next run resumes the batch.

    Example: replay quickstart
    """
    settings = Settings()
    if not samples.QUICKSTART.is_file():
        raise ConfigurationError(
            f"the sample {samples.QUICKSTART} is missing", hint="Run it from a checkout of Replay."
        )
    # A stack must not outlive whoever started it: a closed terminal and a plain kill stop as cleanly as Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    console.note("1/4  models")
    session.fetch_models(settings, tuple(Tier))
    console.note("2/4  corpus")
    _build_corpus(settings)
    console.note("3/4  stack")
    with session.started(settings):
        console.note("4/4  audit")
        taken = intake.read(samples.QUICKSTART)
        nonce = _nonce_file(settings)
        if again and _ended(settings, taken, nonce):
            nonce.write_text(uuid.uuid4().hex, encoding="utf-8")
        submission = submit(taken.lines, settings, source=taken.source, nonce=_read(nonce))
        print_submission(submission)
        wait_for(submission.batch, settings)
    _report(
        submission.batch, settings, time.monotonic() - began, nothing_new=submission.already_done == submission.total
    )


def _nonce_file(settings: Settings) -> Path:
    """Which repetition of the sample is the present one; empty or missing for the first."""
    return settings.batches_dir / "quickstart"


def _read(nonce: Path) -> str:
    return nonce.read_text(encoding="utf-8") if nonce.is_file() else ""


def _ended(settings: Settings, taken: Intake, nonce: Path) -> bool:
    """Has the present repetition ended? One that was stopped is resumed, also by `--again`."""
    planned = manifest.plan(taken.lines, source=taken.source, corpus_version=None, created_at="", nonce=_read(nonce))
    if not manifest.exists(settings.batches_dir, planned.batch_id):
        return False
    return not reconcile.owes(planned.batch_id, settings, EvidenceReader(settings.evidence_log))


def _build_corpus(settings: Settings) -> None:
    version = snapshot.current_version(settings.corpus_dir)
    if version is not None:
        console.note(f"     {version} is there")
        return
    playbook = playbooks.read(samples.PLAYBOOK).records
    with CorpusBar() as bar:
        made = snapshot.write(
            chain(_source_records(bar), playbook), settings.corpus_dir, reason="quickstart", watcher=bar
        )
    console.note(f"     {made.version}: {len(made)} records, {len(playbook)} of them from the playbook")


def _source_records(bar: CorpusBar) -> Iterator[Record]:
    for package in samples.PACKAGES:
        reading = sources.stream(package, bar.reading(package))
        yield from reading
        report = reading.report
        console.note(f"     {report.origin}: {report.records} records from {report.files} files")


def _report(batch: Batch, settings: Settings, seconds: float, *, nothing_new: bool) -> None:
    console.out.print()
    print_results(batch, settings, "table", samples.GOLD)
    report = verify.verify(settings.evidence_log)
    proof = "its chain of hashes holds" if report.ok else "its chain of hashes does not hold: replay evidence verify"
    console.out.print(f"evidence: {settings.evidence_log}, {report.records} records; {proof}")
    if nothing_new:
        console.out.print("All of it had been run before; `replay quickstart --again` runs it anew.")
    states = EvidenceReader(settings.evidence_log).batch_states(batch.batch_id)
    accepted = [run_id for run_id, row in states.items() if row.state == State.ACCEPTED]
    run_id = next(iter([*accepted, *states]), "RUN")
    console.out.print(Text.assemble((f"{seconds:.0f} s in all.", "dim"), " Next:"))
    for command, what in (
        (f"replay evidence show {run_id}", "one audit, with the lines it rests on"),
        ("replay up", "keep the stack running"),
        ("replay submit data/tasks/celery-audit.jsonl --wait", "all 40 claims"),
        ('replay run --task "Verify that …"', "a claim of your own"),
        ("replay corpus build PATH", "your own sources instead"),
    ):
        console.out.print(Text.assemble(f"  .venv/bin/{command:<58} ", (what, "dim")), soft_wrap=True)
