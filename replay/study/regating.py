"""What another gate would have said: every attempt of the evidence judged again, nothing written.

An attempt is judged by its reply, which is read again as if it came today, or by the answer that was stored when it
came. Where one of the two is missing, the other serves. The replies are worth more: one that could not be read then
may be read now. The stored answers isolate the rules from the reading.

An attempt that was not judged, because no reply came, cannot be judged again; it is counted with the reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from replay.contracts import Attempt, Reason, ReplayRun, State, Tier
from replay.gate import Gate, judge, judge_answer


class Basis(StrEnum):
    """What of an attempt is judged."""

    REPLY = "reply"
    ANSWER = "answer"


class Change(StrEnum):
    """What the other gate makes of an attempt."""

    NEWLY_REJECTED = "now rejected"
    NEWLY_ACCEPTED = "now accepted"
    OTHER_REASONS = "other reasons"
    UNCHANGED = "unchanged"


class Unjudged(StrEnum):
    """Why there is nothing to compare."""

    NO_ATTEMPT = "no attempt"
    NO_REPLY = "no reply came"
    NO_VERDICT = "never judged"


@dataclass(frozen=True)
class Regated:
    """One attempt before two gates.

    Attributes:
        recorded_gate: Version of the gate that judged it then.
        gate: Version of the one that judges it now.
        basis: What was judged now.
        read_otherwise: The reply, read today, gives another answer than the one that was stored.
        was_accepted: What was decided then; `is_accepted` is what would be decided now.
        before: Rules that objected then.
        after: Reasons of now.
    """

    run_id: str
    attempt_id: str
    batch_id: str
    custom_id: str
    tier: Tier
    state: State
    recorded_gate: str
    gate: str
    basis: Basis
    read_otherwise: bool
    was_accepted: bool
    is_accepted: bool
    before: tuple[str, ...]
    after: tuple[Reason, ...]

    @property
    def change(self) -> Change:
        """Which of the kinds of change it is."""
        if self.was_accepted is not self.is_accepted:
            return Change.NEWLY_ACCEPTED if self.is_accepted else Change.NEWLY_REJECTED
        return Change.UNCHANGED if set(self.before) == self.rules else Change.OTHER_REASONS

    @property
    def rules(self) -> frozenset[str]:
        """Rules that object now."""
        return frozenset(reason.rule for reason in self.after)

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "change": self.change.name.lower(),
            "run_id": self.run_id,
            "attempt_id": self.attempt_id,
            "batch_id": self.batch_id,
            "custom_id": self.custom_id,
            "tier": self.tier.value,
            "state": self.state.value,
            "recorded_gate": self.recorded_gate,
            "gate": self.gate,
            "basis": self.basis.value,
            "read_otherwise": self.read_otherwise,
            "was_accepted": self.was_accepted,
            "is_accepted": self.is_accepted,
            "before": list(self.before),
            "after": [reason.wire() for reason in self.after],
        }


def regate(runs: Iterable[ReplayRun], gate: Gate, basis: Basis = Basis.REPLY) -> Iterator[Regated | Unjudged]:
    """Judge the attempts of these records again, one at a time and in their order."""
    for run in runs:
        yield _regated(run, gate, basis)


@dataclass(frozen=True)
class Row:
    """The changes of one tier and one recorded gate."""

    tier: Tier
    recorded_gate: str
    changes: dict[Change, int]

    @property
    def attempts(self) -> int:
        """All attempts of the row."""
        return sum(self.changes.values())

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        counts = {change.name.lower(): self.changes[change] for change in Change}
        return {"tier": self.tier.value, "recorded_gate": self.recorded_gate, "attempts": self.attempts} | counts


@dataclass(frozen=True)
class Report:
    """What all the attempts came to.

    Attributes:
        rows: By tier and recorded gate, in order.
        bases: How many were judged by what.
        read_otherwise: Replies that, read today, give another answer than was stored.
        unjudged: What could not be judged, by why.
        came: For each rule, the attempts to which it objects now and did not then; `went` is the reverse.
    """

    rows: tuple[Row, ...]
    bases: dict[Basis, int]
    read_otherwise: int
    unjudged: dict[Unjudged, int]
    came: dict[str, int]
    went: dict[str, int]

    @property
    def attempts(self) -> int:
        """Attempts judged again."""
        return sum(row.attempts for row in self.rows)

    def count(self, change: Change) -> int:
        """Attempts with this change, in all rows."""
        return sum(row.changes[change] for row in self.rows)

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "attempts": self.attempts,
            "changes": {change.name.lower(): self.count(change) for change in Change},
            "rows": [row.wire() for row in self.rows],
            "judged_by": {basis.value: count for basis, count in self.bases.items()},
            "read_otherwise": self.read_otherwise,
            "unjudged": {why.name.lower(): count for why, count in self.unjudged.items()},
            "reasons_that_came": self.came,
            "reasons_that_went": self.went,
        }


class Changes:
    """Adds up what `regate` yields, in memory that does not grow with it."""

    def __init__(self) -> None:
        self._rows: defaultdict[tuple[Tier, str], Counter[Change]] = defaultdict(Counter)
        self._bases: Counter[Basis] = Counter()
        self._unjudged: Counter[Unjudged] = Counter()
        self._read_otherwise = 0
        self._came: Counter[str] = Counter()
        self._went: Counter[str] = Counter()

    def add(self, item: Regated | Unjudged) -> None:
        """Count one."""
        if isinstance(item, Unjudged):
            self._unjudged[item] += 1
            return
        self._rows[item.tier, item.recorded_gate][item.change] += 1
        self._bases[item.basis] += 1
        self._read_otherwise += item.read_otherwise
        self._came.update(item.rules.difference(item.before))
        self._went.update(set(item.before) - item.rules)

    def report(self) -> Report:
        """What it has come to so far."""
        return Report(
            rows=tuple(
                Row(tier, gate, {change: counts[change] for change in Change})
                for (tier, gate), counts in sorted(self._rows.items())
            ),
            bases={basis: self._bases[basis] for basis in Basis},
            read_otherwise=self._read_otherwise,
            unjudged={why: self._unjudged[why] for why in Unjudged},
            came=dict(self._came.most_common()),
            went=dict(self._went.most_common()),
        )


def _regated(run: ReplayRun, gate: Gate, basis: Basis) -> Regated | Unjudged:
    attempt = run.attempt
    if attempt is None:
        return Unjudged.NO_ATTEMPT
    if attempt.generation is None and attempt.answer is None:
        return Unjudged.NO_REPLY
    if attempt.verdict is None:
        return Unjudged.NO_VERDICT
    used, read_otherwise, accepted, reasons = _judged(run, attempt, gate, basis)
    return Regated(
        run_id=run.run_id,
        attempt_id=attempt.attempt_id,
        batch_id=run.batch_id,
        custom_id=run.custom_id,
        tier=attempt.tier,
        state=run.state,
        recorded_gate=attempt.verdict.gate_version,
        gate=gate.version,
        basis=used,
        read_otherwise=read_otherwise,
        was_accepted=attempt.verdict.accepted,
        is_accepted=accepted,
        before=tuple(dict.fromkeys(reason.rule for reason in attempt.verdict.reasons)),
        after=reasons,
    )


def _judged(run: ReplayRun, attempt: Attempt, gate: Gate, basis: Basis) -> tuple[Basis, bool, bool, tuple[Reason, ...]]:
    by_answer = attempt.answer if basis is Basis.ANSWER or attempt.generation is None else None
    if by_answer is not None:
        verdict = judge_answer(run.task, run.bundle, by_answer, gate)
        return Basis.ANSWER, False, verdict.accepted, verdict.reasons
    if attempt.generation is None:
        raise ValueError("neither reply nor answer")  # `_regated` has looked
    answer, verdict = judge(run.task, run.bundle, attempt.generation, gate)
    return Basis.REPLY, answer != attempt.answer, verdict.accepted, verdict.reasons
