"""What the rules look at: one answer with its task and bundle, and the spans that it cites."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from replay.contracts import Answer, Bundle, Cite, EvidenceLine, Finding, Record, ReplayTask
from replay.corpus.indentation import enclosing, parents
from replay.corpus.tokens import query_tokens, tokens

NEIGHBOURS = 2


@dataclass(frozen=True)
class Span:
    """A place in a record.

    Attributes:
        record: Where it is.
        quote: The place itself.
        frame: What it belongs to: the quote, the lines that enclose it, the head of its record, title and path.
        context: The frame and the neighbouring lines.
    """

    record: Record
    quote: str
    frame: str
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

    @cached_property
    def about(self) -> frozenset[str]:
        """The tokens of the task, by which several names on one line are told apart."""
        return query_tokens(self.task.text)

    @cached_property
    def record_tokens(self) -> list[frozenset[str]]:
        """What each record of the bundle talks about, title and path included."""
        return [_tokens(f"{record.text}\n{record.title}\n{record.path or ''}") for record in self.records.values()]

    def spans(self, finding: Finding) -> list[Span]:
        """The places that a finding cites, as far as they exist in the bundle."""
        return [self._cited(cite) for cite in finding.cites if cite.record_id in self.records]

    def shown(self, line: EvidenceLine) -> Span:
        """The place of a line that the model was shown."""
        record = self.records[line.record_id]
        return _span(record, line.text, line.line_no - (record.first_line or 1))

    def _cited(self, cite: Cite) -> Span:
        record = self.records[cite.record_id]
        line = next((line for line in self.bundle.lines if line.line_id == cite.line_id), None)
        if line is not None and line.record_id == cite.record_id:
            return self.shown(line)
        if cite.quote is None:
            return _span(record, record.text, None)
        lines = record.text.split("\n")
        return _span(record, cite.quote, next((at for at, text in enumerate(lines) if cite.quote in text), None))


def _span(record: Record, quote: str, at: int | None) -> Span:
    lines, above = _outline(record.text)
    around: list[str] = []
    frame = [quote, *lines[:1], record.title, record.path or ""]
    if at is not None and 0 <= at < len(lines):
        frame += [lines[outer] for outer in enclosing(above, at)]
        around = lines[max(0, at - NEIGHBOURS) : at + NEIGHBOURS + 1]
    return Span(record, quote, "\n".join(frame), "\n".join([*frame, *around]))


@lru_cache(maxsize=512)  # playbook records and much-asked passages come again from task to task
def _tokens(text: str) -> frozenset[str]:
    return tokens(text)


@lru_cache(maxsize=64)  # each of a bundle's passages is looked at for several of its lines
def _outline(text: str) -> tuple[list[str], list[int]]:
    lines = text.split("\n")
    return lines, parents(lines)
