"""Measuring retrieval: intervals, places, groups, and finding an answer in a corpus."""

from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import quality, queries
from replay.corpus.quality import Outcome, Ranked, Share
from replay.corpus.queries import Answer, Query
from replay.errors import InputError


def query(name: str = "one", **fields: object) -> Query:
    """A query; any field can be given."""
    given = {"query_id": name, "set": "hand", "family": "setting", "text": f"Verify {name}.", "verdict": "pass"}
    return Query.model_validate({**given, "path": "a.py", "pattern": "size = 1", **fields})


def record(name: str, text: str, *, path: str = "a.py", first: int = 1) -> Record:
    """A source record."""
    last = first + text.count("\n")
    return Record(record_id=name, kind=RecordKind.SOURCE, text=text, path=path, first_line=first, last_line=last)


class Fixed:
    """A ranking that gives the same for every text."""

    name = "fixed"

    def __init__(self, *records: str, lines: tuple[tuple[str, int], ...] = ()) -> None:
        self._ranked = Ranked(records, lines)

    def rank(self, text: str) -> Ranked:
        """The same."""
        return self._ranked


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # the textbook values of Wilson's interval
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (36, 40, 0.7695, 0.9604),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_wilsons(hits: int, count: int, low: float, high: float) -> None:
    """Wilson's 95 % interval stays within 0 and 1 and is not empty at the ends."""
    assert quality.wilson(hits, count) == pytest.approx((low, high), abs=1e-4)


def test_an_outcome_has_the_first_deciding_record_and_line() -> None:
    """Places count from 1, and any of an answer's records and lines will do."""
    answer = Answer(frozenset({("a.py", 7), ("b.py", 9)}), frozenset({"r2", "r3"}))
    ranked = Ranked(("r1", "r3", "r2"), (("a.py", 6), ("b.py", 7), ("b.py", 9), ("a.py", 7)))
    found = quality.outcome(query(), answer, ranked, "fixed")
    assert (found.record, found.line) == (2, 3)


def test_what_comes_too_late_is_not_found() -> None:
    """A ninth record and a forty-first line are not shown, so they do not count."""
    answer = Answer(frozenset({("a.py", 99)}), frozenset({"r9"}))
    records = tuple(f"r{n}" for n in range(1, 10))
    lines = (*(("a.py", n) for n in range(1, 41)), ("a.py", 99))
    found = quality.outcome(query(), answer, Ranked(records, lines), "fixed")
    assert (found.record, found.line) == (None, None)


def test_a_query_without_an_answer_in_the_corpus_is_not_counted() -> None:
    """Asking about what is not there says nothing about retrieval."""
    answers = {"one": Answer(frozenset({("a.py", 1)}), frozenset({"r1"}))}
    found = list(quality.outcomes(Fixed("r1"), [query("one"), query("two")], answers))
    assert [one.query.query_id for one in found] == ["one"]


def test_numbers_of_a_group() -> None:
    """Recall, MRR and line recall are counted over all queries of the group, found or not."""
    found = [
        Outcome(query("one"), "fixed", 1, 1),
        Outcome(query("two"), "fixed", 4, 9),
        Outcome(query("three"), "fixed", None, None),
        Outcome(query("four"), "fixed", 2, None),
    ]
    (row,) = quality.summarise(found)
    assert (row.group, row.ranking, row.recall) == ("hand", "fixed", Share(3, 4))
    assert row.mrr == pytest.approx((1 + 1 / 4 + 1 / 2) / 4)
    assert {shown: share.hits for shown, share in row.lines.items()} == {1: 1, 4: 1, 8: 1, 12: 2, 40: 2}


def test_groups_keep_held_out_queries_apart() -> None:
    """What is held out has its own row, and rankings of a group stand together."""
    found = [
        Outcome(query(name, held_out=held), ranking, 1, 1)
        for ranking in ("first", "second")
        for name, held in (("one", False), ("two", True))
    ]
    rows = [(row.group, row.ranking) for row in quality.summarise(found)]
    assert rows == [("hand", "first"), ("hand", "second"), ("hand, held out", "first"), ("hand, held out", "second")]
    families = [row.group for row in quality.summarise(found, quality.by_family)]
    assert families[0] == "hand: setting"


def test_an_answer_is_found_by_its_text_wherever_the_line_has_moved() -> None:
    """The line is looked up in the records, so edits above it and another cutting do not matter."""
    records = [record("r1", "import os\n", first=1), record("r2", "class A:\n    size = 1", first=12)]
    answer = queries.locate([query()], records)["one"]
    assert answer == Answer(frozenset({("a.py", 13)}), frozenset({"r2"}))


def test_a_context_tells_equal_lines_apart_across_records() -> None:
    """Of equal lines the first one closely below the context is meant, even where a record ends between them."""
    records = [
        record("r1", "class A:\n    size = 1", first=1),
        record("r2", "class B:", first=4),
        record("r3", "    size = 1\n    size = 1", first=5),
    ]
    asked = query(context="class B:")
    assert queries.locate([asked], records)["one"] == Answer(frozenset({("a.py", 5)}), frozenset({"r3"}))


def test_a_context_far_above_decides_nothing() -> None:
    """A line more than thirty lines below its context is another line."""
    text = "class B:\n" + "\n" * 30 + "size = 1"
    assert queries.locate([query(context="class B:")], [record("r1", text)]) == {}


def test_every_place_that_decides_is_an_answer() -> None:
    """A synchronous class and its asynchronous twin both decide, and so do overlapping records."""
    asked = query(also=[{"path": "b.py", "pattern": "size = 1"}])
    records = [record("r1", "size = 1"), record("r2", "size = 1\nx = 2"), record("r3", "size = 1", path="b.py")]
    answer = queries.locate([asked], records)["one"]
    assert answer == Answer(frozenset({("a.py", 1), ("b.py", 1)}), frozenset({"r1", "r2", "r3"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no query"),
        ("{", ":1: "),
        ('{"query_id": "one"}', ":1: path: "),
        (query().model_dump_json(exclude_defaults=True) + "\n" + query().model_dump_json(), ":2: a second query"),
        ('{"query_id": "one", "colour": "red"}', ":1: "),
    ],
)
def test_a_bad_file_of_queries_is_named(tmp_path: Path, content: str, message: str) -> None:
    """File, line and field are named, and the hint says what belongs there."""
    file = tmp_path / "queries.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        queries.read([file])
    assert str(file) in caught.value.message
    assert caught.value.hint


def test_a_missing_file_of_queries_is_named(tmp_path: Path) -> None:
    """No stack trace for a wrong path."""
    with pytest.raises(InputError, match="cannot be read"):
        queries.read([tmp_path / "none.jsonl"])
