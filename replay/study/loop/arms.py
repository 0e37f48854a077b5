"""The arms of the study of the loop: what each of them does with the answers of its own work."""

from __future__ import annotations

from enum import StrEnum


class LoopArm(StrEnum):
    """How a corpus goes on from round to round; gate, models, seed and tasks are the same in all of them."""

    LIVE = "live"
    FROZEN = "frozen"
    PLACEBO = "placebo"
    LARGE_ONLY = "large-only"
    NO_RETRIEVAL = "no-retrieval"

    @property
    def label(self) -> str:
        """As tables and plots call it."""
        return _LABELS[self]

    @property
    def admits(self) -> bool:
        """Does it take answers into its corpus?"""
        return self in {LoopArm.LIVE, LoopArm.LARGE_ONLY}

    @property
    def works(self) -> bool:
        """Does it go through rounds of work? Without retrieval nothing could change from one to the next."""
        return self is not LoopArm.NO_RETRIEVAL


_LABELS = {
    LoopArm.LIVE: "live loop",
    LoopArm.FROZEN: "frozen corpus",
    LoopArm.PLACEBO: "placebo records",
    LoopArm.LARGE_ONLY: "large model's answers only",
    LoopArm.NO_RETRIEVAL: "no retrieval",
}


class Phase(StrEnum):
    """What a task is asked for: work, of which answers may be admitted, or the sealed probe, of which none ever is."""

    WORK = "work"
    PROBE = "probe"
