"""What keeps a model server busy and what keeps it from being asked, with real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker import heartbeat
from broker.heartbeat import Heartbeat
from tests.command_line import REPLAY, replay, write_tasks
from tests.processes import Stack, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance


def _submit(stack: Stack, tmp_path: Path, name: str, *options: str) -> None:
    """The same claims under names of their own."""
    claims = [
        {"custom_id": f"{name}-{number}", "task": f"Verify that the visibility timeout is {number} hour."}
        for number in range(1, 4)
    ]
    file = write_tasks(tmp_path / f"{name}.jsonl", claims)
    assert replay(stack.env, "submit", str(file), "--local-only", *options).returncode == 0


def test_the_same_question_is_asked_once_and_the_evidence_says_so(
    data_dir: Path, broker_url: str, tmp_path: Path
) -> None:
    """Another batch with the same claims asks nothing, and its evidence is whole and verifies; `--again` asks."""
    with (
        ScriptedModel(slots=2) as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, result_cache=True) as stack,
    ):
        stack.writer()
        worker = stack.start([REPLAY, "worker", "local"])

        def beat() -> Heartbeat | None:
            return next((one for one in heartbeat.alive(stack.client) if one.pid == worker.pid), None)

        known = wait_for(beat, "the worker to consume")
        assert known is not None
        assert (known.concurrency, known.slots) == (3, 2)
        assert "has 2 slots" in worker.output

        _submit(stack, tmp_path, "first")
        stack.wait_until_ended(3)
        asked = model.count
        assert asked == 3
        _submit(stack, tmp_path, "second")
        stack.wait_until_ended(6)
        assert model.count == asked
        _submit(stack, tmp_path, "second", "--again")
        stack.wait_until_ended(9)
        assert model.count == 2 * asked

        runs = {record["custom_id"]: record for record in stack.evidence()[:6]}
        for number in range(1, 4):
            source, reused = runs[f"first-{number}"], runs[f"second-{number}"]
            assert reused["attempt"]["reused"] == {
                "run_id": source["run_id"],
                "attempt_id": source["attempt"]["attempt_id"],
            }
            assert reused["state"] == source["state"]
            assert reused["bundle"] == source["bundle"]
            assert reused["attempt"]["answer"] == source["attempt"]["answer"]
            assert reused["attempt"]["generation"]["usage"]["prompt_tokens"] == 0
            assert "reused" not in source["attempt"]
        assert not any("reused" in record["attempt"] for record in stack.evidence()[6:])
        assert replay(stack.env, "evidence", "verify").returncode == 0
        results = json.loads(replay(stack.env, "results", "--json").stdout)
        assert results["summary"]["reused"] == 0
