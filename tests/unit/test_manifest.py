from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from producer import manifest
from replay.contracts import TaskOptions
from replay.errors import EvidenceDamaged, InputError
from tests.batches import make_lines


def planned(**fields: Any) -> manifest.Batch:
    """A batch of three tasks."""
    given: dict[str, Any] = {"source": "tasks.jsonl", "corpus_version": "corpus_0", "created_at": "2026-01-01"}
    return manifest.plan(make_lines(), **(given | fields))


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    """A manifest gives back the batch, with all its tasks in order; nothing half-made stays beside it."""
    batch = planned()
    manifest.write(batch, tmp_path)
    assert manifest.load(tmp_path, batch.batch_id) == batch
    assert manifest.exists(tmp_path, batch.batch_id)
    assert [path.name for path in (tmp_path / batch.batch_id).iterdir()] == ["manifest.jsonl"]


def test_the_same_lines_are_the_same_batch_whatever_the_file_is_called() -> None:
    """Name, time and corpus are no part of a batch's identity."""
    assert planned().batch_id == planned(source="copy.jsonl", created_at="2027", corpus_version=None).batch_id


def test_what_changes_the_work_changes_the_batch() -> None:
    """A nonce, other options, another text or order each make another batch."""
    fields: dict[str, Any] = {"source": "", "corpus_version": None, "created_at": ""}
    lines = make_lines()
    others = [
        manifest.plan(lines, nonce="again", **fields),
        manifest.plan(make_lines(options=TaskOptions(allow_escalation=False)), **fields),
        manifest.plan(make_lines(checklist=("one",)), **fields),
        manifest.plan(lines[::-1], **fields),
        manifest.plan(lines[:2], **fields),
        manifest.plan(lines, **fields),
    ]
    assert len({batch.batch_id for batch in others}) == len(others)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text.replace("claim 1", "claim 9"), id="a task changed"),
        pytest.param(lambda text: text[: text.rindex("{")], id="the last task lost"),
        pytest.param(lambda text: text.replace('"count":3', '"count":2'), id="the count changed"),
        pytest.param(lambda text: text[:40], id="cut in the header"),
        pytest.param(lambda text: text.replace("replay_batch.v1", "replay_batch.v9"), id="another schema"),
        pytest.param(lambda _: "", id="empty"),
    ],
)
def test_a_changed_manifest_is_refused(tmp_path: Path, damage: object) -> None:
    """What is not byte for byte what was written is refused, with what to do."""
    batch = planned()
    manifest.write(batch, tmp_path)
    path = tmp_path / batch.batch_id / "manifest.jsonl"
    path.write_text(damage(path.read_text()))  # type: ignore[operator]  # a function of the table above
    with pytest.raises(EvidenceDamaged) as refused:
        manifest.load(tmp_path, batch.batch_id)
    assert "submit the file again" in refused.value.hint


def test_the_header_says_what_it_is(tmp_path: Path) -> None:
    """The first line can be read by itself, and is in canonical form."""
    batch = planned()
    manifest.write(batch, tmp_path)
    first = (tmp_path / batch.batch_id / "manifest.jsonl").read_text().splitlines()[0]
    header = json.loads(first)
    assert (header["schema"], header["count"], header["source"]) == ("replay_batch.v1", 3, "tasks.jsonl")
    assert list(header) == sorted(header)


def test_finding_a_batch_by_its_beginning(tmp_path: Path) -> None:
    """An id, its beginning or nothing (the newest) finds a batch; what is ambiguous or absent is explained."""
    with pytest.raises(InputError, match="There is no batch in"):
        manifest.find(tmp_path, None)
    first, second = planned(), planned(nonce="again")
    manifest.write(first, tmp_path)
    manifest.write(second, tmp_path)
    # Both may have been written within one step of the clock that dates files.
    os.utime(manifest.folder(tmp_path, first.batch_id) / "manifest.jsonl", ns=(1_000, 1_000))
    assert manifest.find(tmp_path, None) == second
    assert manifest.find(tmp_path, first.batch_id) == first
    assert manifest.find(tmp_path, first.batch_id.removeprefix("batch_")[:8]) == first
    with pytest.raises(InputError, match="2 batches begin"):
        manifest.find(tmp_path, "batch_")
    with pytest.raises(InputError, match="No batch begins"):
        manifest.find(tmp_path, "zzz")
    with pytest.raises(InputError, match="There is no batch batch_0"):
        manifest.load(tmp_path, "batch_0")
