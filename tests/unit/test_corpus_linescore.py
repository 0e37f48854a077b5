"""Scoring lines over the table, against a reference that reads the text and says each rule once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.contracts import Record, RecordKind
from replay.corpus import sources
from replay.corpus.anatomy import anatomy
from replay.corpus.asking import FACTORS, Kind
from replay.corpus.linescore import LineQuery, score
from replay.corpus.linetable import LineTable, tabulate
from replay.corpus.naming import LineKind
from replay.corpus.tokens import tokens

Concepts = Mapping[tuple[str, ...], int]


def source(text: str, title: str = "pkg.mod", path: str | None = "pkg/mod.py") -> Record:
    """A source passage."""
    return Record(record_id=f"src_{hash((text, title))}", kind=RecordKind.SOURCE, text=text, title=title, path=path)


def reference(record: Record, concepts: Concepts, factors: Mapping[LineKind, float]) -> dict[int, float]:
    """The score of each line that has one, by its place in the record."""

    def shared(text: str) -> set[tuple[str, ...]]:
        found = tokens(text)
        return {concept for concept in concepts if found & set(concept)}

    def mass(some: Iterable[tuple[str, ...]]) -> int:
        return sum(concepts[concept] for concept in some)

    texts = record.text.split("\n")
    lines = anatomy(texts)
    head = shared(f"{record.title}\n{record.path or ''}") | shared(texts[0])
    scores = {}
    for number, (text, line) in enumerate(zip(texts, lines, strict=True)):
        own = shared(text)
        if not own:
            continue
        frame = set(head)
        outer = line.enclosing
        while outer >= 0:
            frame |= shared(texts[outer])
            outer = lines[outer].enclosing
        near = set().union(*map(shared, texts[max(0, number - 2) : number + 3]))
        parts = set(line.named.parts) & tokens(text)
        asked = {concept for concept in concepts if parts & set(concept)}
        bonus = mass(asked) * len(asked) / max(1, len(parts))
        total = (8 * mass(own) + 7 * mass(frame - own) + 2 * mass(near - own - frame)) / 8 + bonus
        scores[number] = total * factors.get(line.named.kind, 1.0) / (1.0 + 0.02 * len(tokens(text))) / 65536
    return scores


def over_the_table(
    table: LineTable, ordinals: Sequence[int], concepts: Concepts, factors: Mapping[LineKind, float]
) -> list[dict[int, float]]:
    """The same from the table: one answer for each record that is asked for."""
    found = score(table, np.array(ordinals, np.int64), LineQuery(concepts, factors))
    scores: list[dict[int, float]] = [{} for _ in ordinals]
    for record, offset, value in zip(found.record.tolist(), found.offset.tolist(), found.score.tolist(), strict=True):
        scores[record][offset] = value
    return scores


def agree(records: Sequence[Record], concepts: Concepts, factors: Mapping[LineKind, float]) -> int:
    """Compare to the last bit; return how many lines were scored."""
    table = tabulate(records)
    wanted = [reference(record, concepts, factors) for record in records]
    assert over_the_table(table, range(len(records)), concepts, factors) == wanted
    return sum(map(len, wanted))


@pytest.mark.parametrize("package", ["celery", "kombu", "redis"])
def test_scores_over_real_source_are_those_of_the_reference(package: str) -> None:
    """To the last bit, for each kind of task, over code with everything that code has."""
    records = list(islice(sources.stream(f"package:{package}"), 150, 250))
    asked = [
        "worker",
        "connection",
        "timeout",
        "redis",
        "pool",
        "max",
        "retry",
        "3",
        "queue",
        "name",
        "default",
        "error",
    ]
    concepts: Concepts = {(token,): 65_536 + 4_099 * at for at, token in enumerate(asked)} | {
        ("message", "msg", "body"): 99_991
    }
    for kind in Kind:
        assert agree(records, concepts, FACTORS[kind]) > 50


WORDS = st.sampled_from(
    ["size", "max_size", "max", "Pool", "pool.size", "timeout", "3", "3.0", "s", "default", "é", "Δt"]
)
LINES = st.builds(
    lambda indent, start, words, end: " " * indent + start + " ".join(words) + end,
    st.integers(0, 6),
    st.sampled_from(["", "", "class ", "def ", "self.", "raise ", '"', "set_", "# ", "const ", "\t"]),
    st.lists(WORDS, max_size=4),
    st.sampled_from(["", " = 3", "=Option(", " (", ":", ' = "x"', ",", " => 1", "[", ") or 4"]),
)
RECORDS = st.builds(
    source,
    st.one_of(st.lists(LINES, max_size=12).map("\n".join), st.text(max_size=60)),
    st.sampled_from(["", "pkg.Pool", "Pool.max_size def"]),
    st.sampled_from([None, "a/pool.py"]),
)
CONCEPTS = st.dictionaries(
    st.sampled_from(
        ["size", "max", "pool", "timeout", "3", "default", "pool.size", "max_size", "zzz", "é", "option"]
    ).map(lambda token: (token,)),
    st.integers(1, 1 << 20),
    max_size=8,
)


@given(st.lists(RECORDS, max_size=5), CONCEPTS, st.sampled_from(Kind))
def test_scores_of_any_text_are_those_of_the_reference(records: list[Record], concepts: Concepts, kind: Kind) -> None:
    """Odd indentation, empty records, no concept at all, words that no record has."""
    agree(records, concepts, FACTORS[kind])


def test_a_task_of_hundreds_of_words_is_scored_all_the_same() -> None:
    """More concepts than fit one word of bits change nothing."""
    records = [source("\n".join(f"size_{n} = {n}" for n in range(start, start + 90))) for start in (0, 60)]
    concepts: dict[tuple[str, ...], int] = {(f"size_{n}",): 65_536 + n for n in range(150)}
    concepts |= {(token,): weight + 1 for weight, token in enumerate(["size", *map(str, range(150))])}
    assert agree(records, concepts, FACTORS[Kind.VALUE]) == 180


def test_forms_of_one_word_count_once() -> None:
    """A line with both `maximum` and `max` has one concept, so it does not beat a line with one of them."""
    record = source("x: maximum max\ny: maximum size", title="", path=None)
    concepts: Concepts = {("maximum", "max"): 100, ("size",): 50}
    found = reference(record, concepts, {})
    assert found[0] < found[1]
    agree([record], concepts, {})


def test_records_may_be_asked_for_in_any_order_and_from_any_table() -> None:
    """A record's scores depend on nothing but itself: not on its neighbours, nor on how records are cut into tables."""
    records = [source(f"class Pool{n}:\n    size = {n}\n    pool_size = size", title=f"pool{n}") for n in range(6)]
    concepts: Concepts = {("size",): 10, ("pool",): 20, ("3",): 30}
    wanted = [reference(record, concepts, {}) for record in records]
    whole = tabulate(records)
    assert over_the_table(whole, [4, 0, 4], concepts, {}) == [wanted[4], wanted[0], wanted[4]]
    assert over_the_table(tabulate(records[3:]), [0], concepts, {}) == [wanted[3]]
    assert over_the_table(whole, [], concepts, {}) == []
    assert len(tabulate([])) == 0


def test_the_frame_reaches_through_any_depth() -> None:
    """Each of two hundred lines is inside the one above, and all of them frame the last."""
    lines = ["pool", *(" " * n + f"if x{n}:" for n in range(200)), " " * 200 + "size = 1"]
    concepts: Concepts = {("size",): 10, ("x0",): 5, ("x7",): 3, ("if",): 1}
    assert agree([source("\n".join(lines))], concepts, {}) == 201
