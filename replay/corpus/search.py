"""Looking into the corpus: what a query finds and why, and what a version holds."""

from __future__ import annotations

from collections import Counter

from replay.contracts import EvidenceLine, Hit, Message, RecordKind
from replay.corpus.asking import asked
from replay.corpus.index import Filter
from replay.corpus.lines import choose
from replay.corpus.retrieval import SnapshotRetriever
from replay.corpus.sharing import origins_of
from replay.corpus.snapshot import Group, Snapshot
from replay.corpus.store import searched_text
from replay.corpus.tokens import tokens


class Found(Message):
    """A hit and the tokens that it shares with the query, rarest first."""

    hit: Hit
    shared: tuple[str, ...]


class SearchResult(Message):
    """What a query finds: exactly what a task of the same text would be given, unless a filter was set."""

    corpus_version: str
    playbook: tuple[Found, ...]
    passages: tuple[Found, ...]
    lines: tuple[EvidenceLine, ...]


class CorpusStats(Message):
    """What a version holds: records by kind and by origin, source files, and the characters of all texts."""

    corpus_version: str
    records: int
    by_kind: dict[str, int]
    by_origin: dict[str, int]
    files: int
    characters: int


def search(retriever: SnapshotRetriever, query: str, *, lines: int = 8, only: Filter | None = None) -> SearchResult:
    """Find what a task with this text would be given, and explain each hit by the tokens it shares.

    Args:
        retriever: Where to look.
        query: The text.
        lines: How many lines to show.
        only: Which records may be found; None: all.

    Raises:
        CorpusError: A record is not what was written; names the file.
    """
    snapshot = retriever.snapshot
    passages, scored = retriever.passage_hits(query, only)
    playbook = retriever.playbook_hits(query, only)
    return SearchResult(
        corpus_version=retriever.version,
        playbook=_explained(snapshot.playbook, playbook, tokens(query)),
        passages=_explained(snapshot.sources, passages, asked(query).tokens),
        lines=choose(scored, lines),
    )


def stats(snapshot: Snapshot) -> CorpusStats:
    """Count what a version holds. Reads every record.

    Raises:
        CorpusError: A record is not what was written; names the file.
    """
    kinds: Counter[str] = Counter()
    origins: Counter[str] = Counter()
    files: set[tuple[str, str]] = set()
    characters = 0
    for record in snapshot.records():
        kinds[record.kind.value] += 1
        named = origins_of(record) if record.kind is RecordKind.SOURCE else {record.origin}
        origins.update(named)
        characters += len(record.text)
        if record.path is not None:
            files.update((origin, record.path) for origin in named)
    return CorpusStats(
        corpus_version=snapshot.version,
        records=len(snapshot),
        by_kind={kind.value: kinds[kind.value] for kind in RecordKind},
        by_origin=dict(sorted(origins.items())),
        files=len(files),
        characters=characters,
    )


def _explained(group: Group, hits: list[Hit], query: frozenset[str]) -> tuple[Found, ...]:
    weights = group.index.weights(query)
    return tuple(
        Found(
            hit=hit,
            shared=tuple(sorted(query & tokens(searched_text(hit.record)), key=lambda token: (-weights[token], token))),
        )
        for hit in hits
    )
