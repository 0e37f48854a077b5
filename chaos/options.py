"""What one run of the chaos suite is to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from chaos.plan import LOSES_BY_DESIGN, Kind

CHILDREN = 2
"""Of each local worker."""

Transport = Literal["ours", "stock"]

# Small, so that the log is rotated under fire.
_SEGMENT_BYTES = 1024 * 1024

# Share of the time of the faults in which there is work, if nothing were killed; mean seconds of a slow answer.
_BUSY = 0.5
_SLOW_S = 1.5


@dataclass(frozen=True)
class Options:
    """One run.

    Attributes:
        seed: Of everything that is random here.
        tasks: How many are submitted, in several batches.
        duration_s: How long faults fall.
        every_s: Mean seconds between two of them.
        kinds: Faults to draw from.
        visibility_timeout_s: None is the product's; the other times of the system are shortened with it.
        transport: `stock` is Celery's own, for comparison.
        reconciler: Without it, what the transport loses is counted before the reconciler is let in.
        local: Local workers, of two children each. The last one is connected through the link.
        escalation: Escalation workers.
        writers: Evidence writers; all but one stand by.
        stall_s: A run without any progress for this long has failed.
        keep: Keep the data folder also where all is well.
    """

    seed: int
    tasks: int = 5000
    duration_s: float = 180.0
    every_s: float = 3.0
    kinds: frozenset[Kind] = frozenset(Kind)
    visibility_timeout_s: int | None = None
    transport: Transport = "ours"
    reconciler: bool = True
    local: int = 2
    escalation: int = 2
    writers: int = 2
    stall_s: float = 240.0
    keep: bool = False

    @property
    def reconciles(self) -> bool:
        """Whether the reconciler helps from the start."""
        return self.reconciler and self.transport == "ours"

    @property
    def drawn(self) -> frozenset[Kind]:
        """The kinds that this run really draws from: a count of losses needs faults that need not lose."""
        return self.kinds if self.reconciles else self.kinds - LOSES_BY_DESIGN

    @property
    def parts(self) -> int:
        """Batches: large enough for several commands each where there is enough, so that a kill may fall in between."""
        return min(12, max(3, self.tasks // 600))

    @property
    def slow(self) -> float:
        """The share of slow answers with which the local workers need most of the time of the faults for all tasks."""
        seconds = _BUSY * self.duration_s * self.local * CHILDREN / self.tasks
        return min(0.5, max(0.02, seconds / _SLOW_S))

    def settings(self) -> Mapping[str, object]:
        """The settings that differ from the product's, named as in `Settings`."""
        chosen: dict[str, object] = {"evidence_segment_bytes": _SEGMENT_BYTES}
        if self.visibility_timeout_s is not None:
            short = self.visibility_timeout_s
            chosen |= {"visibility_timeout_s": short, "reconcile_interval_s": short, "writer_lease_s": min(10, short)}
        if self.transport == "stock":
            chosen["atomic_claim"] = "false"
        return chosen
