"""The corpus among processes: killed at any moment, read while it is merged, written by two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import lock, snapshot
from replay.settings import Settings
from tests.command_line import REPLAY, replay
from tests.processes import ROOT, environment

pytestmark = pytest.mark.acceptance

TOP = 8
PATIENCE_S = 60.0


def note(number: int, text: str = "") -> Record:
    """A record that every reader finds."""
    return Record(record_id=f"n{number}", kind=RecordKind.NOTE, text=text or f"pool size {number}")


def passage(number: int) -> Record:
    """A source passage."""
    return Record(record_id=f"s{number}", kind=RecordKind.SOURCE, text=f"size = {number}", path="x.py", origin="x")


# --- kill -9 ---------------------------------------------------------------------------------------------------------

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from tests.acceptance.test_corpus_processes import change

folder, calls = Path(sys.argv[1]), 0

def killing(call, at):
    def counted(*args, **kwargs):
        global calls
        calls += 1
        if calls > at:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return counted

for at in range(1000):
    shutil.copytree(folder / "before", folder / str(at))
    child = os.fork()
    if child == 0:
        for name in ("fsync", "replace", "pwrite", "ftruncate", "mkdir", "unlink", "rmdir", "open"):
            setattr(os, name, killing(getattr(os, name), at))
        change(folder / str(at))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
"""


def change(folder: Path) -> None:
    """What is killed: a change that rewrites a segment, adds two and swaps the pointer, then a compaction."""
    snapshot.add([note(1, "new"), note(9), passage(9)], folder)
    snapshot.compact(folder, whole=True)


def content(folder: Path) -> list[Record]:
    """Everything that is current, read to the last byte."""
    return sorted(snapshot.load(folder).records(), key=lambda one: one.record_id)


def test_a_process_that_is_killed_leaves_the_old_or_the_new_version(tmp_path: Path) -> None:
    """SIGKILL before each file operation of a change and a compaction; what the next process finds is whole."""
    snapshot.write([note(1), note(2), passage(1)], tmp_path / "before")
    old = content(tmp_path / "before")
    ran = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, timeout=120, check=False)
    assert ran.returncode == 0
    folders = sorted((int(path.name), path) for path in tmp_path.iterdir() if path.name != "before")
    new = content(folders[-1][1])
    assert len(folders) > 40
    is_new = []
    for at, folder in folders:
        found = content(folder)
        assert found in (old, new)
        is_new.append(found == new)
        if at % 7 == 0:  # the unit test does so after each of them
            change(folder)
            assert content(folder) == new
            assert not [*folder.glob("work"), *folder.glob("merging")]
    assert is_new == sorted(is_new)


# --- readers ---------------------------------------------------------------------------------------------------------

READER = """
import json, select, sys
from pathlib import Path
from replay.corpus.retrieval import CurrentRetriever
from replay.settings import Settings
from tests.factories import make_task

retriever = CurrentRetriever(Path(sys.argv[1]), Settings())
while not select.select([sys.stdin], [], [], 0)[0]:
    bundle = retriever.retrieve(make_task("pool size"))
    print(json.dumps([bundle.corpus_version, len(bundle.playbook)]), flush=True)
"""


def test_readers_go_on_while_the_corpus_grows_and_is_merged(tmp_path: Path) -> None:
    """Two processes retrieve all the time: each bundle is whole from one version, and they end on the last one."""
    holds: dict[str, int] = {}

    def publish(number: int) -> None:
        made = snapshot.add([note(number)], tmp_path)
        holds[made.version] = min(TOP, len(made))

    publish(0)
    readers = [_reader(tmp_path, tmp_path / f"{number}.out") for number in range(2)]
    try:
        for number in range(1, 25):
            publish(number)
            if number % 6 == 0:
                snapshot.compact(tmp_path, whole=number == 24)
        current = snapshot.current_version(tmp_path)
        _wait(lambda: all(_last(tmp_path / f"{number}.out") == current for number in range(2)))
    finally:
        told = [reader.communicate(b"\n", timeout=PATIENCE_S)[1] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0], told
    for number in range(2):
        seen = [json.loads(line) for line in (tmp_path / f"{number}.out").read_text(encoding="utf-8").splitlines()]
        assert all(holds[version] == hits for version, hits in seen)


def _reader(corpus_dir: Path, out: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as file:
        command = [sys.executable, "-c", READER, str(corpus_dir)]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE)


def _last(path: Path) -> str | None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines[-2:] if line.endswith("\n")]
    return json.loads(whole[-1])[0] if whole else None


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree."""
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "pool.py").write_text("POOL_SIZE = 10\n", encoding="utf-8")
    return folder


def test_a_command_that_waits_says_for_whom(data_dir: Path, tree: Path) -> None:
    """The second writer names the first one, and goes on when that one has finished."""
    corpus_dir = Settings(data_dir=data_dir).corpus_dir
    corpus_dir.mkdir()
    with lock.held(corpus_dir / "write.lock", "the corpus"):
        second = subprocess.Popen(
            [REPLAY, "corpus", "build", str(tree)],
            env=environment(data_dir),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert second.stderr is not None
        said = second.stderr.readline()
        assert f"is held by process {os.getpid()} on " in said
    second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0
    assert snapshot.current_version(corpus_dir) is not None


def test_ctrl_c_during_a_build_leaves_the_old_version(data_dir: Path, tree: Path) -> None:
    """An interrupted build is as if it had not been begun."""
    corpus_dir = Settings(data_dir=data_dir).corpus_dir
    old = snapshot.write([note(1)], corpus_dir)
    building = subprocess.Popen(
        [REPLAY, "corpus", "build", str(tree), "package:celery"],
        env=environment(data_dir),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert building.stderr is not None
    while "package:celery" not in building.stderr.readline():
        assert building.poll() is None
    building.send_signal(signal.SIGINT)
    _, told = building.communicate(timeout=PATIENCE_S)
    assert building.returncode == 130, told
    assert "Traceback" not in told
    assert snapshot.load(corpus_dir).version == old.version
    assert not (corpus_dir / "work").exists()


def test_small_segments_are_merged_in_the_background(data_dir: Path, tmp_path: Path) -> None:
    """An import that leaves more small segments than there should be starts a compaction, and does not wait for it."""
    corpus_dir = Settings(data_dir=data_dir).corpus_dir
    for number in range(4):
        snapshot.add([note(number)], corpus_dir)
    playbook = tmp_path / "book.jsonl"
    playbook.write_text('{"id": "p1", "text": "Verify the limit of the pool."}\n', encoding="utf-8")
    ran = replay(environment(data_dir), "corpus", "import", playbook)
    assert ran.returncode == 0, ran.stderr
    assert "in the background" in ran.stderr
    _wait(lambda: snapshot.history(corpus_dir)[-1].what == "compact")
    assert len(snapshot.load(corpus_dir).segments) == 1


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)
