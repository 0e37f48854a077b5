"""`replay results`: what came of a batch, at any time."""

from __future__ import annotations

import dataclasses
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli import samples
from cli.output import console
from cli.output.tables import print_summary, results_table
from evidence.reader import EvidenceReader
from producer import manifest
from producer.gold import read_gold
from producer.manifest import Batch
from producer.results import results as join
from producer.results import to_csv, to_jsonl
from producer.summary import Summing
from replay.errors import InputError
from replay.settings import Settings

_MOST_ROWS = 1000

Format = Literal["table", "jsonl", "csv", "json"]

GoldOption = Annotated[
    Path | None,
    typer.Option(help="Known verdicts (JSON lines with custom_id and verdict) to hold the results against."),
]


def results(
    batch: Annotated[
        str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table, jsonl or csv.")] = "table",
    gold: GoldOption = None,
    as_json: console.AsJson = False,
) -> None:
    """Show what came of a batch, in the order of its input; partial results are fine at any time.

    Example: replay results --format csv > results.csv
    """
    settings = Settings()
    if form not in ("table", "jsonl", "csv"):
        raise InputError(f"there is no format {form!r}", hint="Formats: table, jsonl, csv.")
    found = manifest.find(settings.batches_dir, batch)
    chosen: Format = "json" if as_json else form  # type: ignore[assignment]  # checked two lines above
    print_results(found, settings, chosen, gold)


def print_results(batch: Batch, settings: Settings, form: Format, gold: Path | None = None) -> None:
    """Print a batch's results in one of the formats."""
    found = join(batch, EvidenceReader(settings.evidence_log))
    if form in ("jsonl", "csv"):
        for line in to_jsonl(found) if form == "jsonl" else to_csv(found):
            print(line)
        return
    known = read_gold(gold) if gold is not None else None
    summing = Summing(known)
    rows = list(islice(summing.through(found), None if form == "json" else _MOST_ROWS))
    # What the table has no place for still counts.
    left = sum(1 for _ in summing.through(found))
    summary = summing.summary()
    if form == "json":
        console.print_json(
            {
                "batch_id": batch.batch_id,
                "summary": dataclasses.asdict(summary),
                "results": [dataclasses.asdict(row) for row in rows],
            }
        )
        return
    console.out.print(results_table(rows, known))
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
