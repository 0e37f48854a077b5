"""Looking into the corpus: what a query finds and why, and what a snapshot holds."""

from __future__ import annotations

from collections import Counter

from replay.contracts import EvidenceLine, Hit, Message, RecordKind
from replay.corpus.index import Index
from replay.corpus.lines import choose
from replay.corpus.retrieval import SnapshotRetriever, playbook_tokens, source_tokens
from replay.corpus.snapshot import Snapshot
from replay.corpus.tokens import query_tokens, tokens


class Found(Message):
    """A hit and the tokens that it shares with the query, rarest first."""

    hit: Hit
    shared: tuple[str, ...]


class SearchResult(Message):
    """What a query finds: exactly what a task of the same text would be given."""

    corpus_version: str
    playbook: tuple[Found, ...]
    passages: tuple[Found, ...]
    lines: tuple[EvidenceLine, ...]


class CorpusStats(Message):
    """What a snapshot holds: records by kind and by origin, source files, and the characters of all texts."""

    corpus_version: str
    records: int
    by_kind: dict[str, int]
    by_origin: dict[str, int]
    files: int
    characters: int


def search(retriever: SnapshotRetriever, query: str, *, lines: int = 8) -> SearchResult:
    """Find what a task with this text would be given, and explain each hit by the tokens it shares."""
    passages, scored = retriever.passage_hits(query)
    return SearchResult(
        corpus_version=retriever.version,
        playbook=tuple(
            Found(hit=hit, shared=_shared(retriever.playbook_index, tokens(query), playbook_tokens(hit.record)))
            for hit in retriever.playbook_hits(query)
        ),
        passages=tuple(
            Found(hit=hit, shared=_shared(retriever.source_index, query_tokens(query), source_tokens(hit.record)))
            for hit in passages
        ),
        lines=choose(scored, lines),
    )


def stats(snapshot: Snapshot) -> CorpusStats:
    """Count what a snapshot holds."""
    kinds = Counter(record.kind.value for record in snapshot.records)
    origins = Counter(record.origin for record in snapshot.records)
    return CorpusStats(
        corpus_version=snapshot.version,
        records=len(snapshot.records),
        by_kind={kind.value: kinds[kind.value] for kind in RecordKind},
        by_origin=dict(sorted(origins.items())),
        files=len({(record.origin, record.path) for record in snapshot.records if record.path is not None}),
        characters=sum(len(record.text) for record in snapshot.records),
    )


def _shared(index: Index, query: frozenset[str], record: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(query & record, key=lambda token: (-index.idf(token), token)))
