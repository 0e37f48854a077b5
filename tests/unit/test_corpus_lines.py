"""Choosing lines."""

from __future__ import annotations

import numpy as np
import pytest

from replay.contracts import EvidenceLine, Record, RecordKind
from replay.corpus.asking import FACTORS, asked
from replay.corpus.lines import MAX_LINE_CHARS, ScoredLine, choose
from replay.corpus.linescore import LineQuery, score
from replay.corpus.linetable import tabulate


def source(text: str, *, path: str = "pkg/mod.py", title: str = "pkg.mod", first_line: int = 1) -> Record:
    """A source passage."""
    return Record(
        record_id=f"src_{path}",
        kind=RecordKind.SOURCE,
        text=text,
        title=title,
        path=path,
        first_line=first_line,
        last_line=first_line + text.count("\n"),
    )


def best(task: str, *records: Record, limit: int = 8) -> tuple[EvidenceLine, ...]:
    """The lines chosen for a task in which each token weighs the same."""
    asks = asked(task)
    query = LineQuery(dict.fromkeys(asks.concepts, 65536), FACTORS[asks.kind])
    found = score(tabulate(records), np.arange(len(records)), query)
    places = zip(found.record.tolist(), found.offset.tolist(), found.score.tolist(), strict=True)
    texts = [record.text.split("\n") for record in records]
    return choose([ScoredLine(records[at], line, texts[at][line].strip(), value) for at, line, value in places], limit)


def test_lines_are_numbered_by_score_and_placed_in_their_file() -> None:
    """L1 is the best line; its number counts in the file; its text is the source line without its indentation."""
    record = source("class Pool:\n    # the pool's size\n    size = 10\n\n    name = 'x'", first_line=41)
    lines = best("Verify that the pool's size is 10.", record)
    assert [line.line_id for line in lines] == [f"L{n}" for n in range(1, len(lines) + 1)]
    assert (lines[0].text, lines[0].line_no, lines[0].record_id) == ("size = 10", 43, record.record_id)
    assert [line.score for line in lines] == sorted((line.score for line in lines), reverse=True)


@pytest.mark.parametrize("value", ["4", "'four'", "True", "Option(4, type='int'),", "given or 4"])
def test_a_name_given_a_literal_beats_a_mention(value: str) -> None:
    """A line that gives the name a value decides more than one that passes it on or speaks of it."""
    text = f"limit=limit,\nself.limit = limit\nreturn limit\n# the limit\nlimit = {value}"
    assert best("the limit", source(text))[0].text == f"limit = {value}"


def test_the_enclosing_lines_bind_a_value_to_its_owner() -> None:
    """Of two equal settings the one inside what the task names comes first."""
    block = "    {}=Namespace(\n        limit=Option({}),\n    ),\n"
    text = "all = dict(\n" + block.format("beat", 1) + block.format("worker", 2) + ")"
    assert best("the worker limit", source(text))[0].text == "limit=Option(2),"
    assert best("the beat limit", source(text))[0].text == "limit=Option(1),"


def test_a_definition_of_nothing_but_what_is_asked_comes_first() -> None:
    """The parts of a defined name that the task does not ask for count against it."""
    text = "retry_limit_of_children = 5\nretry_limit = 5"
    assert best("the retry limit", source(text))[0].text == "retry_limit = 5"


def test_equal_lines_of_one_record_and_of_twins_are_shown_once() -> None:
    """A synchronous class and its asynchronous twin give one line, of the shallower path."""
    sync = source("size = 1\nx = 2\nsize = 1", path="redis/pool.py", title="redis.pool.Pool")
    twin = source("size = 1", path="redis/asyncio/pool.py", title="redis.asyncio.pool.Pool")
    other = source("size = 1", path="redis/cache.py", title="redis.cache.Cache")
    lines = best("the size", twin, sync, other)
    assert [line.record_id for line in lines if line.text == "size = 1"] == [sync.record_id, other.record_id]


def test_of_a_text_that_a_record_has_twice_the_better_place_is_shown() -> None:
    """Where what stands around it is what the task asks about."""
    record = source(
        "if closed:\n    raise StateError(\n        'no size')\n\nif full:\n    raise StateError(\n        'size')"
    )
    raised = [line.line_no for line in best("raises when full", record) if line.text == "raise StateError("]
    assert raised == [6]


def test_lines_that_share_nothing_are_not_shown() -> None:
    """Blank lines, brackets and lines about other things are left out, so fewer than asked for may be chosen."""
    assert [line.text for line in best("the size", source("(\n\n)\nother = 1\nsize = 2"))] == ["size = 2"]
    assert best("???", source("size = 2")) == ()
    assert best("the size", source("")) == ()


def test_a_long_line_is_cut_but_stays_verbatim() -> None:
    """What is shown of a long line is its beginning."""
    text = "size = '" + "x" * 500 + "'"
    (line,) = best("the size", source(text))
    assert len(line.text) == MAX_LINE_CHARS
    assert text.startswith(line.text)


def test_the_limit_holds() -> None:
    """No more lines than asked for, and they are the best ones."""
    record = source("\n".join(f"size_{n} = {n}" for n in range(20)))
    assert best("the size", record, limit=3) == best("the size", record, limit=20)[:3]
