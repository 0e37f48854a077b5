"""The index against a scan of Python sets, bm25s and tantivy: latency by size, over a million realistic records."""

from __future__ import annotations

import hashlib
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks import million
from benchmarks.million import Texts
from benchmarks.registry import Metric, Run
from benchmarks.retrieval_peers import Bm25s, Forward, Sets, Tantivy, forward
from replay.corpus.index import Entry, Index, Segment, build
from replay.corpus.tokens import query_tokens, tokens

Input = TypeVar("Input")
Ranked = TypeVar("Ranked")
Queries = Sequence[frozenset[str]]

SIZES = {"446": 446, "10k": 10_000, "100k": 100_000}
REACH = {"446": (0.1, 0.2), "10k": (0.15, 0.3), "100k": (0.3, 0.6), "1m": (1.5, 4.0)}
"""Milliseconds, p50 and p99."""
ROUNDS = 3
SCANNED = {"446": 200, "10k": 60, "100k": 12, "1m": 6}
"""Queries of the scan, which takes a second for one over a million records."""
CHUNK = 100_000


@dataclass(frozen=True)
class Times:
    """Milliseconds of one query, by percentile."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Made:
    """A segment on the disk, and what it took to make it in a process of its own."""

    path: Path
    sha256: str
    seconds: float
    peak_mb: float


class Opened:
    """A segment of so many records, opened, and searched.

    Attributes:
        about: How it was made, in words.
    """

    def __init__(self, texts: Texts, made: Made) -> None:
        began = time.perf_counter()
        segment = Segment.open(made.path, sha256=made.sha256)
        opened_ms = (time.perf_counter() - began) * 1000
        self.segment = segment
        # The digest of a record is its number here.
        self.ids = [_id(int.from_bytes(digest.tobytes(), "big")) for digest in segment.digests]
        self.index = Index([segment], lambda _, ordinal: self.ids[ordinal])
        self.about = (
            f"Records: passages of installed Python source, manuals, documentation and headers, {texts.spliced:,} of "
            f"{texts.count:,} spliced of two; {segment.lengths.mean():.1f} distinct tokens in the mean, vocabulary "
            f"{len(segment.vocabulary):,}. Built from text in {made.seconds:.1f} s with a peak of {made.peak_mb:,.0f} "
            f"MB; file {made.path.stat().st_size / 1e6:.1f} MB, opened and verified in {opened_ms:.1f} ms."
        )

    def jaccard(self, query: frozenset[str]) -> list[tuple[str, float]]:
        """The best 8, by id."""
        return [(self.ids[one.ordinal], one.score) for one in self.index.jaccard(query, 8)]

    def containment(self, query: frozenset[str], k: int = 8) -> list[str]:
        """The best, by id."""
        return [self.ids[one.ordinal] for one in self.index.containment(query, k)]


def measure(run: Run) -> Iterator[Metric]:
    """Latency at each size, then everything else at the largest."""
    folder = run.place("million")
    count = run.count(1_000_000, 100_000)
    texts = million.generate(folder / "records.txt", count, run.count(400, 100))
    queries = [tokens(query) for query in texts.queries]
    for label, size in {**SIZES, "1m": count}.items():
        opened = Opened(texts, _made(texts, size, folder / f"{label}.index"))
        scan = _Scan(forward(opened.segment), opened.ids)
        yield from _latency(label, opened, scan, queries)
    yield from _peers(folder, opened, scan.records, queries)
    yield from _containment(opened, scan, [found for found in map(query_tokens, texts.queries) if found])


def _latency(label: str, opened: Opened, scan: _Scan, queries: Queries) -> Iterator[Metric]:
    (ours,) = _in_turns((opened.jaccard, queries))
    asked = queries[: SCANNED[label]]
    scanned, found = scan.jaccard(asked)
    assert found == [opened.jaccard(query) for query in asked]
    how = (
        f"Best 8 of {len(opened.index):,} records by Jaccard; {len(queries)} sentences, "
        f"{np.median([len(query) for query in queries]):.0f} tokens in the median; one core, the best of {ROUNDS} "
        f"rounds for each. {opened.about} Baseline: a scan of Python sets, {len(asked)} queries, the same results."
    )
    for name, reach in zip(("p50", "p99"), REACH[label], strict=True):
        value, baseline = getattr(ours, name), getattr(scanned, name)
        yield Metric(f"retrieval.{label}.{name}_ms", value, baseline, "ms", how, f"<= {reach} ms")


def _peers(folder: Path, opened: Opened, records: Forward, queries: Queries) -> Iterator[Metric]:
    words = [records.words(query) for query in queries]
    place = folder / "tantivy"
    place.mkdir()
    bm25s, tantivy = Bm25s(records), Tantivy(records, place)
    # The first call compiles.
    bm25s.search(words[0])
    ours, numba, rust = _in_turns((opened.jaccard, queries), (bm25s.search, words), (tantivy.search, words))
    how = f"Best 8 of {len(records):,} records, medians of {len(queries)} sentences, one core, in turns. Baseline: "
    yield Metric("retrieval.1m.vs_bm25s", ours.p50, numba.p50, "ms", f"{how}bm25s, numba, the same token sets.", "< 1x")
    yield Metric("retrieval.1m.vs_tantivy", ours.p50, rust.p50, "ms", f"{how}tantivy, the same token sets.", "< 1x")


def _containment(opened: Opened, scan: _Scan, queries: Queries) -> Iterator[Metric]:
    ours, many = _in_turns((opened.containment, queries), (partial(opened.containment, k=64), queries))
    asked = queries[: SCANNED["1m"] // 2]
    scanned, found = scan.containment([opened.index.weights(query) for query in asked])
    assert found == [opened.containment(query) for query in asked]
    yield Metric(
        "retrieval.containment.1m.p50_ms",
        ours.p50,
        scanned.p50,
        "ms",
        f"Best 8 of {len(opened.index):,} records by idf-weighted containment; {len(queries)} sentences without the "
        f"words of asking, one core; p99 {ours.p99:.2f} ms; best 64: p50 {many.p50:.2f}, p99 {many.p99:.2f} ms. "
        f"Baseline: a scan of Python sets, {len(asked)} queries, the same results.",
        "<= 3 ms",
    )


class _Scan:
    """The scan of Python sets, over so many records at a time that their sets fit into memory."""

    def __init__(self, records: Forward, ids: Sequence[str]) -> None:
        self.records = records
        self._ids = ids

    def jaccard(self, queries: Queries) -> tuple[Times, list[list[tuple[str, float]]]]:
        """By Jaccard: times, and ids and scores for each query."""
        sets = [frozenset(self.records.numbers(query).values()) for query in queries]
        times, found = self._over(Sets.jaccard, sets)
        return times, [sorted(one, key=lambda hit: (-hit[1], hit[0]))[:8] for one in found]

    def containment(self, queries: Sequence[dict[str, int]]) -> tuple[Times, list[list[str]]]:
        """By weight: times, and ids for each query."""
        numbers = [self.records.numbers(query) for query in queries]
        weights = [
            {found[token]: query[token] for token in query} for found, query in zip(numbers, queries, strict=True)
        ]
        times, found = self._over(Sets.containment, weights)
        return times, [[name for _, _, name in sorted(one)[:8]] for one in found]

    def _over(
        self, search: Callable[[Sets, Input], list[Ranked]], queries: Sequence[Input]
    ) -> tuple[Times, list[list[Ranked]]]:
        taken = np.zeros(len(queries))
        found: list[list[Ranked]] = [[] for _ in queries]
        for first in range(0, len(self.records), CHUNK):
            end = min(first + CHUNK, len(self.records))
            held = Sets([frozenset(one) for one in self.records.lists(first, end)], self._ids[first:end])
            for at, query in enumerate(queries):
                began = time.perf_counter()
                found[at] += search(held, query)
                taken[at] += time.perf_counter() - began
        return _percentiles(taken), found


def _made(texts: Texts, size: int, path: Path) -> Made:
    """Build in a new process: what it needs is then not mixed with what measuring needs."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_make, texts, size, path).result()


def _make(texts: Texts, size: int, path: Path) -> Made:
    began = time.perf_counter()
    built = build(
        Entry(_id(number), text, "note", (), number.to_bytes(16, "big")) for number, text in enumerate(texts.read(size))
    )
    seconds = time.perf_counter() - began
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in built.serialise(np.arange(size + 1)):
            file.write(chunk)
            digest.update(chunk)
    return Made(path, digest.hexdigest(), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _id(number: int) -> str:
    return f"record-{number:07}"


def _in_turns(*arms: tuple[Callable[..., object], Sequence[object]]) -> list[Times]:
    """For each arm the best time of each of its inputs; a round is all inputs of one arm, then those of the next."""
    best = [np.full(len(inputs), np.inf) for _, inputs in arms]
    for _ in range(ROUNDS):
        for taken, (work, inputs) in zip(best, arms, strict=True):
            for at, one in enumerate(inputs):
                began = time.perf_counter()
                work(one)
                taken[at] = min(taken[at], time.perf_counter() - began)
    return [_percentiles(taken) for taken in best]


def _percentiles(seconds: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Times:
    p50, p99 = np.percentile(seconds * 1000, [50, 99]).tolist()
    return Times(p50, p99)
