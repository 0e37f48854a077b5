"""`replay results`: the short form of `replay batch results`, with a table for people where nothing else is asked."""

from __future__ import annotations

from cli.batch import results as rows
from cli.batch.results import Batch, Ended, Errors, Output, Shown, ShownAs
from cli.output import console
from cli.output.results import GoldOption


def results(
    batch: Batch = None,
    form: ShownAs = None,
    output: Output = None,
    errors: Errors = None,
    ended: Ended = False,
    gold: GoldOption = None,
    as_json: console.AsJson = False,
) -> None:
    """Show what came of a batch, in the order of its input; partial results are fine at any time.

    Short for `replay batch results --format table`, with the same options; where a file is named, rows are written.

    Example: replay results --format csv > results.csv
    """
    shown = form or (Shown.TABLE if output is None and errors is None else Shown.JSONL)
    rows.results(batch, shown, output, errors, ended=ended, gold=gold, as_json=as_json)
