from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from evidence.index import index_path
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from replay.contracts import State
from replay.errors import EvidenceDamaged

Make = Callable[..., dict[str, Any]]


def _records(make: Make) -> list[dict[str, Any]]:
    attempt = {
        "tier": "local",
        "generation": {
            "model": "small",
            "usage": {"prompt_tokens": 11, "completion_tokens": 5, "cached_tokens": None},
        },
        "answer": {"verdict": "fail"},
        "timings": {"generate_ms": 12},
    }
    return [
        make(1, "escalated", id="att_1a", attempt=attempt),
        make(2, "accepted"),
        make(3, "escalated"),
        make(1, "rejected", id="att_1b"),
        make(4, "accepted", batch_id="batch_2"),
        {"schema": "replay_dead.v1", "id": "dead_1"},
    ]


@pytest.fixture(params=["index", "no index"])
def reader(request: pytest.FixtureRequest, path: Path, run_record: Make) -> EvidenceReader:
    """A reader of a small log, with and without an index beside it."""
    with EvidenceLog.open(path) as log:
        log.append(_records(run_record))
    if request.param == "no index":
        index_path(path).unlink()
    return EvidenceReader(path)


def test_questions(reader: EvidenceReader, run_record: Make) -> None:
    """The index and the bare log give the same answers."""
    found = reader.get("att_1b")
    assert found is not None
    assert found.record == run_record(1, "rejected", id="att_1b")
    assert found.chain.seq == 4
    assert reader.get("nobody") is None
    assert [entry.record["id"] for entry in reader.run("run_1")] == ["att_1a", "att_1b"]
    assert reader.run("nobody") == []
    states = reader.batch_states("batch_1")
    assert {run: row.state for run, row in states.items()} == {
        "run_1": "rejected",
        "run_2": "accepted",
        "run_3": "escalated",
    }
    assert reader.batch_counts("batch_1") == {
        State.ESCALATED: 1,
        State.ACCEPTED: 1,
        State.REJECTED: 1,
        State.FAILED: 0,
        State.CANCELLED: 0,
    }
    assert reader.terminal_ids("batch_1") == {"run_1", "run_2"}
    assert [row.id for row in reader.tail(2)] == ["att_4", "dead_1"]
    assert len(reader.tail(100)) == 6


def test_rows(reader: EvidenceReader) -> None:
    """A row says what a dashboard asks, in its types."""
    row = reader.tail(6)[0]
    assert (row.seq, row.offset, row.id, row.schema) == (1, 0, "att_1a", "replay_run.v1")
    assert (row.run_id, row.batch_id, row.custom_id, row.tier) == ("run_1", "batch_1", "task-1", "local")
    assert (row.state, row.terminal, row.ruling, row.model) == ("escalated", False, "fail", "small")
    assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.generate_ms) == (11, 5, None, 12.0)


def test_iterate_goes_on_where_it_stopped(reader: EvidenceReader) -> None:
    """The end of an entry is where the next reading begins."""
    entries = list(reader.iterate())
    assert [entry.chain.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [entry.chain.seq for entry in reader.iterate(entries[3].end)] == [5, 6]


def test_a_log_that_does_not_exist_yet(path: Path) -> None:
    """Before the first record every question has an empty answer, and reading makes no file."""
    reader = EvidenceReader(path)
    assert reader.get("a") is None
    assert reader.run("a") == []
    assert reader.batch_states("b") == {}
    assert set(reader.batch_counts("b").values()) == {0}
    assert reader.terminal_ids("b") == set()
    assert reader.tail(5) == []
    assert list(reader.iterate()) == []
    stop = Event()
    stop.set()
    assert list(reader.follow(stop=stop)) == []
    assert not path.parent.exists()


def test_follow_sees_what_is_appended(path: Path, run_record: Make) -> None:
    """Following yields each new line once, from the present end on, and never half a line."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(1)])
        stop = Event()
        from_the_end = EvidenceReader(path).end()
        following = EvidenceReader(path).follow(0, poll_s=0.001, stop=stop)
        assert next(following).record["id"] == "att_1"
        log.append([run_record(2), run_record(3)])
        assert next(following).record["id"] == "att_2"
        assert next(following).record["id"] == "att_3"
        later = EvidenceReader(path).follow(from_the_end, stop=stop)
        assert next(later).record["id"] == "att_2"
        with path.open("ab") as file:
            file.write(b'{"half')
        stop.set()
        assert list(following) == []


def test_follow_notices_a_cut_log(path: Path, run_record: Make) -> None:
    """A log that gets shorter than what was read of it is damaged."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(1), run_record(2)])
    following = EvidenceReader(path).follow(0, poll_s=0.001)
    next(following)
    next(following)
    path.write_bytes(b"")
    with pytest.raises(EvidenceDamaged, match="cut"):
        next(following)


def test_damage_is_named(path: Path, run_record: Make) -> None:
    """A reader that meets damage says where, whether the index led it there or not."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(1), run_record(2)])
    data = path.read_bytes()
    at = data.index(b"att_2")
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    with pytest.raises(EvidenceDamaged, match=rf"byte {at} \(line 2\)"):
        EvidenceReader(path).get("att_2")
    with pytest.raises(EvidenceDamaged, match=rf"byte {at} \(line 2\)"):
        list(EvidenceReader(path).iterate())
    path.write_bytes(data.replace(b"att_2", b"att_9"))
    with pytest.raises(EvidenceDamaged, match="att_2"):
        EvidenceReader(path).get("att_2")
    index_path(path).unlink()
    with pytest.raises(EvidenceDamaged, match="line 2"):
        EvidenceReader(path).get("att_2")


def test_a_damaged_index_is_no_answer(path: Path, run_record: Make) -> None:
    """Where the index cannot be read the log is."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(n) for n in range(200)])
    data = bytearray(index_path(path).read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    index_path(path).write_bytes(data)
    assert len(EvidenceReader(path).terminal_ids("batch_1")) == 200


def test_an_index_that_comes_to_be_is_never_behind_what_was_told(
    path: Path, run_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is read where there is no index; one that appears meanwhile, a group behind, gives the answer."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(1, "accepted")])
    behind = index_path(path).read_bytes()
    with EvidenceLog.open(path) as log:
        log.append([run_record(2, "accepted")])
    index_path(path).unlink()
    reader = EvidenceReader(path)
    scan = reader._scan

    def slow_scan() -> Iterator[tuple[Any, ...]]:
        yield from scan()
        index_path(path).write_bytes(behind)

    monkeypatch.setattr(reader, "_scan", slow_scan)
    told = len(reader.tail(9))
    assert len(reader.tail(9)) >= told
    assert told == 1
