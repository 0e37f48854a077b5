"""How long it takes from adding a thousand records until a running worker serves with them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from itertools import islice

from benchmarks import million
from benchmarks.registry import Metric, Run
from replay.contracts import Record, RecordKind
from replay.corpus import snapshot
from replay.corpus.retrieval import CurrentRetriever
from replay.settings import Settings

ADDED = 1_000


def append(run: Run) -> Metric:
    """A writer that stays adds a thousand records at a time; after each, a retriever that runs must serve with them."""
    place = run.place("append")
    held, rounds = run.count(100_000, 10_000), run.count(12, 3)
    texts = million.generate(place / "texts", held + rounds * ADDED, 1)
    records = _records(texts)
    corpus_dir = place / "corpus"
    began = time.perf_counter()
    writer = snapshot.write(islice(records, held), corpus_dir)
    whole = (time.perf_counter() - began) * 1000
    worker = CurrentRetriever(corpus_dir, Settings())
    times = []
    for _ in range(rounds):
        added = list(islice(records, ADDED))
        began = time.perf_counter()
        writer = snapshot.add(added, corpus_dir, reuse=writer)
        served = worker.current().version
        times.append((time.perf_counter() - began) * 1000)
        assert served == writer.version
    return Metric(
        "retrieval.append_1000_ms",
        statistics.median(times),
        whole,
        "ms",
        f"Median of {rounds} times adding {ADDED:,} short texts to {held:,}, durably, until a retriever of the same "
        "machine serves with them. Baseline: writing the whole corpus once.",
        "<= 50 ms at 100,000",
    )


def _records(texts: million.Texts) -> Iterator[Record]:
    for number, line in enumerate(texts.read(texts.count)):
        yield Record(record_id=f"pb-{number}", kind=RecordKind.NOTE, text=line.rstrip("\n"), origin="bench")
