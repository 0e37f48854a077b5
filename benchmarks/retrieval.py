"""Retrieval over three packages: is the deciding line there, and how long does it take?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from benchmarks import line_recall
from benchmarks.registry import Metric, Run
from replay.corpus.retrieval import SnapshotRetriever, source_tokens
from replay.corpus.tokens import query_tokens
from replay.settings import Settings
from tests.factories import make_task

Input = TypeVar("Input")

SHOWN = Settings.model_fields["lines_shown"].default
CORPUS = "package:celery, kombu and redis"


def measure(run: Run) -> Iterator[Metric]:
    """Recall of the deciding line, and the time of a whole retrieval."""
    built = line_recall.build(run.place("corpus"))
    retriever = SnapshotRetriever(built, Settings())
    sets = line_recall.claim_sets()
    claims = [claim for claims in sets.values() for claim in claims]
    rankings = line_recall.rankings(built)

    def share(label: str) -> float:
        found = [line_recall.measure(name, some, label, rankings[label], retriever) for name, some in sets.items()]
        return sum(recall.among_first[SHOWN] for recall in found) / len(claims)

    yield Metric(
        "retrieval.line_recall",
        share(line_recall.AS_RETRIEVED),
        share(line_recall.PLAIN),
        "share",
        f"Share of {len(claims)} claims whose deciding line is among the first {SHOWN}; corpus: {CORPUS}, "
        f"{len(built.records)} records. Baseline: records by containment alone and the first design's line score. "
        "benchmarks/line_recall.py tells the four sets of claims apart.",
    )

    texts = [claim.text for claim in claims][: run.count(len(claims), 20)]
    tasks = [make_task(text) for text in texts]
    sources = [source_tokens(record) for record in built.records]

    def scan(text: str) -> None:
        query = query_tokens(text)
        sorted(range(len(sources)), key=lambda ordinal: -len(query & sources[ordinal]))[:8]

    yield Metric(
        "retrieval.p50_ms",
        _p50_ms(retriever.retrieve, tasks),
        _p50_ms(scan, texts),
        "ms",
        f"Median of {len(tasks)} whole retrievals: playbooks, passages and lines; corpus: {CORPUS}, "
        f"{len(built.records)} records. Baseline: a scan of the shared tokens of every record, without lines.",
    )


def _p50_ms(work: Callable[[Input], object], inputs: Sequence[Input]) -> float:
    times = []
    for one in inputs:
        began = time.perf_counter()
        work(one)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
