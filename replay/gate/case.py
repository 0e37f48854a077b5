"""What the rules look at: one answer with its task and bundle, and the spans that it cites."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from replay.contracts import Answer, Bundle, Cite, Finding, Record, ReplayTask

NEIGHBOURS = 2


@dataclass(frozen=True)
class Span:
    """A cited place: the quote itself, and the context that says what it is about.

    `context` is the quote with its neighbouring lines, the head of its definition, the record's title and its path.
    """

    record: Record
    quote: str
    context: str


@dataclass(frozen=True)
class Case:
    """One answer to judge. Pure data: judging it twice gives the same verdict."""

    task: ReplayTask
    bundle: Bundle
    answer: Answer

    @cached_property
    def records(self) -> dict[str, Record]:
        """The records of the bundle by id."""
        return self.bundle.records()

    def spans(self, finding: Finding) -> list[Span]:
        """The places that a finding cites, as far as they exist in the bundle."""
        return [self._span(cite) for cite in finding.cites if cite.record_id in self.records]

    def _span(self, cite: Cite) -> Span:
        record = self.records[cite.record_id]
        quote = record.text if cite.quote is None else cite.quote
        lines = record.text.splitlines()
        at = self._line_index(cite, lines)
        near = lines[max(0, at - NEIGHBOURS) : at + NEIGHBOURS + 1] if at is not None else []
        head = lines[0] if lines else ""
        return Span(record, quote, "\n".join([quote, *near, head, record.title, record.path or ""]))

    def _line_index(self, cite: Cite, lines: list[str]) -> int | None:
        shown = next((line for line in self.bundle.lines if line.line_id == cite.line_id), None)
        if shown and shown.record_id == cite.record_id:
            return shown.line_no - (self.records[cite.record_id].first_line or 1)
        if cite.quote is None:
            return None
        return next((index for index, line in enumerate(lines) if cite.quote in line), None)
