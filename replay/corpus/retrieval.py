"""Retrieval: from a task to its bundle, over one corpus snapshot.

Playbooks are found by `jaccard.v1` over title and text. Source passages are found in two exact steps: the
`CANDIDATES_PER_PASSAGE * top_k` best by `containment.v1`, and of these the `top_k` with the best deciding line. The
second step is what `containment-line.v1` names: half the containment, plus the score of the passage's best line as a
share of the task's idf mass. Measured, it puts the deciding line into the bundle for a quarter more tasks than
containment alone (`benchmarks/line_recall.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from replay.contracts import Bundle, Hit, Record, RecordKind, ReplayTask
from replay.corpus import snapshot as snapshots
from replay.corpus.index import JACCARD, Index
from replay.corpus.lines import LineScorer, ScoredLine, choose
from replay.corpus.snapshot import Snapshot
from replay.corpus.tokens import TOKENIZER, query_tokens, tokens
from replay.settings import Settings

PASSAGE_SCORER = "containment-line.v1"
CANDIDATES_PER_PASSAGE = 8
CONTAINMENT_SHARE = 0.5
LINE_TOKENS = frozenset({"default"})
"""Words of asking that find no record but tell its lines apart: `DEFAULT_POOL` decides a claim about a default."""
MAX_STEPS = 8

_STEP = re.compile(
    r"(?:[-*+•>]\s+|\d+[.)]\s+|\[[ xX]?\]\s+)*((?:verify|check|assert|ensure|confirm)\b.*)", re.IGNORECASE
)


class SnapshotRetriever:
    """Retrieves from one snapshot. Immutable once built: build it before forking, and the processes share it.

    Args:
        snapshot: The records.
        settings: `top_k`, `max_exemplars`, `max_warnings` and `lines_shown` are used.
    """

    def __init__(self, snapshot: Snapshot, settings: Settings) -> None:
        self.version = snapshot.version
        self._settings = settings
        self._playbook = [record for record in snapshot.records if record.kind is not RecordKind.SOURCE]
        self._sources = [record for record in snapshot.records if record.kind is RecordKind.SOURCE]
        self.playbook_index = Index((record.record_id, playbook_tokens(record)) for record in self._playbook)
        self.source_index = Index((record.record_id, source_tokens(record)) for record in self._sources)

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle of a task: the same snapshot, settings and task give the same bundle, always."""
        playbook = self.playbook_hits(task.text)
        passages, lines = self.passage_hits(task.text)
        return Bundle(
            corpus_version=self.version,
            tokenizer=TOKENIZER,
            playbook=tuple(playbook),
            exemplars=_ids(playbook, RecordKind.EXEMPLAR, self._settings.max_exemplars),
            warnings=_ids(playbook, RecordKind.WARNING, self._settings.max_warnings),
            validation_steps=validation_steps(hit.record for hit in playbook),
            passages=tuple(passages),
            lines=choose(lines, self._settings.lines_shown),
        )

    def playbook_hits(self, text: str) -> list[Hit]:
        """The `top_k` playbook records that share most with a text, best first."""
        return [
            Hit(record=self._playbook[scored.ordinal], score=scored.score, scorer=JACCARD)
            for scored in self.playbook_index.jaccard(tokens(text), self._settings.top_k)
        ]

    def passage_hits(self, text: str) -> tuple[list[Hit], list[ScoredLine]]:
        """The `top_k` passages that a text asks about, best first, and all their lines with their scores."""
        query = query_tokens(text)
        weights = {token: self.source_index.idf(token) for token in sorted(query | (tokens(text) & LINE_TOKENS))}
        whole = sum(weights.values())
        scorer = LineScorer(weights)
        ranked: list[tuple[float, Record, list[ScoredLine]]] = []
        for scored in self.source_index.containment(query, CANDIDATES_PER_PASSAGE * self._settings.top_k):
            record = self._sources[scored.ordinal]
            lines = scorer.score(record)
            best = max((line.score for line in lines), default=0.0)
            ranked.append((CONTAINMENT_SHARE * scored.score + best / whole, record, lines))
        # The sort is stable, so what ties here keeps the order of containment: lighter first, then by id.
        ranked.sort(key=lambda entry: -entry[0])
        kept = ranked[: self._settings.top_k]
        hits = [Hit(record=record, score=score, scorer=PASSAGE_SCORER) for score, record, _ in kept]
        return hits, [line for _, _, lines in kept for line in lines]


class CurrentRetriever:
    """Retrieves from the current snapshot, and takes a newly published one from the next task on.

    Args:
        corpus_dir: Where the snapshots and the pointer to the current one lie.
        settings: As `SnapshotRetriever`.

    Raises:
        CorpusError: There is no corpus, or it is empty or damaged.
    """

    def __init__(self, corpus_dir: Path, settings: Settings) -> None:
        self._corpus_dir = corpus_dir
        self._settings = settings
        self._seen = self._pointer()
        self._retriever = SnapshotRetriever(snapshots.load(corpus_dir), settings)

    @property
    def version(self) -> str:
        """The version that the last task used."""
        return self._retriever.version

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle of a task, whole from one version.

        Raises:
            CorpusError: A newly published snapshot is damaged.
        """
        return self.current().retrieve(task)

    def current(self) -> SnapshotRetriever:
        """The retriever of the current version, reloaded where the pointer was swapped since.

        Raises:
            CorpusError: A newly published snapshot is damaged.
        """
        pointer = self._pointer()
        if pointer is not None and pointer != self._seen:
            version = snapshots.current_version(self._corpus_dir)
            if version is not None and version != self._retriever.version:
                self._retriever = SnapshotRetriever(snapshots.load(self._corpus_dir, version), self._settings)
            self._seen = pointer
        return self._retriever

    def _pointer(self) -> tuple[int, int] | None:
        """What changes when the pointer is swapped; None where it is gone, and what is loaded goes on serving."""
        try:
            status = (self._corpus_dir / snapshots.POINTER).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def playbook_tokens(record: Record) -> frozenset[str]:
    """What a playbook record is found by."""
    return tokens(f"{record.title}\n{record.text}")


def source_tokens(record: Record) -> frozenset[str]:
    """What a source passage is found by: its name and path count as text."""
    return tokens(f"{record.title}\n{record.path or ''}\n{record.text}")


def validation_steps(records: Iterable[Record]) -> tuple[str, ...]:
    """The lines that tell how to validate: those that start with verify, check, assert, ensure or confirm."""
    steps: dict[str, str] = {}
    for record in records:
        for line in record.text.splitlines():
            if step := _STEP.match(line.strip()):
                said = " ".join(step[1].split())
                steps.setdefault(said.lower(), said)
    return tuple(steps.values())[:MAX_STEPS]


def _ids(hits: Iterable[Hit], kind: RecordKind, limit: int) -> tuple[str, ...]:
    return tuple(hit.record.record_id for hit in hits if hit.record.kind is kind)[:limit]
