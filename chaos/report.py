"""What a run shows at its end: a table for people, and the same numbers as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaos import recovery
from chaos.story import Outcome


def value(outcome: Outcome) -> dict[str, Any]:
    """The numbers of a run, as `--json` prints them."""
    ledger, options = outcome.ledger, outcome.options
    attended, unattended = (
        None if p95 is None else round(p95, 2)
        for p95 in map(recovery.p95, (outcome.recoveries.attended, outcome.recoveries.unattended))
    )
    metrics: dict[str, float | None] = {
        "chaos.lost": len(ledger.lost) if ledger else None,
        "chaos.doubled": len(ledger.doubled) if ledger else None,
        "chaos.conflicts": sum(ledger.conflicts.values()) if ledger else None,
        "chaos.unaccounted": outcome.unaccounted,
        "recovery.p95_s": attended,
        "recovery.unattended_p95_s": unattended,
        "recovery.bound_s": outcome.bound_s,
    }
    return {
        "seed": options.seed,
        "passed": outcome.passed,
        "problems": list(outcome.problems),
        "transport": options.transport,
        "scheduler": outcome.has_scheduler,
        "tasks": ledger.tasks if ledger else 0,
        "ends": dict(ledger.states) if ledger else {},
        "failed": dict(ledger.failures) if ledger else {},
        "conflicts": dict(ledger.conflicts) if ledger else {},
        "records": dict(ledger.others) if ledger else {},
        "faults": outcome.faults,
        "orphans": outcome.orphans,
        "recoveries": len(outcome.recoveries.attended),
        "unattended": len(outcome.recoveries.unattended),
        "seconds": round(outcome.seconds, 1),
        "metrics": metrics,
    }


def table(outcomes: Sequence[Outcome]) -> str:
    """All runs as Markdown: the faults by kind, then one row for each seed."""
    kinds = sorted({kind for outcome in outcomes for kind in outcome.faults})
    text = ["| fault | made |", "|---|---:|"]
    text += [f"| {kind} | {sum(outcome.faults.get(kind, 0) for outcome in outcomes)} |" for kind in kinds]
    text += [
        "",
        "| seed | transport | tasks | lost | doubled | conflicts | unaccounted | recoveries | p95 (bound) | wall | |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|---:|---|",
    ]
    text += [_row(outcome) for outcome in outcomes]
    for outcome in outcomes:
        told = value(outcome)
        ends = ", ".join(f"{count} {state}" for state, count in sorted(told["ends"].items()))
        failed = ", ".join(f"{count} {reason}" for reason, count in sorted(told["failed"].items()))
        text += ["", f"seed {outcome.options.seed}: {ends}" + (f"; failed: {failed}" if failed else "")]
    return "\n".join(text)


def failure(outcome: Outcome, tail: Sequence[str]) -> str:
    """What a person needs of a run that went wrong."""
    wrong = [f"seed {outcome.options.seed} went wrong:", *(f"  {problem}" for problem in outcome.problems)]
    return "\n".join([*wrong, "the end of its journal:", *tail, f"its data are kept in {outcome.folder}"])


def _row(outcome: Outcome) -> str:
    told = value(outcome)
    metrics = told["metrics"]

    def shown(name: str) -> str:
        return "-" if metrics[name] is None else f"{metrics[name]:g}"

    cells = [
        told["seed"],
        told["transport"] + ("" if outcome.has_scheduler else ", no scheduler"),
        told["tasks"],
        shown("chaos.lost"),
        shown("chaos.doubled"),
        shown("chaos.conflicts"),
        shown("chaos.unaccounted"),
        told["recoveries"],
        f"{shown('recovery.p95_s')} s ({shown('recovery.bound_s')} s)",
        f"{told['seconds']:.0f} s",
        "passed" if outcome.passed else "FAILED",
    ]
    return f"| {' | '.join(map(str, cells))} |"
