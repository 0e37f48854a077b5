"""Exactness of the index, against brute force over Python sets."""

from __future__ import annotations

import math
import random
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.corpus.index import Filter, Index, build, containment, jaccard
from replay.corpus.tokens import tokens
from tests.indexing import Entries, entry, opened

WAYS = ["all at once", "in one pass", "in blocks"]
"""By the size of a segment: each finds the same."""

Ranked = list[tuple[str, float]]


@contextmanager
def way(name: str) -> Iterator[None]:
    """Search small segments as if they were large."""
    with pytest.MonkeyPatch.context() as patch:
        if name != "all at once":
            patch.setattr(jaccard, "SMALL", 0)
            patch.setattr(containment, "SMALL", 0)
        if name == "in blocks":
            patch.setattr(jaccard, "CHUNK", 16)
            patch.setattr(containment, "CHUNK", 16)
        yield


@dataclass(frozen=True)
class Corpus:
    """Entries in segments, the ids in the order of the ordinals, and the sets of tokens by id."""

    entries: Entries
    ids: Sequence[Sequence[str]]
    index: Index
    sets: Mapping[str, frozenset[str]]

    def jaccard(self, query: frozenset[str], k: int, only: Filter | None = None) -> Ranked:
        """What the index finds, by id."""
        return self._named(self.index.jaccard(query, k, only))

    def containment(self, query: frozenset[str], k: int, only: Filter | None = None) -> Ranked:
        """What the index finds, by id."""
        return self._named(self.index.containment(query, k, only))

    def brute_jaccard(self, query: frozenset[str], k: int, only: Filter | None = None) -> Ranked:
        """Every pair of sets compared."""
        scores = {name: len(query & found) / len(query | found) for name, found in self._sharing(query, only)}
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]

    def brute_containment(self, query: frozenset[str], k: int, only: Filter | None = None) -> Ranked:
        """Every pair of sets compared, weighed in integers."""
        frequencies = {token: sum(token in found for found in self.sets.values()) for token in query}
        weights = {
            token: round(65536 * math.log(1 + len(self.sets) / max(1, found))) for token, found in frequencies.items()
        }
        whole = sum(weights.values())
        ranked = sorted(
            (-sum(weights[token] for token in query & found), len(found), name)
            for name, found in self._sharing(query, only)
        )
        return [(name, -covered / whole) for covered, _, name in ranked[:k]]

    def _named(self, found: Iterable[tuple[int, int, float]]) -> Ranked:
        return [(self.ids[segment][ordinal], score) for segment, ordinal, score in found]

    def _sharing(self, query: frozenset[str], only: Filter | None) -> Iterator[tuple[str, frozenset[str]]]:
        """The records that share a token and pass the filter."""
        for one in self.entries:
            passes = only is None or (
                (not only.kinds or one.kind in only.kinds) and (not only.tags or not only.tags.isdisjoint(one.tags))
            )
            if passes and not query.isdisjoint(self.sets[one.record_id]):
                yield one.record_id, self.sets[one.record_id]


def corpus(parts: Sequence[Entries]) -> Corpus:
    """Entries indexed in one segment for each part."""
    with tempfile.TemporaryDirectory() as folder:
        builds = [build(part) for part in parts]
        segments = [opened(built, Path(folder) / f"{number}.index") for number, built in enumerate(builds)]
    ids = [[part[place].record_id for place in built.order] for part, built in zip(parts, builds, strict=True)]
    index = Index(segments, lambda segment, ordinal: ids[segment][ordinal])
    entries = [one for part in parts for one in part]
    return Corpus(entries, ids, index, {one.record_id: tokens(one.text) for one in entries})


# Few tokens, so that ties abound; plurals, compounds and letters beyond ASCII, so that the tokenizer has work.
WORDS = st.sampled_from(
    ["pool", "pools", "limit", "max_limit", "größe", "данные", "a.b", "10ms", "x", "y", "z", "…", "maxPool"]
)
TEXTS = st.lists(WORDS, max_size=9).map(" ".join)
ENTRIES = st.lists(
    st.builds(
        entry,
        st.text("abcü", min_size=1, max_size=3),
        TEXTS,
        kind=st.sampled_from(["note", "exemplar", "warning"]),
        tags=st.lists(st.sampled_from(["redis", "broker", "größe"]), max_size=2).map(tuple),
    ),
    max_size=60,
    unique_by=lambda one: one.record_id,
)
QUERIES = st.lists(st.one_of(WORDS, st.just("unknown")), max_size=8).map(" ".join).map(tokens)
FILTERS = st.builds(
    Filter,
    st.frozensets(st.sampled_from(["note", "exemplar", "source"]), max_size=2),
    st.frozensets(st.sampled_from(["redis", "größe", "unknown"]), max_size=2),
)


@pytest.mark.parametrize("name", WAYS)
@settings(max_examples=40, deadline=None)
@given(ENTRIES, st.lists(st.integers(0, 60), max_size=3), QUERIES, st.tuples(st.integers(1, 12), st.none() | FILTERS))
def test_search_is_exact(
    name: str, entries: Entries, cuts: list[int], query: frozenset[str], wanted: tuple[int, Filter | None]
) -> None:
    """Ids, order and scores are those of comparing every pair of sets, however the records are cut into segments."""
    made = corpus([entries[start:end] for start, end in pairwise([0, *sorted(cuts), len(entries)])])
    with way(name):
        assert made.jaccard(query, *wanted) == made.brute_jaccard(query, *wanted)
        assert made.containment(query, *wanted) == made.brute_containment(query, *wanted)


