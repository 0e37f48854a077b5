"""The places in the bundle that an answer cites, with what they belong to."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache

from replay.contracts import Record
from replay.corpus.indentation import enclosing, parents
from replay.gate.textcache import per_text

NEIGHBOURS = 2
_LONGEST_NAME = 200
# Calls whose arguments, on lines of their own, say one thing with the line that opens them.
_OPENS = re.compile(r"\s*(?:raise\b|@?(?:[\w.]+\s*=\s*)?[\w.]*(?:warn\w*|[Oo]ption|add_argument)\()")
_LONGEST_STATEMENT = 12
_LONGEST_OPENING = 200  # characters up to the bracket
# `celery.beat.Scheduler: Runs tasks …`, the first words of a record without a title.
_HEAD = re.compile(r"\s*([^\s:][^\n:]{0,118}[^\s:]|[^\s:]):(?=\s)")
_HEAD_WORDS = 3


@dataclass(frozen=True)
class Span:
    """A place in a record.

    Attributes:
        record: Where it is.
        quote: The place itself.
        line: Number of its first line in the record's text, from 0; None for a whole record.
    """

    record: Record
    quote: str
    line: int | None

    @cached_property
    def frame(self) -> str:
        """What the place belongs to: its quote, the head of its record, title and path, the lines that enclose it."""
        return "\n".join([self.quote, *self.lines[:1], self.record.title, self.record.path or "", *self.outer])

    @cached_property
    def context(self) -> str:
        """The frame and the neighbouring lines."""
        if self.line is None:
            return self.frame
        return "\n".join([self.frame, *self.lines[max(0, self.line - NEIGHBOURS) : self.line + NEIGHBOURS + 1]])

    @cached_property
    def statement(self) -> str:
        """The place; of a `raise`, a warning or an option that is written over several lines, all of them."""
        place = self.statement_lines
        return "\n".join(self.lines[place.start : place.stop]) if place else self.quote

    @cached_property
    def statement_lines(self) -> range:
        """The numbers of the lines of the statement, from 0; empty where it is the quoted line alone."""
        if self.line is None or self.line >= len(self.lines):
            return range(0)
        lines, above = _outline(self.record.text)
        for first in (self.line, above[self.line]):
            if first >= 0 and self.line - first < _LONGEST_STATEMENT and _opens(lines[first]):
                indent = len(lines[first]) - len(lines[first].lstrip())
                last = first + 1
                while last < min(len(lines), first + _LONGEST_STATEMENT) and (
                    not lines[last].strip() or len(lines[last]) - len(lines[last].lstrip()) > indent
                ):
                    last += 1
                return range(first, last)
        return range(0)

    @cached_property
    def names(self) -> str:
        """What the place belongs to by name alone: title, path, head, and the lines that enclose it."""
        names = [self.record.title, self.record.path or "", head(self.record)]
        if self.record.path and "\n" in self.record.text:
            names += [self.record.text.partition("\n")[0][:_LONGEST_NAME]]
        return "\n".join(filter(None, names + [line[:_LONGEST_NAME] for line in self.outer]))

    @property
    def lines(self) -> list[str]:
        """The lines of the record."""
        return _outline(self.record.text)[0]

    @cached_property
    def outer(self) -> list[str]:
        """The lines that enclose the place, innermost first."""
        if self.line is None or "\n" not in self.record.text:
            return []
        lines, above = _outline(self.record.text)
        return [lines[number] for number in enclosing(above, self.line)] if self.line < len(lines) else []


def _opens(line: str) -> bool:
    stays_open = sum(map(line.count, "([{")) > sum(map(line.count, ")]}"))
    return stays_open and _OPENS.match(line[:_LONGEST_OPENING]) is not None


def find(record: Record, quote: str) -> int | None:
    """The line of a record's text on which a quote begins, counted from 0; None where it does not stand so."""
    offset = record.text.find(quote)
    if offset < 0:
        first = quote.strip().partition("\n")[0].strip()
        offset = record.text.find(first) if first else -1
    return None if offset < 0 else record.text.count("\n", 0, offset)


def head(record: Record) -> str:
    """The name by which a record's text begins (`name: text`), or nothing."""
    return _head(record.text)


@lru_cache(maxsize=256)  # a record is cited more than once
def _head(text: str) -> str:
    match = _HEAD.match(text)
    return match[1] if match and len(match[1].split()) <= _HEAD_WORDS else ""


@per_text(1 << 18)  # records are levelled for several rules and from task to task
def level(text: str) -> str:
    """A text by which it is compared with another: Unicode, case and space are levelled."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


@per_text(1 << 18)  # each of a bundle's passages is looked at for several of its lines
def _outline(text: str) -> tuple[list[str], list[int]]:
    lines = text.split("\n")
    return lines, parents(lines)
