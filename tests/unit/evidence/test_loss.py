"""A loss below a checkpoint is accepted by a person, with a reason, and never otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence import loss
from evidence.checkpoints import checkpoints_path, last
from evidence.durable import SyscallSeam
from evidence.log import EvidenceLog
from evidence.loss import accept, unmet
from evidence.reader import EvidenceReader
from evidence.verify import verify
from replay.errors import EvidenceDamaged, EvidenceLocked, InputError
from replay.settings import Settings

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(data_dir: Path, tmp_path: Path) -> Settings:
    """Checkpoints in two places."""
    return Settings(data_dir=data_dir, checkpoint_dir=tmp_path / "elsewhere")


@pytest.fixture
def lost(settings: Settings, run_record: Make) -> Path:
    """A log whose last two records are gone, whole lines and all, as a disk that lied loses them."""
    path = settings.evidence_log
    with EvidenceLog.of(settings) as log:
        log.append([run_record(n) for n in range(3)])
        shutil.copy(path, path.with_name("kept"))
        log.append([run_record(n) for n in (3, 4)])
    path.with_name("kept").replace(path)
    with pytest.raises(EvidenceDamaged, match="does not extend its last checkpoint"):
        EvidenceLog.of(settings)
    return path


def _accept(settings: Settings, reason: str = "the disk died") -> loss.Accepted:
    return accept(settings, who="ann@desk", reason=reason)


def test_an_accepted_loss_is_a_record_and_the_log_goes_on(settings: Settings, lost: Path, run_record: Make) -> None:
    """It says what was there, by the old checkpoint itself; those files are kept, and the log proves again."""
    before = [path.read_bytes() for path in (checkpoints_path(lost), checkpoints_path(lost, settings.checkpoint_dir))]
    accepted = _accept(settings)
    told = accepted.loss
    assert (told.had, told.who, told.reason) == (5, "ann@desk", "the disk died")
    assert [path.name for path in accepted.kept] == ["replay_runs.checkpoints.lost-5.jsonl"] * 2
    assert [path.read_bytes() for path in accepted.kept] == before
    assert len(told.checkpoints) == 2
    assert all(note in data.decode().replace("\\n", "\n") for note, data in zip(told.checkpoints, before, strict=True))
    schemas = [entry.record["schema"] for entry in EvidenceReader(lost).iterate()]
    assert schemas[3:] == ["replay_recovery.v1", "replay_loss.v1"]
    with EvidenceLog.of(settings) as log:
        log.append([run_record(9)])
    assert verify(lost, checkpoint_dir=settings.checkpoint_dir).ok
    # Who kept the old checkpoint elsewhere can still tell.
    assert not verify(lost, since=accepted.kept[0]).ok


def test_nothing_is_accepted_where_nothing_is_lost(settings: Settings, run_record: Make) -> None:
    """Neither on a sound log nor a second time."""
    with EvidenceLog.of(settings) as log:
        log.append([run_record(1)])
    before = settings.evidence_log.read_bytes()
    with pytest.raises(InputError, match="nothing was lost"):
        _accept(settings)
    assert settings.evidence_log.read_bytes() == before


def test_a_second_time_there_is_nothing_to_accept(settings: Settings, lost: Path) -> None:
    """The first one has settled it."""
    _accept(settings)
    assert unmet(settings) == []
    with pytest.raises(InputError, match="nothing was lost"):
        _accept(settings)
    assert lost.exists()


def test_damage_is_no_loss(settings: Settings, lost: Path) -> None:
    """A changed line is never gone on from."""
    data = bytearray(lost.read_bytes())
    data[100] ^= 1
    lost.write_bytes(data)
    with pytest.raises(EvidenceDamaged, match="is damaged at byte"):
        _accept(settings)
    assert lost.read_bytes() == data


def test_a_writer_that_lives_is_not_gone_behind(settings: Settings, lost: Path) -> None:
    """The lock holds here too."""
    kept = checkpoints_path(lost)
    aside = kept.rename(kept.with_suffix(".away"))
    other = checkpoints_path(lost, settings.checkpoint_dir)
    other_aside = other.rename(other.with_suffix(".away"))
    with EvidenceLog.of(settings):
        for away, place in ((aside, kept), (other_aside, other)):
            shutil.copy(away, place)
        with pytest.raises(EvidenceLocked):
            _accept(settings)


@pytest.mark.parametrize("dies_at", [0, 1])
def test_a_crash_on_the_way_is_finished_by_the_same_command(
    settings: Settings, lost: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """Between the record and the two renames: one record in the end, and every old checkpoint is kept."""
    renames = iter(range(9))
    kernel = SyscallSeam()

    def rename(path: Path, target: Path, seam: SyscallSeam) -> None:
        if next(renames) == dies_at:
            raise KeyboardInterrupt
        kernel.rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr("evidence.durable.rename", rename)
        with pytest.raises(KeyboardInterrupt):
            _accept(settings, "first")
    with pytest.raises(EvidenceDamaged, match="does not extend its last checkpoint"):
        EvidenceLog.of(settings)
    accepted = _accept(settings, "second")
    losses = [entry.record for entry in EvidenceReader(lost).iterate() if entry.record["schema"] == "replay_loss.v1"]
    assert losses[0]["reason"] == "first"
    assert accepted.loss.had == 5
    assert len(list(lost.parent.glob("*.lost-5*"))) == 1
    assert verify(lost, checkpoint_dir=settings.checkpoint_dir).ok
    assert last(checkpoints_path(lost)) is not None
    assert json.loads(lost.read_bytes().splitlines()[-1])["schema"] == "replay_loss.v1"
