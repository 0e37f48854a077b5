"""How good retrieval is: rankings in, numbers out.

Each query has a deciding line and the records that hold it (`replay.corpus.queries`). Measured are

- recall at 8: the share of queries with a deciding record among the first 8;
- MRR: the mean of 1 / place of the first deciding record, 0 where none is among the first 8;
- line recall at n: the share with a deciding line among the first n lines shown. It bounds the whole system: without
  that line, the only right answer is "unsure".

Each share has its 95 % interval by Wilson's score (E. B. Wilson, "Probable inference", JASA 22, 1927), which holds for
small counts and near 0 and 1.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from replay.corpus.queries import Answer, Query

RECORDS = 8
SHOWN = (1, 4, 8, 12, 40)
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Ranked:
    """What a ranking gives for one query, best first.

    Attributes:
        records: Ids of at most `RECORDS` records.
        lines: Path and number of at most `max(SHOWN)` lines.
    """

    records: tuple[str, ...]
    lines: tuple[tuple[str, int], ...]


class Ranking(Protocol):
    """A way to retrieve."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    def rank(self, text: str) -> Ranked:
        """Retrieve for a claim."""
        ...


@dataclass(frozen=True)
class Outcome:
    """The places at which a query's first deciding record and line came, counted from 1; None where none did."""

    query: Query
    ranking: str
    record: int | None
    line: int | None


@dataclass(frozen=True)
class Share:
    """So many of so many, and the interval in which the true share lies with 95 % confidence."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share."""
        return self.hits / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end."""
        return wilson(self.hits, self.of)

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        low, high = self.interval
        return {"hits": self.hits, "of": self.of, "low": round(low, 4), "high": round(high, 4)}


@dataclass(frozen=True)
class Quality:
    """One ranking on one group of queries."""

    group: str
    ranking: str
    recall: Share
    mrr: float
    lines: Mapping[int, Share]

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "group": self.group,
            "ranking": self.ranking,
            "count": self.recall.of,
            f"recall_at_{RECORDS}": self.recall.wire(),
            "mrr": round(self.mrr, 4),
            "lines_at": {str(shown): share.wire() for shown, share in self.lines.items()},
        }


def outcome(query: Query, answer: Answer, ranked: Ranked, ranking: str) -> Outcome:
    """Find the answer in what a ranking gave."""
    return Outcome(
        query,
        ranking,
        _first(record in answer.records for record in ranked.records[:RECORDS]),
        _first(line in answer.lines for line in ranked.lines[: max(SHOWN)]),
    )


def outcomes(ranking: Ranking, queries: Iterable[Query], answers: Mapping[str, Answer]) -> Iterator[Outcome]:
    """Run a ranking over the queries that have an answer in the corpus."""
    for query in queries:
        if answer := answers.get(query.query_id):
            yield outcome(query, answer, ranking.rank(query.text), ranking.name)


def by_set(query: Query) -> str:
    """The set of a query; what nobody may choose by stands apart."""
    return f"{query.set}, held out" if query.held_out else query.set


def by_family(query: Query) -> str:
    """Set and family of a query."""
    return f"{by_set(query)}: {query.family}"


def summarise(found: Iterable[Outcome], group: Callable[[Query], str] = by_set) -> list[Quality]:
    """Count per group and ranking, in the order in which they first come."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for one in found:
        groups[group(one.query), one.ranking].append(one)
    order = list(dict.fromkeys(name for name, _ in groups))
    return [_quality(*key, groups[key]) for key in sorted(groups, key=lambda key: order.index(key[0]))]


def wilson(hits: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share; everything from 0 to 1 where nothing was counted."""
    if not count:
        return 0.0, 1.0
    share = hits / count
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def _quality(group: str, ranking: str, found: list[Outcome]) -> Quality:
    count = len(found)
    return Quality(
        group,
        ranking,
        Share(sum(one.record is not None for one in found), count),
        sum(1 / one.record for one in found if one.record) / count,
        {shown: Share(sum(one.line is not None and one.line <= shown for one in found), count) for shown in SHOWN},
    )


def _first(hits: Iterable[bool]) -> int | None:
    return next((place for place, hit in enumerate(hits, 1) if hit), None)
