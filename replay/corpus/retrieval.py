"""Retrieval: from a task to its bundle, over one version of the corpus.

Playbooks are found by `jaccard.v1` over title and text. Source passages are found in two exact steps: the
`CANDIDATES_PER_PASSAGE * top_k` best by `containment.v2`, and of these the `top_k` with the best deciding line
(`deciding`). The second step is what `containment-line.v2` names. Both read mapped tables alone; of the records only
those that are handed out are read.

With a fuser, both rankings are fused with that of the nearest vectors (`fusion`), and the hits say so.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from replay.contracts import Bundle, Hit, Record, RecordKind, ReplayTask
from replay.corpus import remembering
from replay.corpus import snapshot as snapshots
from replay.corpus.asking import asked
from replay.corpus.deciding import Passage, decide
from replay.corpus.fusion import RRF, Fused, Fuser, VectorsMissing
from replay.corpus.index import JACCARD, Filter, Scored
from replay.corpus.lines import ScoredLine, choose
from replay.corpus.linescore import line_query
from replay.corpus.manifest import GroupName
from replay.corpus.scope import Origins
from replay.corpus.snapshot import Group, Snapshot
from replay.corpus.tokens import TOKENIZER, tokens
from replay.settings import Settings

logger = logging.getLogger(__name__)

PASSAGE_SCORER = "containment-line.v2"
CANDIDATES_PER_PASSAGE = 16
FUSED_PER_HIT = 8
"""How many records of each ranking take part in fusing, for each that is wanted."""
MAX_STEPS = 8

_STEP = re.compile(
    r"(?:[-*+•>]\s+|\d+[.)]\s+|\[[ xX]?\]\s+)*((?:verify|check|assert|ensure|confirm)\b.*)", re.IGNORECASE
)


class SnapshotRetriever:
    """Retrieves from one version. Immutable once built: build it before forking, and the processes share its pages.

    Args:
        snapshot: The records.
        settings: `top_k`, `max_exemplars`, `max_warnings` and `lines_shown` are used.
        fuser: Adds another ranking to the exact ones; None leaves them as they are.
    """

    def __init__(self, snapshot: Snapshot, settings: Settings, fuser: Fuser | None = None) -> None:
        self.snapshot = snapshot
        self._settings = settings
        self._fuser = fuser
        self._origins = Origins(origin for segment in snapshot.segments for origin in segment.stored.origins)

    @property
    def version(self) -> str:
        """The version that it retrieves from."""
        return self.snapshot.version

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle of a task: the same version, settings and task give the same bundle, always."""
        playbook = self.playbook_hits(task.text)
        passages, lines = self.passage_hits(task.text)
        known = remembering.remembered(task.text, playbook, self.snapshot.sources)
        passages, lines = remembering.before(known, passages, lines)
        return Bundle(
            corpus_version=self.version,
            tokenizer=TOKENIZER,
            embedder=self._fuser.embedder if self._fuser else "",
            playbook=tuple(playbook),
            exemplars=_ids(playbook, RecordKind.EXEMPLAR, self._settings.max_exemplars),
            warnings=_ids(playbook, RecordKind.WARNING, self._settings.max_warnings),
            validation_steps=validation_steps(hit.record for hit in playbook),
            passages=tuple(passages),
            lines=choose(lines, self._settings.lines_shown),
        )

    def playbook_hits(self, text: str, only: Filter | None = None) -> list[Hit]:
        """The `top_k` playbook records that share most with a text, best first.

        Raises:
            CorpusError: A record is not what was written; names the file.
            ModelUnavailable: The fuser's embedder gives no answer.
            ModelRefused: It said no.
        """
        group, wanted = self.snapshot.playbook, self._settings.top_k
        if self._fuser is None:
            return _hits(group, group.index.jaccard(tokens(text), wanted, only), JACCARD)
        ranked = group.index.jaccard(tokens(text), FUSED_PER_HIT * wanted, only)
        places = [(one.segment, one.ordinal) for one in ranked]
        fused = self._fuser.fuse(GroupName.PLAYBOOK, text, JACCARD, places, k=FUSED_PER_HIT * wanted, only=only)
        return _fused_hits(group, fused[:wanted])

    def passage_hits(self, text: str, only: Filter | None = None) -> tuple[list[Hit], list[ScoredLine]]:
        """The `top_k` passages that a text asks about, best first, and all their lines with their scores.

        Raises:
            CorpusError: A record is not what was written; names the file.
            ModelUnavailable: The fuser's embedder gives no answer.
            ModelRefused: It said no.
        """
        group, wanted = self.snapshot.sources, self._settings.top_k
        asks = asked(text)
        query = line_query(asks, group.index)
        scope = self._origins.named_in(text)
        candidates = group.index.containment(asks.tokens, CANDIDATES_PER_PASSAGE * wanted, only)
        if self._fuser is None:
            kept = decide(group, candidates, query, scope, wanted)
            found = _hits(group, [Scored(one.segment, one.ordinal, one.score) for one in kept], PASSAGE_SCORER)
        else:
            ranked = decide(group, candidates, query, scope, FUSED_PER_HIT * wanted)
            places = [(passage.segment, passage.ordinal) for passage in ranked]
            fused = self._fuser.fuse(
                GroupName.SOURCES, text, PASSAGE_SCORER, places, k=FUSED_PER_HIT * wanted, only=only
            )
            found = _fused_hits(group, fused[:wanted])
            kept = decide(group, _first(fused, wanted), query, scope, wanted)  # the nearest vectors have brought others
        records = {hit.record.record_id: hit.record for hit in found}
        return found, [
            line
            for passage in kept
            for line in _lines(records[group.record_id(passage.segment, passage.ordinal)], passage)
        ]


