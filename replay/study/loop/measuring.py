"""From the turns of a round to numbers: shares with their intervals, and what chance would have done at equal cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from replay.study.loop.turns import Turn
from replay.study.scoring import Share

PARTS = ("kin", "novel")
ALL = "all"


@dataclass(frozen=True)
class Cost:
    """What was read, written and waited for. Only where a model answered does it say anything."""

    tokens: int
    seconds: float
    tokens_per_right: float | None
    seconds_per_right: float | None


@dataclass(frozen=True)
class AtRandom:
    """Escalation of the same number of tasks, chosen by lot and not by the gate; nothing else is held back.

    What the gate does not judge goes out as it is, so an answer that says nothing is neither right nor wrong. For tasks
    that were not escalated the large model's answer is not known: where a bundle has an accepted right choice it counts
    as right if the large one is a stand-in that finds every such choice; else its share of right answers on what was
    escalated stands for the others too, which flatters the gate if those are easier.

    Attributes:
        right: Expected right ones.
        wrong: Expected wrong ones, of the local model; the large one's answers still pass the gate.
    """

    right: float
    wrong: float


@dataclass(frozen=True)
class WorkRound:
    """A round of work in one arm. Shares are of all tasks that got an answer, unless they say otherwise.

    Attributes:
        number: The round, from 1.
        corpus_version: What was retrieved from.
        failed: Tasks without an answer; in no share.
        escalated: Handed on by the gate.
        undecidable: Refused by it, and not handed on: no answer over the bundle could pass.
        causes: How many of them for which family of reasons, by the first one.
        wrong: False accepts.
        wrong_of_accepted: False accepts, of the accepted ones.
        wrong_local: False accepts of the local model, of all.
        local_right: Accepted from the local model, and right.
        repeated: Tasks whose own answer of an earlier round was in the bundle, of all.
        escalated_of_repeated: Handed on, of these.
        escalated_of_others: Handed on, of the rest.
        remembered: Bundles with the line of an earlier answer shown first.
        produced: Bundles that show any record that an earlier round has brought.
        reachable: The ceiling: tasks with an accepted right choice in the bundle.
        at_random: None where nothing escalated to anybody.
        added: Records that the corpus got after the round.
        removed: Records that were demoted or withdrawn after it.
    """

    number: int
    corpus_version: str
    tasks: int
    failed: int
    escalated: Share
    undecidable: Share
    causes: Mapping[str, int]
    accepted: Share
    right: Share
    wrong: Share
    wrong_of_accepted: Share
    wrong_local: Share
    local_right: Share
    large_right: Share
    repeated: Share
    escalated_of_repeated: Share
    escalated_of_others: Share
    remembered: Share
    produced: Share
    reachable: Share
    at_random: AtRandom | None
    cost: Cost
    added: int = 0
    removed: int = 0

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return wire(self)


@dataclass(frozen=True)
class ProbePart:
    """The sealed probe after a round, or one part of it: the local model alone."""

    part: str
    tasks: int
    failed: int
    right: Share
    wrong: Share
    wrong_of_accepted: Share
    undecided: Share
    says_right: Share
    remembered: Share
    produced: Share
    reachable: Share
    cost: Cost

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return wire(self)


def wire(value: Any) -> dict[str, Any]:
    """The fields of a dataclass for JSON, shares with their intervals."""
    found = {}
    for field in fields(value):
        held = getattr(value, field.name)
        if isinstance(held, Share):
            held = held.wire()
        elif isinstance(held, Cost | AtRandom):
            held = {name: round(number, 3) if number is not None else None for name, number in vars(held).items()}
        elif isinstance(held, Mapping):
            held = dict(held)
        found[field.name] = held
    return found


def work(
    number: int,
    corpus_version: str,
    turns: Sequence[Turn],
    *,
    large: bool,
    stand_in: bool,
    changed: tuple[int, int] = (0, 0),
) -> WorkRound:
    """Count a round of work.

    Args:
        number: Which.
        corpus_version: What was retrieved from.
        turns: One for each task.
        large: Is there anybody to escalate to?
        stand_in: Is that the oracle?
        changed: Records that the corpus got and lost after it.
    """
    ended = [one for one in turns if one.ended]
    handed = [one for one in ended if one.handed_on]
    accepted = [one for one in ended if one.accepted]
    repeated = [one for one in ended if one.own]
    others = [one for one in ended if not one.own]
    asked = [one for one in ended if one.large_right is not None]
    causes = Counter(one.cause or "none named" for one in handed)
    return WorkRound(
        number=number,
        corpus_version=corpus_version,
        tasks=len(turns),
        failed=len(turns) - len(ended),
        escalated=_share(ended, handed),
        undecidable=Share(sum(one.undecidable for one in ended), len(ended)),
        causes=dict(sorted(causes.items(), key=lambda one: (-one[1], one[0]))),
        accepted=_share(ended, accepted),
        right=Share(sum(one.right for one in ended), len(ended)),
        wrong=Share(sum(one.wrong for one in ended), len(ended)),
        wrong_of_accepted=Share(sum(one.wrong for one in accepted), len(accepted)),
        wrong_local=Share(sum(one.wrong and not one.handed_on for one in ended), len(ended)),
        local_right=Share(sum(one.right and not one.handed_on for one in ended), len(ended)),
        large_right=Share(sum(bool(one.large_right) for one in asked), len(asked)),
        repeated=_share(ended, repeated),
        escalated_of_repeated=Share(sum(one.handed_on for one in repeated), len(repeated)),
        escalated_of_others=Share(sum(one.handed_on for one in others), len(others)),
        remembered=Share(sum(one.remembered for one in ended), len(ended)),
        produced=Share(sum(one.produced for one in ended), len(ended)),
        reachable=Share(sum(one.reachable for one in ended), len(ended)),
        at_random=_at_random(ended, asked, stand_in=stand_in) if large and ended else None,
        cost=_cost(ended),
        added=changed[0],
        removed=changed[1],
    )


def probe(turns: Sequence[Turn]) -> tuple[ProbePart, ...]:
    """Count the sealed probe: all of it, and its parts."""
    return tuple(
        _part(name, [one for one in turns if name in {ALL, one.part}])
        for name in (ALL, *PARTS)
        if name == ALL or any(one.part == name for one in turns)
    )


def _part(name: str, turns: Sequence[Turn]) -> ProbePart:
    ended = [one for one in turns if one.ended]
    count, accepted = len(ended), sum(one.accepted for one in ended)
    wrong = sum(one.wrong for one in ended)
    return ProbePart(
        part=name,
        tasks=len(turns),
        failed=len(turns) - count,
        right=Share(sum(one.right for one in ended), count),
        wrong=Share(wrong, count),
        wrong_of_accepted=Share(wrong, accepted),
        undecided=Share(count - accepted, count),
        says_right=Share(sum(one.local_ruling is one.known for one in ended), count),
        remembered=Share(sum(one.remembered for one in ended), count),
        produced=Share(sum(one.produced for one in ended), count),
        reachable=Share(sum(one.reachable for one in ended), count),
        cost=_cost(ended),
    )


def _at_random(ended: Sequence[Turn], asked: Sequence[Turn], *, stand_in: bool) -> AtRandom:
    count = len(ended)
    rate = sum(one.handed_on for one in ended) / count
    says_right = sum(one.local_ruling is one.known for one in ended)
    says_wrong = sum(one.local_ruling not in {None, one.known} and one.local_ruling != "unsure" for one in ended)
    if stand_in:
        by_large = sum(one.reachable for one in ended) / count
    else:
        by_large = sum(bool(one.large_right) for one in asked) / len(asked) if asked else 0.0
    return AtRandom(right=(1 - rate) * says_right + rate * count * by_large, wrong=(1 - rate) * says_wrong)


def _cost(ended: Sequence[Turn]) -> Cost:
    tokens, seconds = sum(one.tokens for one in ended), sum(one.seconds for one in ended)
    right = sum(one.right for one in ended)
    return Cost(tokens, seconds, tokens / right if right else None, seconds / right if right else None)


def _share(of: Sequence[Turn], hits: Iterable[Turn]) -> Share:
    return Share(sum(1 for _ in hits), len(of))
