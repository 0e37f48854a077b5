from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evidence import segments
from evidence.commit import Outcome
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.verify import IndexState, verify
from replay.errors import EvidenceLocked
from replay.settings import Settings
from tests.command_line import REPLAY

pytestmark = pytest.mark.acceptance

REPOSITORY = Path(__file__).parents[2]

# Appends batches of records with rising numbers and prints the number of the last acknowledged one.
WRITER = """
import resource, sys
from pathlib import Path
from evidence.log import EvidenceLog
from replay.errors import ReplayError

path, first, last, batch, size = Path(sys.argv[1]), *map(int, sys.argv[2:6])
if len(sys.argv) > 6:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[6]), int(sys.argv[6])))
try:
    with EvidenceLog.open(path) as log:
        print("open", flush=True)
        for start in range(first, last, batch):
            log.append([
                {"schema": "replay_run.v1", "id": f"att_{n}", "run_id": f"run_{n}", "batch_id": "b",
                 "state": "accepted", "text": "x" * size}
                for n in range(start, start + batch)
            ])
            print(start + batch - 1, flush=True)
except ReplayError as error:
    print(type(error).__name__, error.message, flush=True)
    sys.exit(error.exit_code)
"""


@contextmanager
def _writer(path: Path, *numbers: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, str(path), *map(str, numbers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        try:
            assert process.stdout is not None
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_writer_on_a_machine(tmp_path: Path) -> None:
    """While a process writes, another cannot, and is told which one; when the first is killed, it can at once."""
    path = tmp_path / "runs.jsonl"
    with _writer(path, 0, 10**9, 1, 10) as process:
        assert _said(process) == "open"
        with pytest.raises(EvidenceLocked, match=f"process {process.pid} on "):
            EvidenceLog.open(path)
        with _writer(path, 0, 1, 1, 10) as second:
            assert _said(second).startswith("EvidenceLocked")
            assert second.wait(30) == 4
        process.kill()
        process.wait(30)
        EvidenceLog.open(path).close()


def test_kill_in_mid_append(tmp_path: Path) -> None:
    """A writer killed at any moment loses nothing that it acknowledged and doubles nothing that comes again."""
    path = tmp_path / "runs.jsonl"
    acknowledged = -1
    for round_no in range(8):
        with _writer(path, acknowledged + 1, 10**9, 40, 3000) as process:
            assert _said(process) == "open"
            for _ in range(3):
                acknowledged = int(_said(process))
            # The writer runs on meanwhile: each round kills it somewhere else in its work.
            timer = threading.Timer(0.0013 * round_no, process.send_signal, [signal.SIGKILL])
            timer.start()
            while said := _said(process):
                acknowledged = int(said)
            assert process.wait(30) == -signal.SIGKILL
            timer.join()
        with EvidenceLog.open(path):
            present = EvidenceReader(path).terminal_ids("b")
        assert {f"run_{n}" for n in range(acknowledged + 1)} <= present
        report = verify(path)
        assert (report.ok, report.index) == (True, IndexState.AGREES)
    runs = [e.record["id"] for e in EvidenceReader(path).iterate() if e.record["schema"] == "replay_run.v1"]
    assert runs == [f"att_{n}" for n in range(len(runs))]
    assert len(runs) > acknowledged


def test_reading_while_another_process_writes(tmp_path: Path) -> None:
    """Readers beside a writer see a growing whole: no error, no half line, nothing twice, and a proof holds."""
    path = tmp_path / "runs.jsonl"
    reader = EvidenceReader(path)
    stop = threading.Event()
    followed: list[int] = []
    follower = threading.Thread(
        target=lambda: followed.extend(entry.chain.seq for entry in reader.follow(0, poll_s=0.001, stop=stop))
    )
    follower.start()
    counts = [len(reader.terminal_ids("b"))]
    try:
        with _writer(path, 0, 4000, 20, 500) as process:
            while process.poll() is None:
                counts.append(len(reader.terminal_ids("b")))
                for row in reader.tail(2):
                    entry = reader.get(row.id)
                    assert entry is not None
                    assert entry.chain.seq == row.seq
                report = verify(path)
                assert report.fault is None
                assert report.torn_bytes == 0
            assert process.wait() == 0
    finally:
        stop.set()
        follower.join()
    assert counts == sorted(counts)
    assert len(set(counts)) > 2
    assert len(reader.terminal_ids("b")) == 4000
    assert followed == list(range(1, 4001))


def test_following_across_segments(tmp_path: Path) -> None:
    """`replay evidence tail -f` goes on when the file is closed under it, and Ctrl-C ends it."""
    settings = Settings(data_dir=tmp_path, evidence_segment_bytes=4096)
    record = {"schema": "replay_dead.v1", "cause": "x" * 1500}
    with EvidenceLog.of(settings) as log:
        log.append([record | {"id": "dead_0"}])
        environment = {"REPLAY_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
        command = [REPLAY, "evidence", "tail", "-n", "1", "-f", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
            try:
                assert json.loads(_said(process))["id"] == "dead_0"
                for number in range(1, 13):
                    log.append([record | {"id": f"dead_{number}"}])
                    assert json.loads(_said(process))["id"] == f"dead_{number}"
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == 130
            finally:
                process.kill()
    assert len(segments.load(settings.evidence_log).segments) >= 3


def test_a_full_disk(tmp_path: Path) -> None:
    """When the file cannot grow the writer stops with its exit code; with room again the log goes on, nothing lost."""
    path = tmp_path / "runs.jsonl"
    with _writer(path, 0, 1000, 4, 100_000, 1_000_000) as process:
        said = ["-1"]
        while line := _said(process):
            said.append(line)
        assert process.wait(30) == 4
    assert said[-1].startswith("AppendFailed")
    assert said[-2].isdigit()
    acknowledged = int(said[-2])
    torn_size = path.stat().st_size
    with EvidenceLog.open(path) as log:
        assert log.recovered is not None
        assert log.recovered.offset + log.recovered.length == torn_size == 1_000_000
        again = [json.loads(line) for line in path.read_bytes().splitlines()[: acknowledged + 1]]
        for record in again:
            del record["chain"]
        assert {placed.outcome for placed in log.append(again)} == {Outcome.DUPLICATE}
    assert verify(path).ok
    assert [file.name for file in tmp_path.glob("*.torn-*")] == [f"runs.jsonl.torn-{log.recovered.offset}"]