class CurrentRetriever:
    """Retrieves from the current version, and takes a newly published one from the next task on.

    What both versions have stays open. A version that the fuser cannot use yet is left until it can: its embedder's
    run says so by putting the pointer in place again.

    Args:
        corpus_dir: Where the versions and the pointer to the current one lie.
        settings: As `SnapshotRetriever`.
        fuser: Makes the fuser of a version; None leaves the exact rankings as they are.

    Raises:
        CorpusError: There is no corpus, or it is empty or damaged, or it lacks what the fuser needs.
    """

    def __init__(self, corpus_dir: Path, settings: Settings, fuser: Callable[[Snapshot], Fuser] | None = None) -> None:
        self._corpus_dir = corpus_dir
        self._settings = settings
        self._fuser = fuser
        self._seen = self._pointer()
        self._retriever = self._over(snapshots.load(corpus_dir))

    @property
    def version(self) -> str:
        """The version that the last task used."""
        return self._retriever.version

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle of a task, whole from one version.

        Raises:
            CorpusError: A newly published version is damaged.
        """
        return self.current().retrieve(task)

    def current(self) -> SnapshotRetriever:
        """The retriever of the current version, opened anew where the pointer was swapped since.

        Raises:
            CorpusError: A newly published version is damaged.
        """
        pointer = self._pointer()
        if pointer is not None and pointer != self._seen:
            version = snapshots.current_version(self._corpus_dir)
            opened = self._retriever.snapshot
            fresh = snapshots.load(self._corpus_dir, version, reuse=opened) if version else opened
            # A compaction keeps the version and has other segments.
            if fresh.manifest != opened.manifest:
                try:
                    self._retriever = self._over(fresh)
                except VectorsMissing as error:
                    logger.warning("%s serves on: %s", opened.version, error.message)
            self._seen = pointer
        return self._retriever

    def _over(self, snapshot: Snapshot) -> SnapshotRetriever:
        return SnapshotRetriever(snapshot, self._settings, self._fuser(snapshot) if self._fuser else None)

    def _pointer(self) -> tuple[int, int] | None:
        """What changes when the pointer is swapped; None where it is gone, and what is loaded goes on serving."""
        try:
            status = (self._corpus_dir / snapshots.POINTER).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def validation_steps(records: Iterable[Record]) -> tuple[str, ...]:
    """The lines that tell how to validate: those that start with verify, check, assert, ensure or confirm."""
    steps: dict[str, str] = {}
    for record in records:
        for line in record.text.splitlines():
            if step := _STEP.match(line.strip()):
                said = " ".join(step[1].split())
                steps.setdefault(said.lower(), said)
    return tuple(steps.values())[:MAX_STEPS]


def _first(fused: Sequence[Fused], wanted: int) -> list[Scored]:
    return [Scored(one.segment, one.ordinal, one.score) for one in fused[:wanted]]


def _fused_hits(group: Group, fused: Iterable[Fused]) -> list[Hit]:
    return [
        Hit(record=group.record(one.segment, one.ordinal), score=one.score, scorer=RRF, ranks=dict(one.ranks))
        for one in fused
    ]


def _hits(group: Group, found: Iterable[Scored], scorer: str) -> list[Hit]:
    return [Hit(record=group.record(one.segment, one.ordinal), score=one.score, scorer=scorer) for one in found]


def _lines(record: Record, passage: Passage) -> Iterator[ScoredLine]:
    texts = record.text.split("\n")
    for offset, score in zip(passage.offsets.tolist(), passage.line_scores.tolist(), strict=True):
        yield ScoredLine(record, offset, texts[offset].strip(), score)


def _ids(hits: Iterable[Hit], kind: RecordKind, limit: int) -> tuple[str, ...]:
    return tuple(hit.record.record_id for hit in hits if hit.record.kind is kind)[:limit]
