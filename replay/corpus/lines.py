"""Choosing lines: which few lines of the passages decide a task.

The score of a line is made of idf masses that it shares with the task:

- its own tokens, in full;
- three quarters of what only its *frame* adds: the title and path of its record, the record's first line, and the lines
  that enclose it by indentation (`worker=Namespace(` above `prefetch_multiplier=Option(4)`);
- a quarter of what only its *neighbours* add: two lines above and two below;
- where it defines a name, the mass of that name's parts that the task asks for, times their share of the name.

The sum is multiplied by how much a line of its kind can decide (a name given a literal value: 2; a class header: 1.5;
another definition: 1.2; anything else: 1), and divided by 1 + 0.02 for each of its tokens, which keeps prose from
winning by length.

The factors are round numbers, chosen by measuring on claims about three packages; `benchmarks/line_recall.py` says
which claims they were chosen on and which were written afterwards, and prints the recall on both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replay.contracts import EvidenceLine, Record
from replay.corpus import indentation
from replay.corpus.tokens import STOP_WORDS, expand, tokens, words

MAX_LINE_CHARS = 200

FRAME_SHARE = 0.75
NEIGHBOUR_SHARE = 0.25
NEIGHBOURS = 2
LITERAL_DEFINITION = 2.0
CLASS_HEADER = 1.5
DEFINITION = 1.2
TOKEN_COST = 0.02

_NONE: frozenset[str] = frozenset()

_DEFINED = re.compile(
    r"""\s*(?:
        (?:async\s+)?def\s+(\w+)
      | class\s+(\w+)
      | (?:(?:const|let|var|static|final|pub|export)\s+)*(?:self\.|cls\.)?([A-Za-z_][\w.]*)\s*(?::[^=]+)?=(?!=)
      | ["']([\w.-]+)["']\s*:
      | ([A-Za-z_]\w*)\s*:\s
    )""",
    re.VERBOSE,
)
_LITERAL_VALUE = re.compile(
    r"""\s*(?:\w+\()?\s*(?:default\s*=\s*)?(?:-?\d|["']|True|False|\[|\(\d)   # 4 · 'x' · Option(4 · [0, 3]
      | \bor\s+(?:\d|["'])                                                    # given or 100
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class ScoredLine:
    """A line of a record; `offset` counts from 0 within it."""

    record: Record
    offset: int
    text: str
    score: float


class LineScorer:
    """Scores lines for one task.

    Args:
        weights: The tokens of the task and their idf.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._asked: dict[str, frozenset[str]] = {}  # the task's tokens in each word met so far: most have none

    def score(self, record: Record) -> list[ScoredLine]:
        """Score the lines that share a token with the task, each distinct text once, in the order of the record."""
        lines = record.text.split("\n")
        shared = [self._shared(line) for line in lines]
        outer = self._shared(f"{record.title}\n{record.path or ''}") | shared[0]
        parents = indentation.parents(lines)
        scored: dict[str, ScoredLine] = {}
        for offset, own in enumerate(shared):
            text = lines[offset].strip()
            if not own or text in scored:
                continue
            frame = outer.union(*(shared[above] for above in indentation.enclosing(parents, offset))) - own
            near = _NONE.union(*shared[max(0, offset - NEIGHBOURS) : offset + NEIGHBOURS + 1]) - own - frame
            mass = self._mass(own) + FRAME_SHARE * self._mass(frame) + NEIGHBOUR_SHARE * self._mass(near)
            bonus, factor = self._definition(text)
            score = (mass + bonus) * factor / (1.0 + TOKEN_COST * len(tokens(text)))
            scored[text] = ScoredLine(record, offset, text, score)
        return list(scored.values())

    def _shared(self, text: str) -> frozenset[str]:
        found: set[str] = set()
        for word in words(text):
            asked = self._asked.get(word)
            if asked is None:
                asked = self._asked[word] = frozenset(token for token in expand(word) if token in self._weights)
            if asked:
                found |= asked
        return frozenset(found) if found else _NONE

    def _mass(self, shared: Iterable[str]) -> float:
        return sum(self._weights[token] for token in sorted(shared))

    def _definition(self, text: str) -> tuple[float, float]:
        """What a line earns by defining a name: a bonus to its mass, and the factor of its kind."""
        defined = _DEFINED.match(text)
        if not defined:
            return 0.0, 1.0
        name = next(group for group in defined.groups() if group)
        named = [token for token in expand(name) if token not in STOP_WORDS]
        parts = [token for token in named if "_" not in token] or named
        asked = [token for token in parts if token in self._weights]
        bonus = self._mass(asked) * len(asked) / len(parts) if asked else 0.0
        if _LITERAL_VALUE.search(text, defined.end()):
            return bonus, LITERAL_DEFINITION
        return bonus, CLASS_HEADER if text.startswith("class ") else DEFINITION


def choose(scored: Iterable[ScoredLine], limit: int) -> tuple[EvidenceLine, ...]:
    """The best lines, numbered L1, L2, … in order of score.

    Of lines with the same score the one with the shallower path comes first, then in the order given. The same text
    in a definition of the same name (a synchronous class and its asynchronous twin) is shown once.
    """
    ordered = sorted(scored, key=lambda line: (-line.score, (line.record.path or "").count("/")))
    distinct: dict[tuple[str, tuple[str, ...]], ScoredLine] = {}
    for line in ordered:
        distinct.setdefault((line.text, _name(line.record)), line)
    return tuple(
        EvidenceLine(
            line_id=f"L{number}",
            record_id=line.record.record_id,
            line_no=(line.record.first_line or 1) + line.offset,
            text=line.text[:MAX_LINE_CHARS].rstrip(),
            score=line.score,
        )
        for number, line in enumerate(list(distinct.values())[:limit], 1)
    )


def _name(record: Record) -> tuple[str, ...]:
    qualified = record.title.partition(" ")[0]
    return tuple(qualified.split(".")[-2:])
