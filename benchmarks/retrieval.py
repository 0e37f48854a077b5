"""Retrieval: is the deciding line there, how long does a whole one take, and how fast is the index at every size?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from benchmarks import line_recall, retrieval_speed
from benchmarks.append import append
from benchmarks.registry import Metric, Run
from replay.corpus import rankings
from replay.corpus.retrieval import SnapshotRetriever
from replay.corpus.store import searched_text
from replay.corpus.tokens import query_tokens, tokens
from replay.settings import Settings
from tests.factories import make_task

Input = TypeVar("Input")

SHOWN = Settings.model_fields["lines_shown"].default
CORPUS = "package:celery, kombu and redis"


def measure(run: Run) -> Iterator[Metric]:
    """Quality and speed over three packages, then the index by itself, then growing while it serves."""
    yield from _whole(run)
    yield from retrieval_speed.measure(run)
    yield append(run)


def _whole(run: Run) -> Iterator[Metric]:
    """Recall of the deciding line, and the time of a whole retrieval."""
    built = line_recall.build(run.place("corpus"))
    retriever = SnapshotRetriever(built, Settings())
    claims = line_recall.claims()
    found = line_recall.measure(built, claims, [rankings.AS_SHIPPED, "containment"])

    def share(name: str) -> float:
        return line_recall.share([one for one in found if one.ranking == name], SHOWN)

    yield Metric(
        "retrieval.line_recall",
        share(rankings.AS_SHIPPED),
        share("containment"),
        "share",
        f"Share of the {len(claims)} claims made by hand whose deciding line is among the first {SHOWN}; corpus: "
        f"{CORPUS}, {len(built)} records. Baseline: records by containment alone, and their best lines. "
        "benchmarks/line_recall.py tells the sets of claims apart and has the generated ones.",
    )

    texts = [claim.text for claim in claims][: run.count(len(claims), 20)]
    tasks = [make_task(text) for text in texts]
    sources = [tokens(searched_text(record)) for record in built.sources]

    def scan(text: str) -> None:
        query = query_tokens(text)
        sorted(range(len(sources)), key=lambda ordinal: -len(query & sources[ordinal]))[:8]

    yield Metric(
        "retrieval.p50_ms",
        _p50_ms(retriever.retrieve, tasks),
        _p50_ms(scan, texts),
        "ms",
        f"Median of {len(tasks)} whole retrievals: playbooks, passages and lines; corpus: {CORPUS}, "
        f"{len(built)} records. Baseline: a scan of the shared tokens of every record, without lines.",
    )


def _p50_ms(work: Callable[[Input], object], inputs: Sequence[Input]) -> float:
    times = []
    for one in inputs:
        began = time.perf_counter()
        work(one)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
