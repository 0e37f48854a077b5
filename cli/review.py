"""`replay review`: a person's word on runs that the gate rejected or that were left undecided."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Table

from broker.action import who
from cli.output import bare, console
from evidence import reviews
from evidence.reader import EvidenceReader
from evidence.reviews import Decision
from replay.afterwards import Review
from replay.contracts import Ruling
from replay.settings import Settings

app = typer.Typer(
    help="Reviews: what a person says of a run that ended rejected or undecided. Alone it lists what waits."
)

Run = Annotated[str, typer.Argument(help="A run id, as `replay review list` prints it.")]
Note = Annotated[str, typer.Option("--note", "-m", help="Why: what you saw in the evidence.")]
RightVerdict = Annotated[Ruling | None, typer.Option("--verdict", help="The right verdict, if you know it.")]


@app.command("list")
def list_waiting(
    count: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many of the newest.")] = 20,
    as_json: console.AsJson = False,
) -> None:
    """List the runs that wait for a review, the newest first: rejected ones, and those accepted as unsure.

    Example: replay review list -n 50
    """
    rows = EvidenceReader(Settings().evidence_log).awaiting_review(count)
    if as_json:
        console.print_json([dataclasses.asdict(row) for row in rows])
        return
    if not rows:
        console.out.print("no run waits for a review")
        return
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("run", "state", "answer", "tier", "task", "ended at"):
        table.add_column(column, no_wrap=column == "run", overflow="fold")
    for row in rows:
        values = (row.run_id, row.state, row.ruling, row.tier, row.custom_id, row.recorded_at)
        table.add_row(*(value or "-" for value in values))
    console.out.print(table)
    console.note("what a run rests on: replay evidence show RUN")


bare.shows(app, list_waiting)


@app.command()
def accept(
    run: Run,
    note: Note,
    verdict: RightVerdict = None,
    admit: Annotated[bool, typer.Option("--admit", help="The answer may become an exemplar of the corpus.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Say that the answer of a run stands, whatever the gate said of it.

    The review is appended to the evidence; the run's own end stays what it is, and results show it unchanged.

    Example: replay review accept run_5f0c… -m "the cited line says it" --admit
    """
    _keep(run, "accept", note, verdict, admit=admit, as_json=as_json)


@app.command()
def reject(run: Run, note: Note, verdict: RightVerdict = None, as_json: console.AsJson = False) -> None:
    """Say that the answer of a run does not stand, and, if you know it, what the right verdict is.

    Example: replay review reject run_5f0c… -m "it cites the wrong class" --verdict fail
    """
    _keep(run, "reject", note, verdict, admit=False, as_json=as_json)


def _keep(run: str, decision: Decision, note: str, verdict: Ruling | None, *, admit: bool, as_json: bool) -> None:
    from cli.session import keep_record  # noqa: PLC0415  it loads what writes evidence, and more

    settings = Settings()
    found = reviews.case(EvidenceReader(settings.evidence_log), run)
    made = reviews.judge(found, decision, note=note, who=who(), verdict=verdict, admit=admit)
    keep_record(settings, made.wire())
    if as_json:
        console.print_json(made.wire())
    else:
        console.out.print(in_words(made), soft_wrap=True)


def in_words(review: Review) -> str:
    """A review on one line."""
    more = [f"the right verdict is {review.verdict}"] if review.verdict is not None else []
    more += ["may be admitted to the corpus"] if review.admit else []
    said = "".join(f"; {part}" for part in more)
    return f"{review.decision}ed by {review.who}{said}: {review.note}"
