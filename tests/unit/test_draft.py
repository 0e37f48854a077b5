"""What is written by hand for speed is byte for byte what the general way gives."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from evidence import durable
from producer import draft, manifest, repeats
from producer.draft import Draft
from producer.line import TaskLine
from producer.manifest import Header
from producer.repeats import Repeat
from producer.tasks import StoredTasks, run_id_of
from replay import identity
from replay.contracts import ReplayTask, TaskOptions
from replay.errors import AppendFailed

ODD = 'a "quote", a \\ backslash,\ta tab\nand a line \u2028 \x7f \x00 é 😀 ,"run_id":"run_000000000000000000000000"'


def lines() -> list[TaskLine]:
    """Lines with everything that may stand in one."""
    return [
        TaskLine(custom_id="plain", task="Verify that it holds."),
        TaskLine(custom_id=ODD, task=ODD, checklist=("one", ODD), tags=(ODD, "")),
        TaskLine(custom_id="options", task="x", options=TaskOptions(allow_escalation=False, repeat=3)),
        TaskLine(custom_id="other options", task="x", options=TaskOptions(retrieval=False, reuse=False)),
    ]


@pytest.mark.parametrize("in_memory", [draft._IN_MEMORY_BYTES, 300])
@pytest.mark.parametrize("nonce", ["", "again"])
def test_a_draft_is_the_planned_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int, nonce: str
) -> None:
    """The same id and the same tasks, whether it stays in memory or not; nothing of it is left afterwards."""
    monkeypatch.setattr(draft, "_IN_MEMORY_BYTES", in_memory)
    planned = manifest.plan(lines(), source="", corpus_version=None, created_at="", nonce=nonce)
    with Draft(tmp_path / "batches") as made:
        for line in lines():
            made.add(line)
        assert (made.count, made.batch_id(nonce)) == (4, planned.batch_id)
        assert list(made.lines(planned.batch_id)) == [identity.canonical_json(task.wire()) for task in planned.tasks]
    assert list(tmp_path.rglob("*.*")) == []


def test_the_fields_of_a_task_are_the_known_ones() -> None:
    """A new one would have to be written by the draft too."""
    names = {"schema_", "run_id", "batch_id", "custom_id", "task_hash", "text", "checklist", "tags", "options"}
    assert set(ReplayTask.model_fields) == names
    assert set(TaskLine.model_fields) == {"custom_id", "task", "checklist", "tags", "options"}


def test_a_disk_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft that has to leave memory and cannot says where it wanted to."""
    monkeypatch.setattr(draft, "_IN_MEMORY_BYTES", 10)

    def refuse(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "make_folders", refuse)
    with Draft(tmp_path) as made, pytest.raises(AppendFailed, match=r"cannot be kept in .*No space left"):
        made.add(lines()[0])


def test_a_disk_that_is_full_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last part is written when the tasks are read again: refused with a hint then, and no error on closing."""
    monkeypatch.setattr(draft, "_IN_MEMORY_BYTES", 1)

    def full(**_: object) -> IO[bytes]:
        return Path("/dev/full").open("r+b", buffering=1 << 20)

    monkeypatch.setattr("producer.draft.tempfile.TemporaryFile", full)
    with Draft(tmp_path) as made:
        made.add(lines()[0])
        with pytest.raises(AppendFailed, match=r"cannot be kept in .*No space left") as refused:
            made.batch_id()
    assert "nothing was accepted" in refused.value.hint


# --- the tasks of a manifest -----------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> manifest.Batch:
    """The batch of these lines, on the disk."""
    batch = manifest.plan(lines(), source="x", corpus_version=None, created_at="2026-01-01")
    manifest.write(batch, tmp_path)
    return manifest.load(tmp_path, batch.batch_id)


def test_stored_tasks_are_a_sequence(stored: manifest.Batch) -> None:
    """Counted, iterated again and again, taken by place and by slice, as the tasks that were planned."""
    planned = manifest.plan(lines(), source="x", corpus_version=None, created_at="2026-01-01").tasks
    assert isinstance(stored.tasks, StoredTasks)
    assert (len(stored.tasks), stored.tasks[0], stored.tasks[-1]) == (4, planned[0], planned[3])
    assert stored.tasks[1:3] == tuple(planned[1:3])
    assert stored.tasks[::-1] == tuple(planned[::-1])
    assert stored.tasks == planned
    assert stored.tasks != planned[:3]
    assert [run_id_of(line) for _, line in stored.tasks.lines()] == [task.run_id for task in planned]
    with pytest.raises(IndexError):
        stored.tasks[4]


def test_repeated_runs_stand_in_the_place_of_the_first_ones(tmp_path: Path, stored: manifest.Batch) -> None:
    """Also of one that was repeated twice; the others stay as they are."""
    first = stored.tasks[1]
    second = repeats.repeated(first)
    third = repeats.repeated(second)
    folder = manifest.folder(tmp_path, stored.batch_id)
    made = [
        Repeat(letter_id="", run_id=task.run_id, task=repeats.repeated(task), recorded_at="")
        for task in (first, second)
    ]
    assert repeats.add_all(folder, made) == 2
    again = manifest.load(tmp_path, stored.batch_id)
    assert again.superseded == (first.run_id, second.run_id)
    assert list(again.tasks) == [stored.tasks[0], third, *stored.tasks[2:]]
    assert repeats.add_all(folder, []) == 0
    assert len(repeats.read(folder)) == 2


def test_the_header_is_written_over_in_its_place(tmp_path: Path) -> None:
    """Its length is known before its hash is, whatever stands in it."""
    head = Header(
        batch_id="batch_0", created_at="now", source='é"x', count=2, corpus_version=None, tasks_sha256="0" * 64
    )
    manifest.write_lines(head, (b"{}" for _ in range(2)), tmp_path)
    written = (manifest.folder(tmp_path, "batch_0") / "manifest.jsonl").read_bytes()
    found = manifest.header(tmp_path, "batch_0")
    assert written == identity.canonical_json(found.wire()) + b"\n{}\n{}\n"
    assert found.tasks_sha256 != head.tasks_sha256
