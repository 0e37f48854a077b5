"""A log that is copied in the order of docs/operations.md while it is written proves, and a writer goes on from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from evidence import segments
from evidence.checkpoints import Policy, checkpoints_path
from evidence.log import EvidenceLog
from evidence.verify import verify

Make = Callable[..., dict[str, Any]]

STEPS = ("checkpoints", "active", "manifest", "segments")


def _copy(step: str, log: Path, to: Path) -> None:
    there = to / log.name
    segments.folder(there).mkdir(exist_ok=True, parents=True)
    if step == "checkpoints":
        shutil.copy(checkpoints_path(log), checkpoints_path(there))
    elif step == "active":
        shutil.copy(log, there)
    elif step == "manifest":
        if segments.manifest_path(log).exists():
            shutil.copy(segments.manifest_path(log), segments.manifest_path(there))
    else:
        for path in segments.folder(log).glob("0*.jsonl"):
            shutil.copy(path, segments.folder(there) / path.name)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("before", STEPS)
def test_a_rotation_between_two_steps_of_a_backup_does_no_harm(
    path: Path, tmp_path: Path, run_record: Make, before: str, *, begun: bool
) -> None:
    """Whether it is the first one of the log or not."""
    numbers = count()
    to = tmp_path / "backup"
    to.mkdir()
    with EvidenceLog.open(path, segment_bytes=2000, checkpoints=Policy(records=1)) as log:

        def write_until_rotated() -> None:
            closed = len(segments.load(path).segments)
            while len(segments.load(path).segments) == closed:
                log.append([run_record(next(numbers))])

        log.append([run_record(next(numbers))])
        if begun:
            write_until_rotated()
        for step in STEPS:
            if step == before:
                write_until_rotated()
            _copy(step, path, to)
    copied = verify(to / path.name)
    assert copied.ok, copied.fault
    assert copied.checkpoints > 0
    with EvidenceLog.open(to / path.name) as log:
        log.append([run_record(next(numbers) + 1000)])
    assert verify(to / path.name).ok
