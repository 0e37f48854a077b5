"""`replay corpus admit`: accepted evidence into the corpus, each decision explained and kept as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from broker.action import who
from cli import console, history
from cli.corpus_bar import CorpusBar
from cli.corpus_compact import compact_in_background
from cli.session import keep_records
from evidence.export import Chosen
from evidence.reader import EvidenceReader
from producer import intake
from producer.line import LineError
from replay.contracts import ReplayRun
from replay.corpus import lock, snapshot
from replay.corpus.admission import ledger
from replay.corpus.admission.deciding import decide
from replay.corpus.admission.decision import CHANGING, Decision, Outcome, Plan
from replay.corpus.admission.gathering import Gathered
from replay.corpus.admission.guard import Barred
from replay.corpus.admission.policy import Policy
from replay.corpus.admission.utility import utility
from replay.corpus.watching import UNWATCHED, Watcher
from replay.errors import InputError
from replay.settings import Settings

SHOWN = 20
USUAL = Policy()

Bars = Annotated[
    list[Path] | None,
    typer.Option(
        "--bar", metavar="FILE", help="Tasks that must not come in, nor what nearly says them; again for more."
    ),
]


def admit(
    batch: Annotated[str | None, typer.Option(help="Decide about the runs of this batch alone.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Decide about runs that ended then or later: 2026-11-24, or a time."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--all", help="Decide about every run; so it is without any of the three.")
    ] = False,
    bar: Bars = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Explain every decision, and change nothing.")] = False,
    max_depth: Annotated[
        int, typer.Option("--policy-depth", help="How many answers a record may be away from the sources.")
    ] = USUAL.max_depth,
    per_file: Annotated[
        int, typer.Option("--policy-per-file", help="How many admitted records may rest on one source file.")
    ] = USUAL.per_file,
    min_uses: Annotated[
        int, typer.Option("--policy-min-uses", help="How many runs with a record, and without, tell its utility.")
    ] = USUAL.min_uses,
    least_utility: Annotated[
        float,
        typer.Option("--policy-least-utility", help="Pass rate with a record minus without, below which it goes."),
    ] = USUAL.least_utility,
    warnings: Annotated[
        bool, typer.Option("--policy-warnings", help="Make warnings of what the large model failed at.")
    ] = USUAL.warnings,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Name every decision, and what each record is worth.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Take accepted answers into the corpus as worked examples, and take out records that do harm.

    An answer of the local model alone waits until another run confirms it or a person accepts it. What is admitted,
    withdrawn or demoted becomes one new version, and a line of evidence each; doing it again changes nothing.

    Example: replay corpus admit --bar data/study/probe.jsonl --dry-run
    """
    settings = Settings()
    if sum((batch is not None, since is not None, whole)) > 1:
        raise InputError("--batch, --since and --all exclude each other", hint="Name the runs in one way.")
    policy = Policy(
        max_depth=max_depth,
        per_file=per_file,
        least_utility=least_utility,
        min_uses=min_uses,
        warnings=warnings,
    )
    barred = Barred(barred_texts(bar or ()), policy.barred_similarity)
    evidence = history.reader(settings)
    name = history.batch_of(evidence, settings, batch) if batch is not None else None
    chosen = Chosen(name, since=_time(since) if since is not None else None)
    done = admit_evidence(settings, evidence, policy, barred, chosen, dry_run=dry_run)
    if as_json:
        console.print_json(done.wire(policy))
    else:
        done.print(verbose=verbose)
    if done.published:
        compact_in_background(settings)


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

    def print(self, *, verbose: bool) -> None:
        """For people: what changes first, then why the rest does not."""
        shown = [one for outcome in Outcome for one in self._of(outcome, verbose=verbose)]
        if shown:
            console.out.print(_table(shown))
        if verbose and self.plan.worth:
            console.out.print(_worth(self.plan))
        counts = self.plan.counts()
        hidden = len(self.plan.decisions) - len(shown)
        if hidden:
            console.note(f"{hidden:,} more decisions; --verbose names all")
        if self.plan.aside:
            aside = ", ".join(f"{count:,} {why}" for why, count in sorted(self.plan.aside.items()))
            console.note(f"left aside: {aside}")
        if self.unreadable:
            console.note(f"{self.unreadable:,} records are of a form that this version cannot read")
        told = ", ".join(f"{counts[outcome]:,} {outcome.value}" for outcome in Outcome)
        went = "nothing was changed: a dry run" if self.dry_run else f"corpus {self.version}"
        as_before = "" if self.published or self.dry_run else ", as before"
        console.out.print(f"{told}; {went}{as_before}", soft_wrap=True)

    def _of(self, outcome: Outcome, *, verbose: bool) -> Sequence[Decision]:
        found = [one for one in self.plan.decisions if one.outcome is outcome]
        if verbose:
            return found
        return found[: 0 if outcome is Outcome.KNOWN else SHOWN]


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
        return chosen.takes({"batch_id": run.batch_id, "recorded_at": run.recorded_at})

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


def _table(decisions: Sequence[Decision]) -> Table:
    table = Table("decision", "record", "whose word", "depth", "claim", "why", box=None, header_style="dim")
    for one in decisions:
        found = one.candidate
        table.add_row(one.outcome.value, one.record_id, one.basis.value, str(found.depth), found.claim[:80], one.why)
    return table


def _worth(plan: Plan) -> Table:
    table = Table("record", "runs with it", "passed", "runs without", "passed", "utility", box=None, header_style="dim")
    for record_id, counts in plan.worth.items():
        value = utility(counts)
        said = "-" if value is None else f"{100 * value:+.0f} points"
        numbers = (counts.uses, counts.passed, counts.baseline_uses, counts.baseline_passed)
        table.add_row(record_id, *map(str, numbers), said)
    return table


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"--since {text!r} is no time", hint="Give a date or a time as 2026-11-24 or 2026-11-24T20:00+01:00; UTC."
        ) from error
