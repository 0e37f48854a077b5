"""Which faults fall when: drawn from a seed alone, so that the same seed draws the same plan on every machine."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A fault, as `--only` names it."""

    KILL_LOCAL = "kill-local"
    KILL_CHILD = "kill-child"
    KILL_ESCALATION = "kill-escalation"
    KILL_WRITER = "kill-writer"
    KILL_SCHEDULER = "kill-scheduler"
    KILL_PRODUCER = "kill-producer"
    FREEZE_LOCAL = "freeze-local"
    FREEZE_ESCALATION = "freeze-escalation"
    FREEZE_WRITER = "freeze-writer"
    FREEZE_SCHEDULER = "freeze-scheduler"
    FREEZE_PRODUCER = "freeze-producer"
    FREEZE_KILL_LOCAL = "freeze-kill-local"
    FREEZE_KILL_ESCALATION = "freeze-kill-escalation"
    FREEZE_KILL_WRITER = "freeze-kill-writer"
    FREEZE_KILL_SCHEDULER = "freeze-kill-scheduler"
    FREEZE_KILL_PRODUCER = "freeze-kill-producer"
    KILL_BROKER = "kill-broker"
    WIPE_BROKER = "wipe-broker"
    FULL_DISK = "full-disk"
    TORN_LOG = "torn-log"
    SLOW_LINK = "slow-link"
    CLOCK_LOCAL = "clock-local"
    CLOCK_ESCALATION = "clock-escalation"
    CLOCK_WRITER = "clock-writer"
    CLOCK_SCHEDULER = "clock-scheduler"


LOSES_BY_DESIGN = frozenset({Kind.WIPE_BROKER, Kind.TORN_LOG})
"""What no transport survives without the reconciler: it takes away what was stored and acknowledged."""


@dataclass(frozen=True)
class Planned:
    """One fault: when it falls, in seconds from the start of the faults, and the seed of what is random about it."""

    at_s: float
    kind: Kind
    seed: str


def draw(seed: int, kinds: Collection[Kind], *, duration_s: float, every_s: float) -> tuple[Planned, ...]:
    """Draw the faults of a run.

    Kinds are dealt like cards, so that each has come once before one comes twice. Gaps are those of a Poisson process,
    cut at three times their mean.

    Args:
        seed: Of everything that is random here.
        kinds: To choose from.
        duration_s: No fault falls later.
        every_s: Mean gap.
    """
    rng = random.Random(seed)  # noqa: S311  dice, no secret
    deck: list[Kind] = []
    planned: list[Planned] = []
    at_s = 0.0
    while kinds:
        at_s += min(rng.expovariate(1 / every_s), 3 * every_s)
        if at_s > duration_s:
            break
        if not deck:
            deck = sorted(kinds)
            rng.shuffle(deck)
        planned.append(Planned(at_s, deck.pop(), f"{seed}:{len(planned)}"))
    return tuple(planned)


def chosen(words: Sequence[str]) -> frozenset[Kind]:
    """The kinds that these words name; a word is a kind, or the beginning of several up to a hyphen (`freeze`).

    Raises:
        ValueError: A word names none.
    """
    found: set[Kind] = set()
    for word in words:
        named = {kind for kind in Kind if kind == word or kind.startswith(f"{word}-")}
        if not named:
            raise ValueError(f"no fault {word!r}; there are {', '.join(Kind)}")
        found |= named
    return frozenset(found)
