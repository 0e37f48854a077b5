"""`replay batch results`: a batch's results as files, a row for each task, at any time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cli.output import console
from cli.output.reading_bar import ReadingBar
from cli.output.whole_file import opened
from evidence.reader import EvidenceReader
from producer import manifest
from producer.results import Result
from producer.results import results as join
from producer.results_file import Form, failed_only, write
from replay.contracts import State
from replay.errors import InputError
from replay.settings import Settings


def results(
    batch: Annotated[
        str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="Of the file, and of the one of --errors.")] = Form.JSONL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; without it, stdout.")
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the failed ones into this file instead, with why.")
    ] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Leave out what has not ended.")] = False,
) -> None:
    """Write what came of a batch, joined by custom_id in the order of the input; partial results are fine at any time.

    One row after the other, whatever the size of the batch. `replay results` shows a table instead. Exit code 1 when
    tasks failed and --errors named a file for them.

    Example: replay batch results --format parquet -o results.parquet --errors failed.jsonl
    """
    settings = Settings()
    if form is Form.PARQUET and output is None and sys.stdout.isatty():
        raise InputError("Parquet is not for a terminal", hint="Name a file: -o results.parquet")
    if output is not None and errors is not None and output.absolute() == errors.absolute():
        raise InputError(f"{output} was named for both files", hint="Name another one for --errors.")
    found = manifest.find(settings.batches_dir, batch)
    reader = EvidenceReader(settings.evidence_log)
    with ReadingBar("writing results", len(found.tasks), streaming=output is None) as bar:
        rows = _passing(join(found, reader), bar, ended=ended, without_failed=errors is not None)
        with opened(output) as out:
            count = write(rows, form, out)
    if output is not None:
        console.note(f"{count:,} rows in {output}")
    if errors is None:
        return
    with opened(errors) as out:
        failed = write(failed_only(join(found, reader)), form, out)
    console.note(f"{failed:,} failed ones in {errors}")
    if failed:
        raise typer.Exit(1)


def _passing(rows: Iterator[Result], bar: ReadingBar, *, ended: bool, without_failed: bool) -> Iterator[Result]:
    for row in rows:
        bar.advance()
        if (without_failed and row.state == State.FAILED) or (ended and row.state in _NOT_ENDED):
            continue
        yield row


_NOT_ENDED = ("waiting", State.ESCALATED.value)
