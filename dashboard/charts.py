"""Series for charts, as the page's script draws them: times, and of each line a label, a colour's name, its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evidence.views.period import Series, Sum
from replay.contracts import Tier

MOST_RULES = 5


@dataclass(frozen=True)
class Line:
    """One series. `colour` is one that the style sheet has; None among the values is a gap."""

    label: str
    colour: str
    values: tuple[float | None, ...]

    def wire(self) -> dict[str, Any]:
        """For the script."""
        return {"label": self.label, "colour": self.colour, "values": self.values}


def chart(kind: str, unit: str, x: Sequence[int], lines: Sequence[Line]) -> dict[str, Any]:
    """A chart. `kind` is `stack` (bars on each other) or `line`; `unit` is written after each value."""
    return {"kind": kind, "unit": unit, "x": tuple(x), "lines": [line.wire() for line in lines]}


def overview(found: Series, rules: dict[str, list[int]]) -> dict[str, dict[str, Any]]:
    """The charts of the overview."""
    steps = range(len(found.starts))
    local, large = (found.tiers.get(tier) or tuple(Sum() for _ in steps) for tier in Tier)
    whole = [_both(found, step) for step in steps]
    per_min = 60 / found.step_s

    def line(label: str, colour: str, values: Sequence[float | None]) -> Line:
        return Line(label, colour, tuple(None if value is None else round(value, 3) for value in values))

    return {
        "throughput": chart(
            "stack",
            "/min",
            found.starts,
            [
                line("accepted", "ok", [one.accepted * per_min for one in whole]),
                line("rejected", "bad", [one.rejected * per_min for one in whole]),
                line("failed", "dim", [(one.failed + one.cancelled) * per_min for one in whole]),
            ],
        ),
        "latency": chart(
            "line",
            "s",
            found.starts,
            [
                line("local p50", "blue", [_seconds(one, 0.5) for one in local]),
                line("local p95", "blue-dash", [_seconds(one, 0.95) for one in local]),
                line("large p50", "violet", [_seconds(one, 0.5) for one in large]),
                line("large p95", "violet-dash", [_seconds(one, 0.95) for one in large]),
            ],
        ),
        "tokens": chart(
            "stack",
            "/s",
            found.starts,
            [
                line("read", "blue", [(one.prompt_tokens - one.cached_tokens) / found.step_s for one in whole]),
                line("cached", "dim", [one.cached_tokens / found.step_s for one in whole]),
                line("written", "accent", [one.completion_tokens / found.step_s for one in whole]),
            ],
        ),
        "escalation": chart(
            "line",
            "%",
            found.starts,
            [
                line("escalated", "warn", [_share(one.escalated, one.judged) for one in local]),
                line("accepted by the large model", "violet", [_share(one.accepted, one.judged) for one in large]),
            ],
        ),
        "reasons": reasons(found, rules),
    }


def gate(found: Series, rules: dict[str, list[int]]) -> dict[str, dict[str, Any]]:
    """The charts of the gate's page."""
    steps = range(len(found.starts))
    lines = []
    for tier, label, colour in ((Tier.LOCAL, "local", "blue"), (Tier.ESCALATION, "large model", "violet")):
        sums = found.tiers.get(tier) or tuple(Sum() for _ in steps)
        shares = tuple(_share(one.judged - one.accepted, one.judged) for one in sums)
        lines.append(Line(label, colour, tuple(None if share is None else round(share, 1) for share in shares)))
    return {"rejected": chart("line", "%", found.starts, lines), "reasons": reasons(found, rules)}


def reasons(found: Series, rules: dict[str, list[int]]) -> dict[str, Any]:
    """Which rules objected, over time: the most frequent ones by name, the others together."""
    ranked = sorted(rules.items(), key=lambda rule: (-sum(rule[1]), rule[0]))
    shown = [Line(rule, f"mix-{number}", tuple(counts)) for number, (rule, counts) in enumerate(ranked[:MOST_RULES])]
    if others := [counts for _, counts in ranked[MOST_RULES:]]:
        shown.append(Line("others", "dim", tuple(map(sum, zip(*others, strict=True)))))
    return chart("stack", "", found.starts, shown)


def _both(found: Series, step: int) -> Sum:
    total = Sum()
    for sums in found.tiers.values():
        total.add(sums[step])
    return total


def _seconds(one: Sum, share: float) -> float | None:
    value = one.percentile(share)
    return None if value is None else value / 1000


def _share(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
