from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evidence.export import CSV_COLUMNS, Chosen, lines, to_csv, to_jsonl, to_parquet
from evidence.log import EvidenceLog
from replay.errors import ConfigurationError, EvidenceDamaged

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def log(path: Path, run_record: Make) -> Path:
    """Six runs over six days in two batches, and a dead letter, in several segments."""
    with EvidenceLog.open(path, segment_bytes=700) as log:
        for n in range(6):
            record = run_record(n, "accepted" if n % 2 else "rejected", batch_id=f"batch_{n // 3}")
            log.append([record | {"recorded_at": f"2026-11-{20 + n}T12:00:00+00:00", "reason": 'a "b", c\nd'}])
        log.append([{"schema": "replay_dead.v1", "id": "dead_1", "queue": "q"}])
    return path


def _ids(log: Path, chosen: Chosen) -> list[str]:
    return [str(line.record["id"]) for line in lines(log, chosen)]


def test_what_is_chosen(log: Path) -> None:
    """Batch, state and time narrow it down, one by one and together; without them it is everything."""
    assert len(_ids(log, Chosen())) == 7
    assert _ids(log, Chosen(batch="batch_1")) == ["att_3", "att_4", "att_5"]
    assert _ids(log, Chosen(batch="batch")) == []
    assert _ids(log, Chosen(states=frozenset({"accepted"}))) == ["att_1", "att_3", "att_5"]
    assert _ids(log, Chosen(since=datetime(2026, 11, 24, 12, tzinfo=UTC))) == ["att_4", "att_5"]
    assert _ids(log, Chosen(since=datetime.fromisoformat("2026-11-24T13:30+01:00"))) == ["att_5"]
    assert _ids(log, Chosen(since=datetime.fromisoformat("2026-11-25"))) == ["att_5"]
    assert _ids(log, Chosen("batch_0", frozenset({"rejected", "failed"}))) == ["att_0", "att_2"]


def test_lines_stay_what_they_are(log: Path) -> None:
    """As JSONL the lines are the log's own bytes."""
    out = io.BytesIO()
    assert to_jsonl(lines(log, Chosen()), out) == 7
    closed = b"".join(file.read_bytes() for file in sorted(log.parent.glob("*.segments/0*")))
    assert out.getvalue() == closed + log.read_bytes()


def test_a_table_for_spreadsheets(log: Path) -> None:
    """As CSV each record is a row under the same head, and what it has not is empty."""
    out = io.BytesIO()
    assert to_csv(lines(log, Chosen()), out) == 7
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode())))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["seq"] for row in rows] == [str(n) for n in range(1, 8)]
    assert (rows[1]["state"], rows[1]["terminal"], rows[1]["custom_id"], rows[1]["tier"]) == (
        "accepted",
        "1",
        "task-1",
        "",
    )
    assert rows[6]["run_id"] == ""


def test_a_table_for_programs(log: Path) -> None:
    """As Parquet the columns have their types, and each record is there whole."""
    pq = pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    assert to_parquet(lines(log, Chosen(batch="batch_1")), out) == 3
    table = pq.read_table(io.BytesIO(out.getvalue()))
    assert table.column_names == [*CSV_COLUMNS, "record"]
    assert {str(table.schema.field(name).type) for name in ("seq", "prompt_tokens")} == {"int64"}
    rows = table.to_pylist()
    assert [(row["id"], row["terminal"], row["tier"]) for row in rows] == [(f"att_{n}", True, None) for n in (3, 4, 5)]
    assert json.loads(rows[0]["record"])["reason"] == 'a "b", c\nd'
    empty = io.BytesIO()
    assert to_parquet(lines(log, Chosen(batch="none")), empty) == 0
    assert pq.read_table(io.BytesIO(empty.getvalue())).num_rows == 0


def test_without_pyarrow(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is not installed the error says how to get it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match="pyarrow") as raised:
        to_parquet(lines(log, Chosen()), io.BytesIO())
    assert "replay-audit[export]" in raised.value.hint


def test_damage_ends_an_export(log: Path) -> None:
    """A line that cannot be read is told with its file; half a line at the end is not there yet."""
    data = log.read_bytes()
    log.write_bytes(data + b'{"half')
    assert len(_ids(log, Chosen())) == 7
    log.write_bytes(b"\xff" + data[1:])
    with pytest.raises(EvidenceDamaged, match=rf"{log} is damaged at byte 0 \(line 1\)"):
        _ids(log, Chosen())
