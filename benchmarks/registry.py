"""What a benchmark gives, and which benchmarks there are.

A new area is a module here with `measure(run: Run) -> Iterator[Metric]` and its name in `AREAS`.
"""

from __future__ import annotations

import importlib
import json
import platform
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from replay.study import conditions

AREAS = (
    "path", "model", "prefix", "evidence", "submit", "recovery", "chaos", "scale", "carry", "retrieval", "gate",
    "dashboard", "peers",
)  # fmt: skip
"""In the order in which they run."""

RESULTS = Path(__file__).parent / "results"
FIELDS = ("metric", "value", "baseline", "ratio", "unit", "machine", "at", "how")


@dataclass(frozen=True)
class Run:
    """How much is measured.

    Attributes:
        quick: A tenth of the work: for a look while something is changed, not for a number to quote.
        folder: An empty folder on a real disk, removed afterwards.
    """

    quick: bool
    folder: Path

    def count(self, full: int, quick: int) -> int:
        """So many, or so few."""
        return quick if self.quick else full

    def place(self, name: str) -> Path:
        """A new folder of this name."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True)
class Metric:
    """One measured number.

    Attributes:
        metric: `<area>.<what>`.
        value: Ours.
        baseline: What it is compared with, in the same unit and run.
        unit: Of both; a ratio of rates is "more is better", one of times the other way round.
        how: What was measured and what the baseline is, in a sentence or two.
        reach: What DESIGN wants, as words; shown, not stored.
    """

    metric: str
    value: float
    baseline: float
    unit: str
    how: str
    reach: str = ""

    @property
    def ratio(self) -> float:
        """Value by baseline."""
        return self.value / self.baseline if self.baseline else float("inf")

    def wire(self) -> dict[str, Any]:
        """As it is stored, four digits of each number."""
        return {
            "metric": self.metric,
            "value": _short(self.value),
            "baseline": _short(self.baseline),
            "ratio": _short(self.ratio),
            "unit": self.unit,
            "machine": machine(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "how": self.how,
        }


class Area(Protocol):
    """A module of benchmarks."""

    def measure(self, run: Run) -> Iterator[Metric]:
        """Measure; each metric is given as soon as it is there."""
        ...


def area(name: str) -> Area:
    """The module of an area, loaded only now: the others may need what is not installed."""
    return cast("Area", importlib.import_module(f"benchmarks.{name}"))


def alternate(rounds: int, *arms: Callable[[], float]) -> tuple[float, ...]:
    """Measure all arms in turns, so that a slow minute of the machine meets each of them; the medians.

    Every second round goes backwards: what an arm leaves behind (heat, a full cache) does not always meet the same one.
    """
    taken: list[list[float]] = [[] for _ in arms]
    for number in range(rounds):
        order = range(len(arms)) if number % 2 == 0 else reversed(range(len(arms)))
        for arm in order:
            taken[arm].append(arms[arm]())
    return tuple(statistics.median(values) for values in taken)


def merge(old: Sequence[dict[str, Any]], new: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results file with new numbers in it: what was not measured again stays, under its own date."""
    by_name = {entry["metric"]: entry for entry in old}
    by_name.update({entry["metric"]: entry for entry in new})
    return list(by_name.values())


def load(path: Path) -> list[dict[str, Any]]:
    """The entries of a results file; none where there is none."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [entry for entry in entries if set(entry) == set(FIELDS)]


def store(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Write a results file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@cache
def machine() -> str:
    """The machine in words: cores, processor, system and Python."""
    return f"{conditions.machine()}, Python {platform.python_version()}"


def _short(number: float) -> float:
    return float(f"{number:.4g}")
