"""What is counted. Nothing here grows with the evidence: names are bounded in number, times are counted in steps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from evidence.ledger import Tokens
from producer.gold import Gold
from producer.manifest import Header
from producer.report.scope import Head, Scope
from replay.corpus.quality import Share

OTHERS = "(others)"
_MOST_NAMES = 1000
# Two neighbouring steps differ by so much, which bounds the error of a percentile.
_STEP = math.log(1.01)

T = TypeVar("T")


class Named(Generic[T]):
    """Something for each name, the first of it where a name is new. Of very many names the later ones share one."""

    def __init__(self, new: Callable[[], T], most: int = _MOST_NAMES) -> None:
        self._new = new
        self._most = most
        self._held: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._held:
            if len(self._held) >= self._most:
                name = OTHERS
            self._held.setdefault(name, self._new())
        return self._held[name]

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return iter(self._held.items())

    def __len__(self) -> int:
        return len(self._held)

    def sorted(self) -> list[tuple[str, T]]:
        """By name, what shares one at the end."""
        return sorted(self._held.items(), key=lambda item: (item[0] == OTHERS, item[0]))


@dataclass
class Judged:
    """Answers of the local model that were given evidence and judged by the gate.

    Attributes:
        count: How many.
        passed: The gate accepted.
        escalated: The gate rejected, and the large model was to be asked.
    """

    count: int = 0
    passed: int = 0
    escalated: int = 0

    @property
    def pass_rate(self) -> Share:
        """Of all."""
        return Share(self.passed, self.count)

    @property
    def escalation_rate(self) -> Share:
        """Of all."""
        return Share(self.escalated, self.count)


class Durations:
    """Times of which percentiles are asked, right to one in a hundred."""

    def __init__(self) -> None:
        self._steps: Counter[int] = Counter()
        self._count = 0

    def add(self, milliseconds: float) -> None:
        """Count one; none, which is no time, is left out."""
        if milliseconds > 0:
            self._steps[math.ceil(math.log(milliseconds) / _STEP)] += 1
            self._count += 1

    def percentile(self, share: float) -> float | None:
        """In seconds, by nearest rank; None of none."""
        wanted = max(1, math.ceil(share * self._count))
        passed = 0
        for step, count in sorted(self._steps.items()):
            passed += count
            if passed >= wanted:
                return math.exp((step - 0.5) * _STEP) / 1000
        return None


@dataclass
class Took:
    """What the attempts of one model in one lane took."""

    attempts: int = 0
    reused: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    generate_ms: float = 0.0
    durations: Durations = field(default_factory=Durations)

    @property
    def cached_share(self) -> float | None:
        """Of the tokens that were read, those that a server had in its cache."""
        return self.cached / self.prompt if self.prompt else None

    def tokens(self) -> Tokens:
        """For prices."""
        return Tokens(self.attempts, self.prompt, self.completion, self.cached, self.generate_ms / 1000)


@dataclass
class Counts:
    """What one pass over the evidence counted.

    Attributes:
        records: Lines of evidence about runs.
        ended: Runs by how they ended and on whose attempt; the lane is empty where there was none.
        repeated: Runs in whose place others stand; their ends are not in `ended`, what they took is in the rest.
        handed_on: Local answers after which the large model was to be asked.
        baseline: Attempts without retrieval; they are in no rate.
        judged: All answers that the rates are of.
        by_day: The same by day, UTC.
        by_batch: The same by batch.
        by_corpus: The same by version of the corpus.
        gates: Verdicts by version of the gate.
        rules: How often each rule objected, by lane.
        took: By lane and model.
        reviews: What people said, by decision.
        conflicts: Records that contradict one that stands.
        gold: Against known answers; None where none are known.
        first_at: Unix time of the first record; infinite without any.
        last_at: Of the last one.
    """

    records: int = 0
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    repeated: int = 0
    handed_on: int = 0
    baseline: int = 0
    judged: Judged = field(default_factory=Judged)
    by_day: Named[Judged] = field(default_factory=lambda: Named(Judged, 4000))
    by_batch: Named[Judged] = field(default_factory=lambda: Named(Judged))
    by_corpus: Named[Judged] = field(default_factory=lambda: Named(Judged))
    gates: Named[Counter[str]] = field(default_factory=lambda: Named(Counter))
    rules: Named[Counter[str]] = field(default_factory=lambda: Named(Counter))
    took: dict[str, Named[Took]] = field(default_factory=dict)
    reviews: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    gold: Gold | None = None
    first_at: float = math.inf
    last_at: float = -math.inf

    def in_state(self, state: str) -> int:
        """Runs that ended so."""
        return sum(count for (name, _), count in self.ended.items() if name == state)


@dataclass(frozen=True)
class Report:
    """A report, but for the runs that it lists.

    Attributes:
        scope: What it is about.
        head: Of the log that it was made from.
        made_at: When.
        counts: What was counted.
        header: Of the batch, where it is about one that was submitted here.
        marks: What was decided about that batch: cancelled, paused.
        sources: Where the batches in the tables came from, by id.
        batches: How many have evidence, as far as they are counted.
        older_batches: There are more.
        still_open: Runs that wait for the large model.
        without_evidence: Tasks of the batch that have none yet; None where it is about more than a batch.
        cost: Of the large models' tokens; None where one of them has no price.
    """

    scope: Scope
    head: Head
    made_at: datetime
    counts: Counts
    header: Header | None
    marks: tuple[str, ...]
    sources: Mapping[str, Header]
    batches: int
    older_batches: bool
    still_open: int
    without_evidence: int | None
    cost: float | None
