"""`replay batch results`: what came of a batch, as rows for files and programs or as a table, at any time.

`replay results` is this command with another default.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.output import console
from cli.output.files import opened
from cli.output.reading_bar import ReadingBar
from cli.output.results import GoldOption, print_rows
from evidence.reader import EvidenceReader
from producer import manifest
from producer.results import WAITING, Result
from producer.results import results as join
from producer.results_file import Form, failed_only, write
from replay.contracts import State
from replay.errors import InputError
from replay.settings import Settings


class Shown(StrEnum):
    """How results can be shown or written."""

    TABLE = "table"
    JSONL = Form.JSONL.value
    CSV = Form.CSV.value
    PARQUET = Form.PARQUET.value


Batch = Annotated[str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")]
ShownAs = Annotated[
    Shown | None,
    typer.Option(
        "--format", show_default=False, help="`table` is for people, with a summary; the others are rows for files."
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; without it, stdout.")]
Errors = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the failed ones into this file instead, with why.")
]
Ended = Annotated[bool, typer.Option("--ended", help="Leave out what has not ended.")]


def results(
    batch: Batch = None,
    form: ShownAs = None,
    output: Output = None,
    errors: Errors = None,
    ended: Ended = False,
    gold: GoldOption = None,
    as_json: console.AsJson = False,
) -> None:
    """Write what came of a batch, joined by custom_id in the order of the input; partial results are fine at any time.

    One row after the other as JSON lines, or in the --format given, whatever the size of the batch; --json prints one
    document with a summary. `replay results` is short for `replay batch results --format table`. Exit code 1 when tasks
    failed and --errors named a file for them.

    Example: replay batch results --format parquet -o results.parquet --errors failed.jsonl
    """
    settings = Settings()
    form = form or Shown.JSONL
    if as_json or form is Shown.TABLE:
        _refuse_files(output, errors, "--json" if as_json else "a table")
        found = manifest.find(settings.batches_dir, batch)
        rows: Iterable[Result] = join(found, EvidenceReader(settings.evidence_log))
        kept = (row for row in rows if not (ended and row.state in _NOT_ENDED))
        print_rows(kept, found, "json" if as_json else "table", gold)
        return
    if gold is not None:
        raise InputError("--gold is for the table and for --json", hint="Leave out --format and the files.")
    _write(batch, Form(form.value), output, errors, settings, ended=ended)


def _refuse_files(output: Path | None, errors: Path | None, what: str) -> None:
    if output is not None or errors is not None:
        raise InputError(f"{what} is printed, and not written to files", hint="Choose --format jsonl, csv or parquet.")


def _write(
    batch: str | None, form: Form, output: Path | None, errors: Path | None, settings: Settings, *, ended: bool
) -> None:
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


_NOT_ENDED = (WAITING, State.ESCALATED.value)
