"""Fusing the exact list with the list of the nearest vectors: reciprocal ranks, `rrf.v1`.

A record's score is the sum, over the lists that have it, of the list's share divided by `K` plus its rank there (from
1). Ranks and not scores are added, since a cosine and a containment have no common scale.

Source: G. Cormack, C. Clarke, S. Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
methods", SIGIR 2009. There `K` is 60 and all lists count the same, which suits lists of like quality. Here the exact
list is much the better one where a task names things as the source does: with the published values the vectors push
out 12 of 205 deciding records that the exact list has among its first eight. `K` = 20 and a share of an eighth lose
none of them, and put the deciding record higher (docs/hybrid.md has the numbers). So the vectors order what both lists
have, and bring in others where the exact list is short: where a task shares few words with anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from replay.corpus import vectors
from replay.corpus.embed import group_of
from replay.corpus.index import Filter
from replay.corpus.manifest import GroupName
from replay.corpus.nearest import GroupVectors
from replay.corpus.opening import Snapshot
from replay.errors import CorpusError, ModelRefused
from replay.models import embedding
from replay.models.embedding import Embedder
from replay.settings import Settings

RRF = "rrf.v1"
K = 20
EXACT_SHARE = 1.0
VECTORS_SHARE = 0.125

Place = tuple[int, int]
"""Segment and ordinal of a record in its group."""


class VectorsMissing(CorpusError):
    """A version whose vectors are not all made, so that hybrid retrieval cannot use it yet."""


@dataclass(frozen=True)
class Fused:
    """A record of the fused list.

    Attributes:
        segment: Of the group.
        ordinal: In the segment.
        score: Sum of the shares over `K` plus rank.
        ranks: Its rank in each list that has it, from 1, by the list's name: a scorer or an embedder.
    """

    segment: int
    ordinal: int
    score: float
    ranks: Mapping[str, int] = field(default_factory=dict)


class Fuser(Protocol):
    """Adds another ranking to the exact one."""

    @property
    def embedder(self) -> str:
        """Whose vectors rank: what a bundle names."""
        ...

    def fuse(
        self, group: GroupName, text: str, scorer: str, ranked: Sequence[Place], *, k: int, only: Filter | None = None
    ) -> list[Fused]:
        """Return the fused list, best first, of all records that either ranking has.

        Args:
            group: Where to look.
            text: The task.
            scorer: Name of the exact ranking.
            ranked: The exact ranking, best first.
            k: How many of the nearest records take part.
            only: Which records may be found.

        Raises:
            ModelUnavailable: The embedder gives no answer, after bounded retries.
            ModelRefused: It said no, or its vectors are of another length than those that are stored.
        """
        ...


class VectorFuser:
    """Fuses by the vectors of one version. Immutable but for the last query, which both groups ask for in turn.

    Args:
        embedder: Embeds the query.
        groups: Vectors of every record.
    """

    def __init__(self, embedder: Embedder, groups: Mapping[GroupName, GroupVectors]) -> None:
        self._embedder = embedder
        self._groups = dict(groups)
        self._last: tuple[str, NDArray[np.float32]] | None = None

    @property
    def embedder(self) -> str:
        """Whose vectors rank."""
        return self._embedder.name

    def fuse(
        self, group: GroupName, text: str, scorer: str, ranked: Sequence[Place], *, k: int, only: Filter | None = None
    ) -> list[Fused]:
        """Return the fused list of a group, best first.

        Raises:
            ModelUnavailable: As `Fuser`.
            ModelRefused: As `Fuser`.
        """
        held = self._groups[group]
        if held.dimensions is None:
            return fuse({scorer: (EXACT_SHARE, ranked)})
        query = self._query(text)
        if len(query) != held.dimensions:
            raise ModelRefused(
                f"{self.embedder} answers with vectors of {len(query)} numbers, and those of the corpus have "
                f"{held.dimensions}.",
                hint="Another model answers by that name: name it exactly, then run `replay corpus embed`.",
            )
        near = [(one.segment, one.ordinal) for one in held.nearest(query, k, only)]
        return fuse({scorer: (EXACT_SHARE, ranked), self.embedder: (VECTORS_SHARE, near)})

    def _query(self, text: str) -> NDArray[np.float32]:
        if self._last is None or self._last[0] != text:
            self._last = text, self._embedder.embed([text])[0]
        return self._last[1]


def fuse(lists: Mapping[str, tuple[float, Sequence[Place]]]) -> list[Fused]:
    """Fuse rankings, given by name with the share of each, into one, best first. Ties go to the rank in the first."""
    ranks: dict[Place, dict[str, int]] = {}
    for name, (_, ranked) in lists.items():
        for rank, place in enumerate(ranked, 1):
            ranks.setdefault(place, {})[name] = rank
    fused = [
        Fused(*place, sum(share / (K + own[name]) for name, (share, _) in lists.items() if name in own), own)
        for place, own in ranks.items()
    ]
    # Stable, and the records stand in the order of the first list, then in that of those that only the next one has.
    return sorted(fused, key=lambda one: -one.score)


def open_(corpus_dir: Path, snapshot: Snapshot, embedder: Embedder) -> VectorFuser:
    """Open the vectors of a version. Before a fork, so that the processes share them.

    Raises:
        VectorsMissing: Some records have none.
        CorpusError: A file of vectors is damaged; names it.
        ConfigurationError: usearch is needed, and not installed.
    """
    groups = {
        name: GroupVectors(group_of(snapshot, name), vectors.open_all(vectors.folder(corpus_dir, embedder.name, name)))
        for name in GroupName
    }
    missing = sum(len(held.missing) for held in groups.values())
    if missing:
        raise VectorsMissing(
            f"{missing:,} of {len(snapshot):,} records of {snapshot.version} have no vectors of {embedder.name}",
            hint="Make them: replay corpus embed. Or unset REPLAY_EMBEDDINGS.",
        )
    return VectorFuser(embedder, groups)


def configured(settings: Settings) -> Callable[[Snapshot], Fuser] | None:
    """What makes the fuser of each version that a retriever takes up; None where hybrid retrieval is off.

    Call it before a fork: the local model is loaded here, and the processes share it.

    Raises:
        ConfigurationError: As `embedding.of`.
    """
    embedder = embedding.of(settings)
    if embedder is None:
        return None
    return lambda snapshot: open_(settings.corpus_dir, snapshot, embedder)
