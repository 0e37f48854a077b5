"""Admission as one step, for the commands that admit: decide by the evidence, write it down, publish."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from broker.action import who
from cli.corpus.bar import CorpusBar
from cli.session import keep_records
from evidence.export import Chosen
from evidence.reader import EvidenceReader
from producer import intake
from producer.line import LineError
from replay.contracts import ReplayRun
from replay.corpus import lock, snapshot
from replay.corpus.admission import ledger
from replay.corpus.admission.deciding import decide
from replay.corpus.admission.decision import CHANGING, Outcome, Plan
from replay.corpus.admission.gathering import Gathered
from replay.corpus.admission.guard import Barred
from replay.corpus.admission.policy import Policy
from replay.corpus.admission.utility import utility
from replay.corpus.watching import UNWATCHED, Watcher
from replay.errors import InputError
from replay.settings import Settings


@dataclass(frozen=True)
class Done:
    """What a run of the command came to."""

    plan: Plan
    before: str
    version: str
    unreadable: int
    dry_run: bool

    @property
    def published(self) -> bool:
        """Is there a new version?"""
        return self.version != self.before

    def wire(self, policy: Policy) -> dict[str, Any]:
        """For programs."""
        return {
            "corpus_version": self.version,
            "before": self.before,
            "published": self.published,
            "dry_run": self.dry_run,
            "policy": policy.wire(),
            "counts": {outcome.value: self.plan.counts()[outcome] for outcome in Outcome},
            "decisions": [decision.wire() for decision in self.plan.decisions],
            "aside": dict(self.plan.aside),
            "unreadable": self.unreadable,
            "utility": {
                record_id: {**counts.wire(), "utility": utility(counts)}
                for record_id, counts in self.plan.worth.items()
            },
        }


def admit_evidence(
    settings: Settings,
    evidence: EvidenceReader,
    policy: Policy,
    barred: Barred,
    chosen: Chosen | None = None,
    *,
    dry_run: bool = False,
) -> Done:
    """Decide, write the decisions into the evidence, and publish what they come to.

    The evidence comes first: a decision that is known and not done is done by the next run, and not written again.

    Args:
        settings: Where corpus and evidence lie.
        evidence: What is decided by.
        policy: The thresholds.
        barred: Texts that must not come in.
        chosen: Which runs are decided about; None is all of them.
        dry_run: Change nothing.

    Raises:
        CorpusError: There is no corpus, it is damaged, or another process is writing it.
        EvidenceLocked: A writer holds the log, but no broker leads to it.
    """
    corpus_dir = settings.corpus_dir
    snapshot.load(corpus_dir)  # raises before anything is made where there is none
    with ExitStack() as owned:
        bar = owned.enter_context(CorpusBar())
        if not dry_run:
            owned.enter_context(lock.held(corpus_dir / "admit.lock", f"the admission to {corpus_dir}", watcher=bar))
        known = gather(evidence, chosen or Chosen(), bar)
        corpus = snapshot.load(corpus_dir)
        plan = decide(known, corpus, policy, barred)
        if dry_run or not plan.changes:
            return Done(plan, corpus.version, corpus.version, known.unreadable, dry_run)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        written = ledger.entries(plan, known, policy, version=corpus.version, who=who(), at=at)
        if entries := [entry.wire() for entry in written]:
            keep_records(settings, entries)
        counts = plan.counts()
        reason = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if outcome in CHANGING)
        made = snapshot.revise(plan.add, corpus_dir, drop=plan.drop, credit=plan.credit, reason=reason, watcher=bar)
    return Done(plan, corpus.version, made.version, known.unreadable, dry_run)


def gather(evidence: EvidenceReader, chosen: Chosen, watcher: Watcher = UNWATCHED) -> Gathered:
    """One pass over the evidence."""

    def takes(run: ReplayRun) -> bool:
        tier = run.attempt.tier.value if run.attempt is not None else None
        return chosen.takes({"batch_id": run.batch_id, "recorded_at": run.recorded_at, "tier": tier})

    known = Gathered(takes)
    last = evidence.tail(1)
    for entry in watcher.count(evidence.iterate(), "reading evidence", last[0].seq if last else 0):
        known.add(entry.record)
    return known


def barred_texts(files: Sequence[Path]) -> list[tuple[str, tuple[str, ...]]]:
    """The claims and checklists of files of tasks.

    Raises:
        InputError: One cannot be read, or a line of it is no task: a bar with holes is none.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for file in files:
        try:
            with file.open("rb") as stream:
                lines = list(intake.scan(stream))
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}", hint="Give a file of tasks.") from error
        for line in lines:
            if isinstance(line, LineError):
                where = f"{file}:{line.line}" + (f" field {line.field}" if line.field else "")
                raise InputError(f"{where}: {line.error}", hint="Correct the line: what is not read is not barred.")
            found.append((line.task, line.checklist))
    return found
