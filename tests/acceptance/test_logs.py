"""What real processes write into their logs: lines of JSON with ids, from Celery too, and never a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import REPLAY
from tests.processes import Process, Stack, wait_for
from tests.scripted_model import Reply, ScriptedModel

pytestmark = pytest.mark.acceptance

CANARY = "canary-key-of-a-test"


def test_every_line_of_every_role_is_json_with_ids_and_no_key(data_dir: Path, broker_url: str) -> None:
    """Tasks run, the endpoint repeats the key in its refusals, a stranger's message dies: all of it is told."""
    refusals = [Reply(status=400, content=f"bad key {CANARY}")] * 2
    with (
        ScriptedModel(refusals) as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, log_format="json", api_key=CANARY) as stack,
    ):
        stack.client.lpush("replay.local", b"no\nmessage")
        runs = stack.submit(6)
        started = {
            "local": stack.worker("local"),
            "writer": stack.writer(),
            "scheduler": stack.start([REPLAY, "worker", "scheduler"]),
        }
        assert set(stack.wait_until_ended(6)) == runs
        wait_for(lambda: "at work" in started["scheduler"].output, "the scheduler to work")
        assert [process.stop() for process in started.values()] == [0, 0, 0]
        told = {role: _lines(process) for role, process in started.items()}
        assert model.authorizations[0] == f"Bearer {CANARY}"
    for role, lines in told.items():
        assert {line["role"] for line in lines} == {role}
        assert CANARY not in json.dumps(lines)
    assert {line["run_id"] for line in told["local"] if "succeeded" in line["message"]} == runs
    assert told["writer"][0]["queue"] == "replay.evidence"
    buried = [line for line in told["local"] if "cannot run" in line["message"]]
    assert [line["level"] for line in buried] == ["error"]


def test_a_line_of_the_work_itself_names_task_run_batch_and_queue(data_dir: Path, broker_url: str) -> None:
    """A task that comes twice: its double is told of, with all ids, from the child process."""
    with (
        ScriptedModel() as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, log_format="json") as stack,
    ):
        (run_id,) = stack.submit(1)
        local = stack.worker("local", 1)
        wait_for(lambda: stack.client.xlen("replay.evidence") == 1, "the run to be made")
        stack.submit(1)
        wait_for(lambda: "is not run from this message" in local.output, "its double to be dropped")
        assert local.stop() == 0
        line = next(line for line in _lines(local) if "is not run" in line["message"])
    assert {name: line[name] for name in ("role", "queue", "run_id", "batch_id", "task_id")} == {
        "role": "local",
        "queue": "replay.local",
        "run_id": run_id,
        "batch_id": "batch_test",
        "task_id": "0",
    }


def _lines(process: Process) -> list[dict[str, Any]]:
    # Celery's signal handler writes this past all logging, with an empty line before it.
    said = process.output.replace("\nworker: Warm shutdown (MainProcess)\n", "")
    return [json.loads(line) for line in said.splitlines()]
