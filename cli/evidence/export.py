"""`replay evidence export`: the log as lines or tables, for other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.output import console, files
from cli.output.reading_bar import ReadingBar
from evidence import export as forms
from evidence.format import Line
from evidence.reader import EvidenceReader
from replay.contracts import State
from replay.errors import InputError
from replay.settings import Settings


class Form(StrEnum):
    """What the log can be exported as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


_WRITERS = {Form.JSONL: forms.to_jsonl, Form.CSV: forms.to_csv, Form.PARQUET: forms.to_parquet}


def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; without it, stdout.")
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="jsonl: the log's own lines. csv, parquet: a table of what matters most.")
    ] = Form.JSONL,
    batch: Annotated[str | None, typer.Option(help="Only records of this batch.")] = None,
    state: Annotated[list[State] | None, typer.Option(help="Only records in this state; may be given again.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only records of this time or later: 2026-11-24, 2026-11-24T20:00+01:00."),
    ] = None,
) -> None:
    """Write records to a file or to stdout, one after the other, whatever the size of the log.

    Example: replay evidence export --format csv --state accepted -o accepted.csv
    """
    path = Settings().evidence_log
    if not path.exists():
        raise InputError(f"there is no evidence log at {path}", hint="It begins with the first task: replay quickstart")
    if output is None and form is Form.PARQUET and sys.stdout.isatty():
        raise InputError("Parquet is not for a terminal", hint="Name a file: -o evidence.parquet")
    chosen = forms.Chosen(batch, frozenset(one.value for one in state or ()), _time(since) if since else None)
    last = EvidenceReader(path).tail(1)
    with (
        ReadingBar("exporting", last[0].seq if last else None, streaming=output is None) as bar,
        files.opened(output) as out,
    ):
        count = _WRITERS[form](_shown(forms.lines(path, chosen), bar), out)
    if output is not None:
        console.note(f"{count} records in {output}")


def _shown(lines: Iterator[Line], bar: ReadingBar) -> Iterator[Line]:
    at = 0
    for line in lines:
        bar.advance(line.chain.seq - at)
        at = line.chain.seq
        yield line


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"--since {text!r} is no time", hint="Give a date or a time as 2026-11-24 or 2026-11-24T20:00+01:00; UTC."
        ) from error
