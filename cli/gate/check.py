"""`replay gate check`: what the gate says of cases from a file, and how often it is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli.gate import choice
from cli.output import console, summary_file
from cli.output.reading_bar import ReadingBar
from replay.contracts import Verdict
from replay.corpus import jsonlines
from replay.corpus.jsonlines import RawLine
from replay.gate import Gate
from replay.settings import Settings
from replay.study import cases
from replay.study.cases import BadCase, GateCase, NoAnswer
from replay.study.scoring import Scores, Scoring, Share
from replay.study.visible import json_line, one_line

_SAID_WHOLE = 8  # reasons of a wrong case that are shown


def check(
    file: Annotated[str, typer.Option("--cases", metavar="FILE", help="Cases as JSON lines; `-` reads stdin.")],
    gate: choice.Version = None,
    off: choice.Off = None,
    show_wrong: Annotated[
        int, typer.Option("--show-wrong", min=0, metavar="N", help="Name the first N cases judged unlike their label.")
    ] = 0,
    summary_json: summary_file.Option = None,
    as_json: console.AsJson = False,
) -> None:
    """Judge cases: a task, a bundle and an answer a line, and, where labelled, what ought to become of it.

    Shows for each class of wrong answers how many the gate rejects, and how many right ones, with 95 % intervals. With
    --json stdout has one verdict a line, as they come, and nothing else. A bad line is named and left out; the exit
    code is then 1. The form of a line stands in docs/gate.md; `output` may be a model's reply as a string.

    Example: replay gate check --cases cases.jsonl --show-wrong 5
    """
    chosen = choice.chosen(gate, off, Settings())
    summary_file.check(summary_json)
    run = _Run(chosen, show_wrong)
    with ReadingBar("judging", _size(file), streaming=as_json) as bar:
        for line in jsonlines.read(file):
            for case, verdict in run.judged(line, file):
                if as_json:
                    print(json_line(_wire(case, verdict)), flush=True)
            bar.advance(line.length)
    scores = run.scoring.scores()
    summary_file.write(summary_json, run.wire(scores))
    _print(run, scores, as_json=as_json)
    if run.bad_lines:
        raise typer.Exit(1)


class _Run:
    """One run over a file, in memory that does not grow with it."""

    def __init__(self, gate: Gate, show_wrong: int) -> None:
        self.gate = gate
        self.scoring = Scoring()
        self.rules: Counter[str] = Counter()
        self.wrong: list[tuple[GateCase, Verdict]] = []
        self.bad_lines = 0
        self.no_answers = 0
        self._show_wrong = show_wrong

    def judged(self, line: RawLine, file: str) -> Iterator[tuple[GateCase, Verdict]]:
        """The case of a line and its verdict; nothing for a blank line and for a bad one, which is named."""
        if line.content is not None and not line.content.strip():
            return
        try:
            case = cases.parse(line)
        except BadCase as fault:
            self.bad_lines += 1
            at = f", {one_line(fault.field, 200)}" if fault.field else ""
            name = "stdin" if file == jsonlines.STDIN else file
            console.note(f"{name}, line {line.number}{at}: {one_line(fault.reason, 300)}")
            return
        verdict = case.verdict(self.gate)
        self.rules.update({reason.rule for reason in verdict.reasons})
        self.no_answers += isinstance(case.output, NoAnswer)
        if self.scoring.add(case.label, accepted=verdict.accepted) and len(self.wrong) < self._show_wrong:
            self.wrong.append((case, verdict))
        yield case, verdict

    def wire(self, scores: Scores) -> dict[str, Any]:
        """The counts, for JSON."""
        return {
            "gate_version": self.gate.version,
            **scores.wire(),
            "bad_lines": self.bad_lines,
            "outputs_of_another_form": self.no_answers,
            "rules": dict(self.rules.most_common()),
            "wrong_cases": [
                _wire(case, verdict) | {"label": case.label and {"accept": case.label.accept} | _mutation(case)}
                for case, verdict in self.wrong
            ],
        }


def _wire(case: GateCase, verdict: Verdict) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "accepted": verdict.accepted,
        "score": verdict.score,
        "reasons": [reason.wire() for reason in verdict.reasons],
    }


def _mutation(case: GateCase) -> dict[str, Any]:
    return {"mutation": case.label.mutation if case.label else None}


def _print(run: _Run, scores: Scores, *, as_json: bool) -> None:
    """The counts for people: on stdout, or beside the verdicts of `--json` on stderr."""
    to = console.err if as_json else console.out
    if scores.labelled:
        to.print(_table(scores))
        to.print()
    rejected = scores.cases - scores.accepted
    to.print(
        f"{run.gate.version}: {scores.cases} cases, {scores.accepted} accepted, {rejected} rejected", soft_wrap=True
    )
    if scores.labelled:
        to.print(f"judged unlike their label: {scores.wrong} of {scores.labelled}")
    if run.rules:
        rules = ", ".join(f"{rule} {count}" for rule, count in run.rules.most_common())
        to.print(f"the gate objected: {rules}", soft_wrap=True)
    if run.no_answers:
        to.print(f"outputs that are not of the answer's form, rejected as such: {run.no_answers}")
    if run.bad_lines:
        console.note(f"{run.bad_lines} bad lines were left out")
    for case, verdict in run.wrong:
        to.print()
        to.print(_told(case, verdict), soft_wrap=True)


def _table(scores: Scores) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("answers", overflow="fold")
    for name in ("rejected", "of", "share", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, share in scores.recall.items():
        table.add_row(Text(one_line(name, 60)), *_cells(share))
    if len(scores.recall) > 1:
        table.add_row(Text("all to be rejected", style="bold"), *_cells(scores.bad))
    for name, share in scores.harmless.items():
        table.add_row(Text(f"{one_line(name, 60)}, to be accepted"), *_cells(share))
    table.add_row(Text("to be accepted: false rejects", style="bold"), *_cells(scores.false_rejects))
    return table


def _cells(share: Share) -> tuple[str, str, str, str]:
    low, high = share.interval
    if not share.of:
        return "0", "0", "-", "-"
    return str(share.hits), str(share.of), f"{share.value:.3f}", f"{low:.3f}-{high:.3f}"


def _told(case: GateCase, verdict: Verdict) -> Text:
    label = case.label
    wanted = "accepted" if label and label.accept else "rejected"
    told = Text.assemble(
        (one_line(case.case_id, 200), "bold"),
        f" ought to be {wanted}",
        f" ({one_line(label.mutation, 60)})" if label and label.mutation else "",
        f" and is {'accepted' if verdict.accepted else 'rejected'}: {one_line(case.task.text, 200)}",
    )
    for reason in verdict.reasons[:_SAID_WHOLE]:
        span = f": {one_line(reason.span, 160)}" if reason.span else ""
        told.append(f"\n  {reason.rule}: {one_line(reason.message, 200)}{span}")
    return told


def _size(file: str) -> int | None:
    path = Path(file)
    # Of what is packed, the length of what will be read is not known.
    return path.stat().st_size if file != jsonlines.STDIN and path.is_file() and path.suffix != ".gz" else None
