"""Exactness of the index, against brute force over Python sets."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from replay.corpus.index import Index

Documents = dict[str, frozenset[str]]

TOKENS = st.sampled_from([f"t{number}" for number in range(12)])
SETS = st.frozensets(TOKENS, max_size=8)
DOCUMENTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), SETS, max_size=25)
QUERIES = st.frozensets(st.one_of(TOKENS, st.just("unknown")), max_size=8)
K = st.integers(1, 10)


def brute_idf(documents: Documents, token: str) -> float:
    """The weight of a token, by counting."""
    holding = sum(token in found for found in documents.values())
    return math.log(1.0 + len(documents) / max(1, holding))


def brute_jaccard(documents: Documents, query: frozenset[str], k: int) -> list[tuple[str, float]]:
    """Every pair of sets compared."""
    scores = {
        name: len(query & found) / len(query | found)
        for name, found in documents.items()
        if not query.isdisjoint(found)
    }
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]


def brute_containment(documents: Documents, query: frozenset[str], k: int) -> list[tuple[str, float]]:
    """Every pair of sets compared, weighed by idf."""
    idf = {token: brute_idf(documents, token) for token in query.union(*documents.values())}
    whole = math.fsum(idf[token] for token in query)
    scores = {
        name: sum(idf[token] for token in sorted(query & found)) / whole
        for name, found in documents.items()
        if not query.isdisjoint(found)
    }
    mass = {name: sum(idf[token] for token in sorted(found)) for name, found in documents.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], mass[item[0]], item[0]))[:k]


@given(DOCUMENTS, QUERIES, K)
def test_jaccard_is_exact(documents: Documents, query: frozenset[str], k: int) -> None:
    """Ids, order and scores are those of comparing every pair of sets; ties go by id."""
    names = sorted(documents)
    index = Index((name, documents[name]) for name in names)
    found = [(names[hit.ordinal], hit.score) for hit in index.jaccard(query, k)]
    assert found == brute_jaccard(documents, query, k)


@given(DOCUMENTS, QUERIES, K)
def test_containment_is_exact(documents: Documents, query: frozenset[str], k: int) -> None:
    """Ids, order and scores are those of comparing every pair of sets; ties go to the lighter, then by id."""
    names = sorted(documents)
    index = Index((name, documents[name]) for name in names)
    found = [(names[hit.ordinal], hit.score) for hit in index.containment(query, k)]
    assert found == brute_containment(documents, query, k)


@given(DOCUMENTS, QUERIES, K, st.randoms())
def test_the_order_of_documents_does_not_matter(
    documents: Documents, query: frozenset[str], k: int, random: object
) -> None:
    """An index built in another order ranks the same ids with the same scores."""
    names = list(documents)
    random.shuffle(names)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    index = Index((name, documents[name]) for name in names)
    assert [(names[hit.ordinal], hit.score) for hit in index.jaccard(query, k)] == brute_jaccard(documents, query, k)
    containment = [(names[hit.ordinal], hit.score) for hit in index.containment(query, k)]
    assert containment == brute_containment(documents, query, k)


def test_containment_prefers_the_lighter_record_and_jaccard_punishes_length() -> None:
    """Two records that cover the whole query tie in containment, and the one that says less besides is first."""
    index = Index([("a", {"x", "y", "z", "w"}), ("b", {"x", "y"}), ("c", {"x"})])
    assert [hit.ordinal for hit in index.containment({"x", "y"}, 3)] == [1, 0, 2]
    assert [hit.score for hit in index.containment({"x", "y"}, 2)] == [1.0, 1.0]
    assert [hit.score for hit in index.jaccard({"x", "y"}, 3)] == [1.0, 0.5, 0.5]


def test_empty_index_and_documents_without_tokens() -> None:
    """Nothing indexed, or a document without a token, is found by nothing and breaks nothing."""
    assert Index([]).containment({"x"}, 8) == []
    assert Index([]).jaccard({"x"}, 8) == []
    index = Index([("a", set()), ("b", {"x"})])
    assert [hit.ordinal for hit in index.containment({"x"}, 8)] == [1]
    assert index.jaccard(set(), 8) == []
    assert (len(index), index.vocabulary, index.frequency("x"), "y" in index) == (2, 1, 1, False)
