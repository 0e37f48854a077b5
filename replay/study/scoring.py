"""How well the gate tells good answers from bad ones: tallies over cases with a label.

A case is labelled with what ought to become of it and with the class of what was done to it, its mutation. Of answers
that ought to be rejected, each class has its recall: the share that is rejected. Of answers that ought to be accepted,
the share that is rejected is the false-reject rate. Each share comes with its 95 % interval by Wilson's score
(E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927, 209-212), which
holds for small counts and near 0 and 1, where gates live.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from replay.corpus.quality import Share, wilson

__all__ = ["Label", "Scores", "Scoring", "Share", "wilson"]

UNNAMED = "unnamed"
OTHERS = "all others"
_MOST_CLASSES = 256  # a stream of endless names must not fill the memory


@dataclass(frozen=True)
class Label:
    """What ought to become of a case.

    Attributes:
        accept: Ought the gate to accept it?
        mutation: The class of what was done to the answer; None for one that nothing was done to.
    """

    accept: bool
    mutation: str | None = None

    @property
    def group(self) -> str:
        """The class under which it is counted."""
        return self.mutation or UNNAMED


@dataclass(frozen=True)
class Scores:
    """What a run over cases came to.

    Attributes:
        cases: Cases judged, with label or without.
        accepted: Those that the gate accepted.
        recall: For each class of answers that ought to be rejected, how many are; by name.
        false_rejects: Rejected among those that ought to be accepted.
        harmless: The same, for each named class of answers that ought to be accepted; by name.
    """

    cases: int
    accepted: int
    recall: dict[str, Share]
    false_rejects: Share
    harmless: dict[str, Share]

    @property
    def labelled(self) -> int:
        """Cases with a label."""
        return self.bad.of + self.false_rejects.of

    @property
    def bad(self) -> Share:
        """Rejected among all those that ought to be."""
        shares = self.recall.values()
        return Share(sum(share.hits for share in shares), sum(share.of for share in shares))

    @property
    def wrong(self) -> int:
        """Labelled cases on which the gate says otherwise than the label."""
        return self.false_rejects.hits + self.bad.of - self.bad.hits

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "cases": self.cases,
            "accepted": self.accepted,
            "labelled": self.labelled,
            "wrong": self.wrong,
            "recall": {name: _wire(share) for name, share in self.recall.items()},
            "recall_all": _wire(self.bad),
            "false_rejects": _wire(self.false_rejects),
            "harmless": {name: _wire(share) for name, share in self.harmless.items()},
        }


class Scoring:
    """Adds up verdicts one at a time, in memory that does not grow with them."""

    def __init__(self) -> None:
        self._cases = 0
        self._accepted = 0
        self._bad: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._harmless: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._good = [0, 0]

    def add(self, label: Label | None, *, accepted: bool) -> bool:
        """Count a verdict.

        Returns:
            Whether it is wrong: the label says otherwise.
        """
        self._cases += 1
        self._accepted += accepted
        if label is None:
            return False
        tallies = [self._good] if label.accept else [_of(self._bad, label.group)]
        if label.accept and label.mutation:
            tallies.append(_of(self._harmless, label.mutation))
        for tally in tallies:
            tally[0] += not accepted
            tally[1] += 1
        return accepted is not label.accept

    def scores(self) -> Scores:
        """What it has come to so far."""
        return Scores(
            cases=self._cases,
            accepted=self._accepted,
            recall=_shares(self._bad),
            false_rejects=Share(*self._good),
            harmless=_shares(self._harmless),
        )


def _of(tallies: defaultdict[str, list[int]], name: str) -> list[int]:
    return tallies[name if name in tallies or len(tallies) < _MOST_CLASSES else OTHERS]


def _shares(tallies: dict[str, list[int]]) -> dict[str, Share]:
    return {name: Share(*tallies[name]) for name in sorted(tallies)}


def _wire(share: Share) -> dict[str, Any]:
    return share.wire() | {"share": round(share.value, 4) if share.of else None}
