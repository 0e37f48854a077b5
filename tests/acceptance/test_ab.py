"""`replay ab` as a process: Ctrl-C shows what is there, and the same command goes on from the evidence."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from evidence.verify import verify
from replay.corpus import snapshot
from replay.settings import Settings
from tests.command_line import CLAIM, REPLAY, replay, write_tasks
from tests.factories import make_bundle
from tests.processes import ROOT, environment
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

TASKS = 10


def test_after_ctrl_c_the_same_command_goes_on(tmp_path: Path) -> None:
    """Exit code 130, the paired tasks so far, how to go on; then only what is missing is asked."""
    settings = Settings(data_dir=tmp_path / "data")
    snapshot.write([hit.record for hit in make_bundle().passages], settings.corpus_dir)
    file = write_tasks(tmp_path / "t.jsonl", [{"custom_id": f"t{n}", "task": CLAIM} for n in range(TASKS)])
    document = tmp_path / "ab.md"
    command = ["ab", "--tasks", str(file), "-j", "1", "--json", "--markdown", str(document)]
    with ScriptedModel(delay_s=0.15) as model:
        env = environment(settings.data_dir) | {"REPLAY_BASE_URL": model.base_url}
        with subprocess.Popen(
            [REPLAY, *command], env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            # The fifth answer is kept, and with it the first two tasks in both arms.
            told = [next(process.stderr)]
            while "5 of 20" not in told[-1]:
                told.append(next(process.stderr))
            process.send_signal(signal.SIGINT)
            printed, rest = process.communicate(timeout=60)
        assert process.returncode == 130, rest
        assert "Traceback" not in rest
        study = json.loads(printed)
        assert (study["complete"], study["total"]) == (False, TASKS)
        done = len(study["tasks"])
        assert 2 <= done < TASKS
        assert f"{done} of {TASKS} tasks in every arm" in rest
        assert f"replay ab --tasks {file} -j 1 --json --markdown {document}" in rest
        assert document.read_text() == ""
        kept = verify(settings.evidence_log).records
        assert 5 <= kept < 2 * TASKS
        asked = model.count

        ran = replay(env, *command)
        assert ran.returncode == 0, ran.stderr
        assert f"{kept} answers are in evidence already, {2 * TASKS - kept} to ask for" in ran.stderr
        assert model.count - asked == 2 * TASKS - kept
        assert json.loads(ran.stdout)["complete"]
        assert document.read_text().startswith("# With evidence")
        assert verify(settings.evidence_log).records == 2 * TASKS
