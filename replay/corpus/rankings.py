"""The ways to retrieve that are compared: the one that runs, and simpler or other ones over the same records.

All but the first rank only the records; their lines are chosen from the first `RECORDS` of these by the line score
that runs, so that a difference in lines is a difference in records.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from replay import identity
from replay.contracts import Record, ReplayTask
from replay.corpus import fusion
from replay.corpus.asking import asked
from replay.corpus.deciding import decide
from replay.corpus.fusion import Fuser
from replay.corpus.index import Scored
from replay.corpus.lines import ScoredLine, choose
from replay.corpus.linescore import line_query
from replay.corpus.quality import RECORDS, SHOWN, Ranked, Ranking
from replay.corpus.retrieval import SnapshotRetriever
from replay.corpus.scope import Origins
from replay.corpus.snapshot import Snapshot
from replay.corpus.store import searched_text
from replay.corpus.tokens import expand, query_tokens, tokens, words
from replay.errors import ConfigurationError, InputError
from replay.models import embedding
from replay.settings import Settings

AS_SHIPPED, HYBRID = "containment-line", "hybrid"


class AsShipped:
    """What a task is given, with more lines.

    Args:
        snapshot: The records.
        settings: As of the retriever.
        fuser: As of the retriever; with one it is hybrid.
    """

    def __init__(self, snapshot: Snapshot, settings: Settings, fuser: Fuser | None = None) -> None:
        self.name = HYBRID if fuser else AS_SHIPPED
        shown = settings.model_copy(update={"top_k": RECORDS, "lines_shown": max(SHOWN)})
        self._retriever = SnapshotRetriever(snapshot, shown, fuser)

    def rank(self, text: str) -> Ranked:
        """Retrieve for a claim."""
        bundle = self._retriever.retrieve(_task(text))
        paths = {hit.record.record_id: hit.record.path or "" for hit in bundle.passages}
        return Ranked(
            tuple(hit.record.record_id for hit in bundle.passages),
            tuple((paths[line.record_id], line.line_no) for line in bundle.lines),
        )


class Lexical:
    """Records by one score over the source index, and their best lines."""

    def __init__(self, name: str, snapshot: Snapshot, best: Callable[[str], Sequence[Scored]]) -> None:
        self._name = name
        self._sources = snapshot.sources
        self._origins = Origins(origin for segment in snapshot.segments for origin in segment.stored.origins)
        self._best = best

    @property
    def name(self) -> str:
        """As it was asked for."""
        return self._name

    def rank(self, text: str) -> Ranked:
        """Retrieve for a claim."""
        found = self._best(text)
        records = {(one.segment, one.ordinal): self._sources.record(one.segment, one.ordinal) for one in found}
        lines = choose(self._scored(found, records, text), max(SHOWN))
        paths = {record.record_id: record.path or "" for record in records.values()}
        return Ranked(tuple(paths), tuple((paths[line.record_id], line.line_no) for line in lines))

    def _scored(
        self, found: Sequence[Scored], records: Mapping[tuple[int, int], Record], text: str
    ) -> Iterator[ScoredLine]:
        query = line_query(asked(text), self._sources.index)
        for passage in decide(self._sources, found, query, self._origins.named_in(text), len(found)):
            record = records[passage.segment, passage.ordinal]
            texts = record.text.split("\n")
            for offset, score in zip(passage.offsets.tolist(), passage.line_scores.tolist(), strict=True):
                yield ScoredLine(record, offset, texts[offset].strip(), score)


def _jaccard(snapshot: Snapshot, _: Settings) -> Ranking:
    sources = snapshot.sources
    return Lexical("jaccard", snapshot, lambda text: sources.index.jaccard(tokens(text), RECORDS))


def _containment(snapshot: Snapshot, _: Settings) -> Ranking:
    sources = snapshot.sources
    return Lexical("containment", snapshot, lambda text: sources.index.containment(query_tokens(text), RECORDS))


def _bm25(snapshot: Snapshot, _: Settings) -> Ranking:
    """BM25 as Lucene has it (k1 1.5, b 0.75), over the same tokens, each as often as it occurs."""
    try:
        # By name, since it has no type information and is only there where somebody compares.
        bm25s: Any = importlib.import_module("bm25s")
    except ImportError:
        raise ConfigurationError(
            "the ranking bm25 needs the package bm25s, which is not installed", hint="Install it: pip install bm25s"
        ) from None
    sources = snapshot.sources
    places = [(segment, ordinal) for segment, held in enumerate(sources.segments) for ordinal in range(len(held))]
    peer = bm25s.BM25()
    peer.index([_occurrences(searched_text(sources.record(*place))) for place in places], show_progress=False)

    def best(text: str) -> list[Scored]:
        known = [token for token in sorted(query_tokens(text)) if token in peer.vocab_dict]
        if not known:
            return []
        scores = peer.get_scores(known)
        order = np.argsort(-scores, kind="stable")[:RECORDS]
        return [Scored(places[at][0], places[at][1], float(scores[at])) for at in order if scores[at] > 0]

    return Lexical("bm25", snapshot, best)


def _hybrid(snapshot: Snapshot, settings: Settings) -> Ranking:
    embedder = embedding.of(settings)
    if embedder is None:
        raise ConfigurationError(
            "the ranking hybrid needs embeddings, and they are off",
            hint="Set REPLAY_EMBEDDINGS=local and make the vectors: replay corpus embed",
        )
    return AsShipped(snapshot, settings, fusion.open_(settings.corpus_dir, snapshot, embedder))


RANKINGS: Mapping[str, Callable[[Snapshot, Settings], Ranking]] = {
    AS_SHIPPED: AsShipped,
    "containment": _containment,
    "jaccard": _jaccard,
    "bm25": _bm25,
    HYBRID: _hybrid,
}
"""By the names under which they can be asked for."""


def ranking(name: str, snapshot: Snapshot, settings: Settings) -> Ranking:
    """Make a ranking over a version.

    Raises:
        InputError: There is none of this name.
        ConfigurationError: It needs a package that is not installed, or embeddings, which are off.
        CorpusError: It needs vectors that are not made yet.
    """
    if name not in RANKINGS:
        raise InputError(f"there is no ranking {name!r}", hint=f"There are {', '.join(RANKINGS)}.")
    return RANKINGS[name](snapshot, settings)


def _occurrences(text: str) -> list[str]:
    return [token for word in words(text) for token in expand(word)]


def _task(text: str) -> ReplayTask:
    hashed = identity.task_hash(text, ())
    return ReplayTask(
        run_id=identity.run_id("corpus-eval", "query", hashed),
        batch_id="corpus-eval",
        custom_id="query",
        task_hash=hashed,
        text=text,
    )
