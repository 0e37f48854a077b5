"""Queries with known answers: what the quality of retrieval is measured on.

A file of queries is JSON lines, one query each (data/README.md describes the fields). An answer is named by its path
and the text of its line, not by a number or a record id, so that it is found again in a corpus that was cut otherwise
or built from a source with small edits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from replay.contracts import Message, NonEmpty, Record
from replay.errors import InputError

CONTEXT_LINES = 30


class Place(Message):
    """A line: its path, its text without indentation, and where the file has it twice, a line closely above it."""

    path: NonEmpty
    pattern: NonEmpty
    context: NonEmpty | None = None


class Query(Place):
    """A claim and the line that decides it.

    Attributes:
        query_id: Distinct among all queries that are read together.
        set: The set that it counts in.
        family: The kind of fact.
        text: The claim, as a task would say it.
        verdict: Whether the claim is true.
        also: Other lines that decide it as well.
        held_out: Whether nobody may look at it while choosing how to retrieve.
        style: How a generated claim names its subject: by identifier, in words, or mixed.
        subject: What a generated claim is about.
        expected: The value that the claim asserts, as its text has it.
        found: The value that the line states, verbatim.
        unit: The unit of a bare number in `found`.
        absent: A name that the claim speaks of and nothing has; the line is then only the nearest real one.
    """

    query_id: NonEmpty
    set: NonEmpty
    family: NonEmpty
    text: NonEmpty
    verdict: Literal["pass", "fail"]
    also: tuple[Place, ...] = ()
    held_out: bool = False
    style: str | None = None
    subject: str | None = None
    expected: str | None = None
    found: str | None = None
    unit: str | None = None
    absent: str | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        """Every line that decides it."""
        return (self, *self.also)


@dataclass(frozen=True)
class Answer:
    """A query's deciding lines in one corpus, and the records that hold them."""

    lines: frozenset[tuple[str, int]]
    records: frozenset[str]


def read(files: Iterable[Path]) -> list[Query]:
    """Read files of queries.

    Raises:
        InputError: A file cannot be read or holds none, a line is no query, or two have one id; names file and line.
    """
    queries: dict[str, Query] = {}
    for file in files:
        for number, query in _queries(file):
            if queries.setdefault(query.query_id, query) is not query:
                raise InputError(f"{file}:{number}: a second query {query.query_id!r}", hint="Give it another id.")
    return list(queries.values())


def locate(queries: Sequence[Query], records: Iterable[Record]) -> dict[str, Answer]:
    """Find the answers in the records of a corpus, in one pass over them.

    Returns:
        The answers by query id. A query that none of the records answers is not among them.
    """
    wanted = {place.path for query in queries for place in query.places}
    held: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.path in wanted:
            held[record.path].append(record)
    texts = {path: _lines(some) for path, some in held.items()}
    found = {}
    for query in queries:
        lines = frozenset(
            (place.path, number)
            for place in query.places
            if place.path in texts
            for number in numbers(place, texts[place.path])
        )
        if lines:
            found[query.query_id] = Answer(lines, frozenset(_holding(lines, held)))
    return found


def numbers(place: Place, lines: Mapping[int, str]) -> list[int]:
    """Numbers of the lines that a place names; with a context, the first one closely below it.

    Args:
        place: Its path is taken as right.
        lines: Stripped lines of that file by their numbers; some may be missing.
    """
    hits = sorted(number for number, text in lines.items() if text == place.pattern)
    if place.context is None:
        return hits
    above = [number for number, text in lines.items() if text == place.context]
    return [number for start in above for number in [hit for hit in hits if start < hit <= start + CONTEXT_LINES][:1]]


def _queries(file: Path) -> Iterator[tuple[int, Query]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", hint="Give a file of JSON lines in UTF-8.") from None
    count = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, Query.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                raise InputError(
                    f"{file}:{number}: {where}{': ' if where else ''}{first['msg']}",
                    hint="A query has query_id, set, family, text, verdict, path and pattern; see data/README.md.",
                ) from None
            count += 1
    if not count:
        raise InputError(f"{file} holds no query", hint="Give a file such as data/retrieval/audit.jsonl.")


def _lines(records: Iterable[Record]) -> dict[int, str]:
    return {
        number: line.strip()
        for record in records
        for number, line in enumerate(record.text.split("\n"), record.first_line or 1)
    }


def _holding(lines: Iterable[tuple[str, int]], held: Mapping[str, Sequence[Record]]) -> Iterator[str]:
    for path, number in lines:
        for record in held[path]:
            first = record.first_line or 1
            if first <= number < first + record.text.count("\n") + 1:
                yield record.record_id
