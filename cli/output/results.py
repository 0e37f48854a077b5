"""A batch's results for people: the table with its summary, or one JSON document; and where known verdicts lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli import samples
from cli.output import console
from cli.output.tables import print_summary, results_table
from evidence.reader import EvidenceReader
from producer.gold import read_gold
from producer.manifest import Batch
from producer.results import Result
from producer.results import results as join
from producer.summary import Summing
from replay.settings import Settings

_MOST_ROWS = 1000

GoldOption = Annotated[
    Path | None,
    typer.Option(help="Known verdicts (JSON lines with custom_id and verdict) to hold the results against."),
]


def print_results(batch: Batch, settings: Settings, form: Literal["table", "json"], gold: Path | None = None) -> None:
    """Print a batch's results as a table with a summary, or as one JSON document."""
    print_rows(join(batch, EvidenceReader(settings.evidence_log)), batch, form, gold)


def print_rows(rows: Iterable[Result], batch: Batch, form: Literal["table", "json"], gold: Path | None = None) -> None:
    """The same of some of its results."""
    known = read_gold(gold) if gold is not None else None
    summing = Summing(known)
    passing = summing.through(rows)
    shown = list(islice(passing, None if form == "json" else _MOST_ROWS))
    # What the table has no place for still counts.
    left = sum(1 for _ in passing)
    summary = summing.summary()
    if form == "json":
        console.print_json(
            {
                "batch_id": batch.batch_id,
                "summary": dataclasses.asdict(summary),
                "results": [dataclasses.asdict(row) for row in shown],
            }
        )
        return
    console.out.print(results_table(shown, known))
    if left:
        console.note(f"{left:,} more rows are not shown: `replay batch results -o FILE` writes all of them")
    console.out.print()
    console.out.print(f"{batch.batch_id}, from {batch.source}", style="dim")
    print_summary(summary)


def find_gold(tasks_file: str) -> Path | None:
    """The gold file that lies beside a tasks file in the layout of `data/`, if there is one."""
    tasks = Path(tasks_file)
    if tasks.resolve() == samples.QUICKSTART:
        return samples.GOLD
    candidate = tasks.parent.parent / "gold" / f"{tasks.stem}.gold.jsonl"
    return candidate if tasks.parent.name == "tasks" and candidate.is_file() else None
