"""Which batch `quickstart --again` runs: a stopped one is resumed, an ended one is repeated as another."""

from __future__ import annotations

from pathlib import Path

from cli import samples
from cli.quickstart import _ended, _nonce_file, _read
from evidence.log import EvidenceLog
from producer import intake, manifest
from replay import pipeline
from replay.contracts import State
from replay.settings import Settings


def test_a_stopped_repetition_has_not_ended_and_a_finished_one_has(tmp_path: Path) -> None:
    """Only when every task of the present repetition is in evidence does `--again` begin another."""
    settings = Settings(data_dir=tmp_path / "data")
    taken = intake.read(samples.QUICKSTART)
    nonce = _nonce_file(settings)
    assert _read(nonce) == ""
    assert not _ended(settings, taken, nonce)

    batch = manifest.plan(taken.lines, source=taken.source, corpus_version=None, created_at="now")
    manifest.write(batch, settings.batches_dir)
    ends = [pipeline.end_without_attempt(task, State.FAILED, "x").wire() for task in batch.tasks]
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append(ends[:-1])
    assert not _ended(settings, taken, nonce)
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append(ends[-1:])
    assert _ended(settings, taken, nonce)

    nonce.write_text("another", encoding="utf-8")
    assert not _ended(settings, taken, nonce)
