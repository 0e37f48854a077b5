"""`python -m benchmarks`: measure, print a table, and keep the numbers in `benchmarks/results/latest.json`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import registry
from benchmarks.registry import AREAS, RESULTS, Metric, Run


def main() -> None:
    """Run the areas that were asked for. One that fails is told and leaves the others alone; the exit code says it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure this machine.")
    parser.add_argument("--only", default=",".join(AREAS), help=f"areas, by commas: {','.join(AREAS)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work; kept in quick.json, not latest.json")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := sorted(set(wanted) - set(AREAS)):
        parser.error(f"no area {', '.join(unknown)}; there are {', '.join(AREAS)}")

    measured: list[tuple[Metric, dict[str, Any]]] = []
    failed = False
    for name in (name for name in AREAS if name in wanted):
        began = time.monotonic()
        # Not the system's temporary folder: it is often in memory, where an fsync costs nothing.
        with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as folder:  # noqa: S108  see above
            try:
                for metric in registry.area(name).measure(Run(options.quick, Path(folder))):
                    measured.append((metric, metric.wire()))
                    print(f"{metric.metric}: {metric.value:.4g} {metric.unit}", file=sys.stderr)
            except Exception as error:  # noqa: BLE001  whatever it is, the other areas can still be measured
                failed = True
                print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)

    entries = [entry for _, entry in measured]
    path = RESULTS / ("quick.json" if options.quick else "latest.json")
    registry.store(path, registry.merge(registry.load(path), entries))
    print(json.dumps(entries, indent=1, ensure_ascii=False) if options.json else table(measured))
    sys.exit(failed)


def table(measured: list[tuple[Metric, dict[str, Any]]]) -> str:
    """The numbers as Markdown, and below it how each was measured."""
    lines = ["| metric | value | baseline | unit | ratio | reach |", "|---|---|---|---|---|---|"]
    for metric, entry in measured:
        numbers = f"{entry['value']:,g} | {entry['baseline']:,g} | {metric.unit} | {entry['ratio']:g}"
        lines.append(f"| {metric.metric} | {numbers} | {metric.reach} |")
    lines += ["", registry.machine(), ""]
    lines += [f"{metric.metric}: {metric.how}" for metric, _ in measured]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
