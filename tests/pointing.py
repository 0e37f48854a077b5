"""Answers that point at a line: bundles whose every line is shown, and what the gate says of one choice."""

from __future__ import annotations

from typing import Any

from replay.contracts import Bundle, EvidenceLine, Hit, Record, RecordKind
from replay.gate import judge
from tests.factories import make_generation, make_reply, make_task


def shown(*records: Record) -> Bundle:
    """A bundle whose every line is shown: L1, L2, … over all records."""
    lines = [(record, offset, text) for record in records for offset, text in enumerate(record.text.split("\n"))]
    return Bundle(
        passages=tuple(Hit(record=record, score=1.0, scorer="containment.v2") for record in records),
        lines=tuple(
            EvidenceLine(
                line_id=f"L{number}",
                record_id=record.record_id,
                line_no=(record.first_line or 1) + offset,
                text=text.strip(),
                score=1.0,
            )
            for number, (record, offset, text) in enumerate(lines, start=1)
        ),
    )


def source(text: str, title: str = "net.pool.Pool", **fields: Any) -> Record:
    """A definition of a source."""
    origin = fields.pop("origin", "net 1.0")
    path = fields.pop("path", title.rpartition(".")[0].replace(".", "/") + ".py")
    return Record(
        record_id=f"src_{title}",
        kind=RecordKind.SOURCE,
        text=text,
        title=title,
        path=path,
        first_line=1,
        last_line=text.count("\n") + 1,
        origin=origin,
    )


def rules(task: str, bundle: Bundle, line: str, found: str, expected: str) -> set[str]:
    """The rules that object to one pointed line."""
    _, verdict = judge(make_task(task), bundle, make_generation(make_reply(line, found, expected)))
    return {reason.rule for reason in verdict.reasons}
