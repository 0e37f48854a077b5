"""`python -m chaos`: the real system under random faults, and the proof from files that nothing was lost or doubled."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence

from chaos import plan, report, story
from chaos.journal import Journal
from chaos.options import Options
from chaos.plan import Kind

_TAIL = 40


def main(words: Sequence[str] | None = None) -> int:
    """Make the runs that were asked for; 0 if all of them passed, 1 if not."""
    parser = _parser()
    asked = parser.parse_args(words)
    # The processes of a run get no setting of this shell, and neither does what looks at them.
    for name in [name for name in os.environ if name.startswith("REPLAY_")]:
        del os.environ[name]
    first = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1_000_000)
    try:
        kinds = plan.chosen(asked.only.split(",")) if asked.only else frozenset(Kind)
    except ValueError as error:
        parser.error(str(error))
    seeds = range(first, first + asked.seeds)
    _tell(f"seed {first}" + (f" to {seeds[-1]}" if len(seeds) > 1 else ""))
    outcomes = []
    for seed in seeds:
        options = Options(
            seed=seed,
            tasks=asked.tasks,
            duration_s=asked.minutes * 60,
            every_s=asked.every,
            kinds=kinds,
            visibility_timeout_s=asked.visibility_timeout,
            transport=asked.transport,
            reconciler=not asked.no_reconciler,
            local=asked.local,
            escalation=asked.escalation,
            writers=asked.writers,
            keep=asked.keep,
        )
        outcome = story.tell(options)
        outcomes.append(outcome)
        if not outcome.passed:
            journal = Journal(outcome.folder / "journal.txt", echo=False)
            _tell(report.failure(outcome, journal.tail(_TAIL)))
    shown = json.dumps([report.value(each) for each in outcomes], indent=1) if asked.json else report.table(outcomes)
    print(shown)  # noqa: T201  this command's result
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  this command's running output


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of everything that is random; by default a new one, which is printed")
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="so many runs, with seeds that follow")
    parser.add_argument("--tasks", type=int, default=5000, help="tasks of a run, in several batches")
    parser.add_argument("--minutes", type=float, default=3.0, metavar="M", help="how long faults fall")
    parser.add_argument("--every", type=float, default=3.0, metavar="S", help="mean seconds between two faults")
    parser.add_argument(
        "--only", default="", metavar="FAULT,…", help=f"faults to draw from, or their beginnings: {', '.join(Kind)}"
    )
    parser.add_argument(
        "--visibility-timeout",
        type=int,
        metavar="S",
        help="short leases (at least 5 s) for short runs; by default the product's, and a freeze outlasts them",
    )
    parser.add_argument(
        "--transport",
        choices=["ours", "stock"],
        default="ours",
        help="stock: Celery's own, to count what it loses before the reconciler is let in",
    )
    parser.add_argument(
        "--no-reconciler", action="store_true", help="count the same for our transport: no scheduler during the faults"
    )
    parser.add_argument("--local", type=int, default=2, help="local workers of two children each; one is on the link")
    parser.add_argument("--escalation", type=int, default=2, help="escalation workers")
    parser.add_argument("--writers", type=int, default=2, help="evidence writers; all but one stand by")
    parser.add_argument("--keep", action="store_true", help="keep the data folder also where all is well")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
