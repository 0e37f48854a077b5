"""What the whole system loses or does twice under faults of every kind: short runs of the chaos suite."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.registry import Metric, Run
from chaos import report, story
from chaos.journal import Journal
from chaos.options import Options

FIRST_SEED = 500


def measure(run: Run) -> Iterator[Metric]:
    """Several seeds; a run that fails otherwise, by a broken chain or a task that is stuck, is an error."""
    seeds, tasks = run.count(5, 1), run.count(1000, 200)
    lost = doubled = faults = ended = 0
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        options = Options(
            seed=seed, tasks=tasks, duration_s=run.count(45, 15), every_s=1.5, visibility_timeout_s=5, escalation=1
        )
        outcome = story.tell(options, echo=False)
        if outcome.ledger is None:
            raise RuntimeError(f"seed {seed}: {'; '.join(outcome.problems)}")
        print(f"seed {seed}: {'passed' if outcome.passed else '; '.join(outcome.problems)}", file=sys.stderr)
        lost += len(outcome.ledger.lost)
        doubled += len(outcome.ledger.doubled)
        ended += sum(outcome.ledger.states.values())
        faults += sum(outcome.faults.values())
        if not outcome.passed and not outcome.ledger.faults():
            raise RuntimeError(report.failure(outcome, Journal(outcome.folder / "journal.txt", echo=False).tail(40)))
    how = (
        f"{seeds} runs of the chaos suite, {tasks} tasks each, leases of 5 s: {faults} faults, {ended} ends. "
        "Baseline: the tasks."
    )
    yield Metric("chaos.lost", lost, seeds * tasks, "tasks", how, "0")
    yield Metric("chaos.doubled", doubled, seeds * tasks, "tasks", how, "0")