@pytest.fixture(scope="module")
def zipfian() -> Corpus:
    """3,000 records of words of very different frequency, in three segments of different size."""
    choose = random.Random(4)  # noqa: S311  a sample
    weights = [1 / rank for rank in range(1, 4001)]
    entries = [
        entry(f"r{number:04}", " ".join(map(str, choose.choices(range(4000), weights, k=choose.randint(3, 60)))))
        for number in range(3000)
    ]
    return corpus([entries[:2500], entries[2500:2900], entries[2900:]])


@pytest.mark.parametrize("name", WAYS)
def test_search_is_exact_where_words_are_common_and_rare(zipfian: Corpus, name: str) -> None:
    """Sentences of a record's words, of common words only, and of rare ones only; few and many wanted."""
    choose = random.Random(5)  # noqa: S311  a sample
    with way(name):
        for number in range(24):
            words = choose.choice(zipfian.entries).text.split()
            common, rare = (choose.sample(some, 5) for some in (range(60), range(2000, 4000)))
            chosen: tuple[Sequence[object], ...] = (words[:12], common, rare, [*words[:4], "unknown"])
            query = frozenset(map(str, chosen[number % 4]))
            k = 8 if number % 3 else 64
            assert zipfian.jaccard(query, k) == zipfian.brute_jaccard(query, k)
            assert zipfian.containment(query, k) == zipfian.brute_containment(query, k)


@cache
def long(size: int) -> Corpus:
    """A record of so many tokens, one of every second of them, one of none, and some of one each."""
    words = [str(number) for number in range(size)]
    singles = [entry(f"one-{word}", word) for word in words[:40]]
    return corpus([[entry("all", " ".join(words)), entry("half", " ".join(words[::2])), entry("none", "…"), *singles]])


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("size", [300, 70_000])
def test_queries_and_records_of_any_length(name: str, size: int) -> None:
    """Counts do not overflow, neither at 256 shared tokens nor at 65,536; nor do weights."""
    made = long(size)
    query = frozenset([*map(str, range(size)), "unknown"])
    with way(name):
        assert made.jaccard(query, 2) == [("all", size / (size + 1)), ("half", size // 2 / (size + 1))]
        assert [one for one, _ in made.containment(query, 3)] == ["all", "half", "one-1"]


@pytest.mark.parametrize("name", WAYS)
def test_a_thousand_ties_go_by_id(name: str) -> None:
    """Records that say the same are told apart by their ids alone, across segments too, and asked for few of them."""
    entries = [entry(f"r{number * 7919 % 1000:03}", "pool limit") for number in range(1000)]
    made = corpus([entries[:600], entries[600:]])
    asked: list[tuple[int, int]] = []

    def record_id(segment: int, ordinal: int) -> str:
        asked.append((segment, ordinal))
        return made.ids[segment][ordinal]

    index = Index(made.index.segments, record_id)
    expected = [f"r{number:03}" for number in range(8)]
    with way(name):
        for found in (index.jaccard({"pool"}, 8), index.containment({"pool"}, 8)):
            assert [made.ids[segment][ordinal] for segment, ordinal, _ in found] == expected
    assert len(asked) < 60


def test_containment_prefers_the_lighter_record_and_jaccard_punishes_length() -> None:
    """Two records that cover the whole query tie in containment, and the one that says less besides is first."""
    made = corpus([[entry("a", "x y z w"), entry("b", "x y"), entry("c", "x")]])
    query = frozenset({"x", "y"})
    contained = made.containment(query, 3)
    assert [name for name, _ in contained] == ["b", "a", "c"]
    assert [score for _, score in contained[:2]] == [1.0, 1.0]
    assert made.jaccard(query, 3) == [("b", 1.0), ("a", 0.5), ("c", 0.5)]


def test_nothing_is_found_where_nothing_can_be() -> None:
    """No segment, an empty one, a record without tokens, an empty query, nothing wanted: none breaks anything."""
    nowhere = Index([], lambda segment, ordinal: f"{segment}/{ordinal}")
    assert (len(nowhere), nowhere.jaccard({"x"}, 8), nowhere.containment({"x"}, 8)) == (0, [], [])
    empty = corpus([[], [entry("a", "…")]]).index
    assert (len(empty), empty.jaccard({"x"}, 8), empty.containment({"x"}, 8)) == (1, [], [])
    index = corpus([[entry("a", "…"), entry("b", "x")]]).index
    assert index.jaccard(set(), 8) == index.containment(set(), 8) == index.jaccard({"x"}, 0) == []
    assert len(index.containment({"x"}, 8)) == 1


def test_weights_are_integers_over_all_segments() -> None:
    """A token weighs by how rare it is among all records; one that no record holds as if one did."""
    entries = [entry("a", "pool limit"), entry("b", "pool"), entry("c", "pool"), entry("d", "…")]
    index = corpus([entries[:1], entries[1:]]).index
    assert index.weights({"pool", "limit", "unknown"}) == {
        "limit": round(65536 * math.log(5)),
        "pool": round(65536 * math.log(1 + 4 / 3)),
        "unknown": round(65536 * math.log(5)),
    }
    assert (index.frequency("pool"), index.frequency("limit"), index.frequency("unknown")) == (3, 1, 0)
    assert index.idf("limit") == round(65536 * math.log(5)) / 65536


def test_threads_do_not_share_their_sums(zipfian: Corpus) -> None:
    """Several threads find what one finds."""
    queries = [tokens(one.text) for one in zipfian.entries[:40]]
    expected = [zipfian.index.jaccard(query, 8) for query in queries]
    wrong: list[int] = []

    def search() -> None:
        wrong.extend(
            number for number, query in enumerate(queries) if zipfian.index.jaccard(query, 8) != expected[number]
        )

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
