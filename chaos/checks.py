"""The proof, from files alone: each task of the manifests has exactly one end in the evidence, and the chain holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evidence.conflict import Conflict
from evidence.reader import EvidenceReader
from replay.contracts import TERMINAL, ReplayRun, State

RUN = str(ReplayRun.model_fields["schema_"].default)
CONFLICT = str(Conflict.model_fields["schema_"].default)


@dataclass(frozen=True, slots=True)
class Line:
    """What the proof needs of one record of the log."""

    schema: str
    run_id: str = ""
    state: str = ""
    tier: str | None = None
    reason: str = ""
    recorded_at: str | None = None
    took_s: float = 0.0
    kind: str = ""

    @property
    def is_run(self) -> bool:
        """Is it an attempt or an end, and not a record about others?"""
        return self.schema == RUN


@dataclass(frozen=True)
class Ledger:
    """The account of a run: what was accepted against what ended.

    Attributes:
        tasks: Accepted runs.
        lost: Those without an end.
        doubled: Runs with more than one end.
        foreign: Runs that ended and were never accepted.
        states: Ends by state.
        failures: Ends as `failed` by reason, without what follows its first colon.
        conflicts: Conflict records by kind: an attempt that was made twice, of which the first one counts.
        others: Other records of the log by schema.
    """

    tasks: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    foreign: tuple[str, ...]
    states: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    conflicts: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)

    def faults(self) -> list[str]:
        """What is wrong, in words; nothing where the account is even."""
        told = [("lost", self.lost), ("doubled", self.doubled), ("ended but never accepted", self.foreign)]
        return [f"{len(runs)} runs are {what}: {', '.join(runs[:5])}" for what, runs in told if runs]


def lines(reader: EvidenceReader) -> Iterator[Line]:
    """The whole lines of the log.

    Raises:
        EvidenceDamaged: One of them cannot be read.
    """
    return (line_of(entry.record) for entry in reader.iterate())


def line_of(record: Mapping[str, Any]) -> Line:
    """Pick from a record what the proof needs."""
    attempt = record.get("attempt") or {}
    return Line(
        schema=str(record["schema"]),
        run_id=str(record.get("run_id") or ""),
        state=str(record.get("state") or ""),
        tier=attempt.get("tier"),
        reason=str(record.get("reason") or ""),
        recorded_at=record.get("recorded_at"),
        took_s=sum((attempt.get("timings") or {}).values()) / 1000,
        kind=str(record.get("kind") or ""),
    )


def balance(accepted: Collection[str], log: Iterable[Line]) -> Ledger:
    """Hold what was accepted against the log.

    Args:
        accepted: Run ids of all manifests.
        log: Every record, in any order.
    """
    ends: Counter[str] = Counter()
    states: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    conflicts: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for line in log:
        if line.schema == CONFLICT:
            conflicts[line.kind] += 1
        elif not line.is_run:
            others[line.schema] += 1
        elif line.state in TERMINAL:
            ends[line.run_id] += 1
            states[line.state] += 1
            if line.state == State.FAILED:
                failures[line.reason.partition(":")[0]] += 1
    known = set(accepted)
    return Ledger(
        tasks=len(known),
        lost=tuple(sorted(known - set(ends))),
        doubled=tuple(sorted(run for run, count in ends.items() if count > 1)),
        foreign=tuple(sorted(set(ends) - known)),
        states=dict(states),
        failures=dict(failures),
        conflicts=dict(conflicts),
        others=dict(others),
    )


def chain_faults(exit_code: int, output: str) -> list[str]:
    """What `replay evidence verify --json` says is wrong, in words."""
    try:
        report = json.loads(output)
    except ValueError:
        return [f"`replay evidence verify` ended with code {exit_code} and no report: {output[-500:]}"]
    if report.get("ok") is True and exit_code == 0:
        return []
    return [f"the chain does not verify (exit code {exit_code}): {json.dumps(report, sort_keys=True)[:500]}"]


def broker_faults(held: Mapping[str, Collection[str]], leases: Mapping[str, int]) -> list[str]:
    """What still lies in the broker once all runs have ended, in words."""
    return [f"{len(runs)} runs are still named in {key}" for key, runs in sorted(held.items())] + [
        f"{count} leases are still held in {key}" for key, count in sorted(leases.items())
    ]
