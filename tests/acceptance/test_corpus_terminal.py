"""`replay corpus` as a terminal and a shell treat it: readers that go away, descriptors that are closed, Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import snapshot
from replay.settings import Settings
from tests.command_line import REPLAY
from tests.trees import write

pytestmark = pytest.mark.acceptance


@pytest.fixture
def corpus_dir(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The corpus that the commands are typed for."""
    monkeypatch.setenv("REPLAY_DATA_DIR", str(data_dir))
    return Settings().corpus_dir


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree."""
    return write(tmp_path / "service", pool_py="POOL_SIZE = 10\n")


@pytest.mark.parametrize("closed", ["2> >(exec head -c 0)", ">&- 2>&-"])
def test_nobody_who_listens_is_no_reason_to_stop(corpus_dir: Path, tree: Path, closed: str) -> None:
    """Notes on stderr are for whoever reads them; the work is done without them."""
    ran = subprocess.run(
        ["/bin/bash", "-c", f'sleep 0.1; "$0" corpus build "$1" {closed}', REPLAY, tree],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(snapshot.load(corpus_dir)) == 1


def test_a_reader_that_goes_away_is_no_error(corpus_dir: Path) -> None:
    """`replay corpus log | head -0` ends well, as words and as JSON."""
    snapshot.write([Record(record_id="a", kind=RecordKind.NOTE, text="pool size")], corpus_dir)
    for words in ("log", "log --json"):
        script = f'set -o pipefail; {{ sleep 0.5; "$0" corpus {words}; echo $? >&2; }} | exec head -c 0'
        ran = subprocess.run(
            ["/bin/bash", "-c", script, REPLAY], capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.stderr == "0\n"


def test_ctrl_c_while_the_command_loads_is_told_as_any_other(tmp_path: Path) -> None:
    """Its modules take a second to load; a signal in that time ends it with 130 and a sentence."""
    (tmp_path / "typer.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(30)\n", encoding="utf-8"
    )
    ran = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import cli.main", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (ran.returncode, "Traceback" in ran.stderr, "stopped" in ran.stderr) == (130, False, True)
