"""`replay gate` and `replay study regate` as processes, over a log that its writer holds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evidence.log import EvidenceLog
from replay.contracts import State, Tier
from replay.gate import GATE_VERSION
from replay.settings import Settings
from tests.batches import make_run
from tests.command_line import REPLAY, replay
from tests.factories import make_bundle, make_reply, make_task

pytestmark = pytest.mark.acceptance


def test_evidence_is_explained_judged_again_and_audited_beside_its_writer(bare: dict[str, str], data_dir: Path) -> None:
    """The three commands agree on what is in the log, and take no lock and write no byte."""
    path = Settings(data_dir=data_dir).evidence_log
    task = make_task(custom_id="timeout")
    refused = make_run(task, State.ESCALATED, rules=["binding.rival_line"])
    with EvidenceLog.open(path) as log:
        log.append([run.wire() for run in (refused, make_run(task, State.ACCEPTED, Tier.ESCALATION))])
        before = path.read_bytes()
        regated = replay(bare, "study", "regate", "--gate", GATE_VERSION, "--json")
        audited = replay(bare, "gate", "audit", "--all", "--again", "--json")
        explained = replay(bare, "gate", "explain", "timeout", "--attempt", "local", "--json")
        assert path.read_bytes() == before
    (change,) = [json.loads(line) for line in regated.stdout.splitlines()]
    shown: dict[str, Any] = json.loads(explained.stdout)
    report: dict[str, Any] = json.loads(audited.stdout)
    assert (change["attempt_id"], change["change"]) == (shown["attempt_id"], "newly_accepted")
    assert change["before"] == [reason["rule"] for reason in shown["findings"][0]["reasons"]]
    assert (report["total"]["claims"], report["total"]["mean_score"]) == (2, shown["findings"][0]["score"])
    told = replay(bare, "gate", "explain", task.run_id, "--markdown").stdout
    assert told.startswith("# `timeout`: accepted")


def test_cases_are_judged_as_they_come(bare: dict[str, str]) -> None:
    """A verdict is there before the next line is; the end of the input ends it."""
    case = {"task": {"input": make_task().text}, "bundle": make_bundle().wire(), "output": make_reply()}
    with subprocess.Popen(
        [REPLAY, "gate", "check", "--cases", "-", "--json"],
        env=bare,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("first", "second"):
            process.stdin.write(json.dumps(case | {"case_id": name}) + "\n")
            process.stdin.flush()
            verdict = json.loads(process.stdout.readline())
            assert (verdict["case_id"], verdict["accepted"]) == (name, True)
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(timeout=60) == 0
