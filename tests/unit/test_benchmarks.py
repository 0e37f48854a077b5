"""The registry of benchmarks and the form of its results; nothing is measured here."""

from __future__ import annotations

import importlib
import json
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import registry
from benchmarks.registry import AREAS, FIELDS, Metric, Run

METRIC = Metric("area.what", 1234.5678, 200.0, "tasks/s", "Counted. Baseline: counted as well.", ">= 2x")


def test_an_entry_has_exactly_the_documented_fields() -> None:
    """Numbers have four digits, the ratio is that of the full numbers, and the time has a zone."""
    entry = METRIC.wire()
    assert tuple(entry) == FIELDS
    assert (entry["value"], entry["baseline"], entry["ratio"]) == (1235, 200, 6.173)
    assert datetime.fromisoformat(entry["at"]).tzinfo is not None
    assert "Python" in entry["machine"]


@pytest.mark.parametrize("name", AREAS)
def test_each_area_is_a_module_that_measures(name: str) -> None:
    """`AREAS` names nothing that is missing."""
    assert callable(importlib.import_module(f"benchmarks.{name}").measure)


def test_alternating_takes_turns_and_gives_the_medians() -> None:
    """Every second round goes backwards."""
    order: list[str] = []

    def arm(name: str, values: list[float]) -> float:
        order.append(name)
        return values.pop(0)

    first, second = [3.0, 1.0, 2.0], [30.0, 10.0, 50.0]
    assert registry.alternate(3, lambda: arm("a", first), lambda: arm("b", second)) == (2.0, 30.0)
    assert "".join(order) == "abbaab"


def test_new_numbers_replace_their_own_and_leave_the_others(tmp_path: Path) -> None:
    """A run of some areas keeps what the file says of the rest; an entry of another form is dropped."""
    path = tmp_path / "results" / "latest.json"
    other = METRIC.wire() | {"metric": "other.what"}
    assert registry.load(path) == []
    registry.store(path, [METRIC.wire() | {"value": 1.0}, other])
    registry.store(path, registry.merge(registry.load(path), [METRIC.wire()]))
    values = {entry["metric"]: entry["value"] for entry in registry.load(path)}
    assert values == {"area.what": 1235, "other.what": 1235}
    path.write_text(json.dumps([{"metric": "of an older form"}]))
    assert registry.load(path) == []


def test_a_quick_run_scales_down_and_places_are_new(tmp_path: Path) -> None:
    """Two rounds never share a folder."""
    assert Run(quick=True, folder=tmp_path).count(100, 10) == 10
    run = Run(quick=False, folder=tmp_path)
    assert run.count(100, 10) == 100
    assert run.place("round").is_dir()
    with pytest.raises(FileExistsError):
        run.place("round")


def test_the_command_prints_what_it_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json it is the entries; an area that fails is named, and the exit code says so."""

    class Working:
        @staticmethod
        def measure(_: Run) -> list[Metric]:
            return [METRIC]

    class Broken:
        @staticmethod
        def measure(_: Run) -> list[Metric]:
            raise RuntimeError("no broker")

    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(registry, "area", {"path": Working, "gate": Broken}.__getitem__)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "gate,path", "--json"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "gate failed: RuntimeError: no broker" in said.err
    assert json.loads(said.out) == registry.load(tmp_path / "latest.json")
    assert [entry["metric"] for entry in json.loads(said.out)] == ["area.what"]


def test_the_table_names_every_metric_and_how_it_was_measured() -> None:
    """One row for each, then the machine, then the sentences."""
    text = command.table([(METRIC, METRIC.wire())])
    assert "| area.what | 1,235 | 200 | tasks/s | 6.173 | >= 2x |" in text
    assert "area.what: Counted." in text
    assert registry.machine() in text
