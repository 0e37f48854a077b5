"""What is enqueued twice runs once, and what a broker lost comes back: with real processes."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import psutil
import pytest

from broker import heartbeat
from broker.queues import depths
from replay.topology import Queue
from tests.command_line import REPLAY, replay, tasks, write_tasks
from tests.processes import ROOT, Stack, wait_for
from tests.scripted_model import Reply, ScriptedModel

pytestmark = pytest.mark.acceptance


def _conflicts(stack: Stack) -> list[str]:
    return [record["id"] for record in stack.evidence() if record["schema"] == "replay_conflict.v1"]


def test_messages_that_are_there_three_times_run_once(data_dir: Path, broker_url: str) -> None:
    """Doubles are dropped before the model is asked, beside each other and after each other."""
    with (
        ScriptedModel(mode="reject", delay_s=0.01) as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url) as stack,
    ):
        runs = stack.submit(30, allow_escalation=True)
        items = stack.client.lrange(Queue.LOCAL, 0, -1)
        for item in items:
            # Right behind each other, so that two processes have them at once; and once more at the end.
            stack.client.linsert(Queue.LOCAL, "BEFORE", item, item)  # type: ignore[arg-type]  # bytes
        stack.client.lpush(Queue.LOCAL, *items)
        assert stack.client.llen(Queue.LOCAL) == 90
        stack.writer()
        stack.worker("local")
        stack.worker("escalation", 1)
        stack.wait_until_ended(30)
        wait_for(stack.is_empty, "the broker to be empty")
        assert sorted(stack.ended()) == sorted(runs)
        assert model.count == 60
        assert _conflicts(stack) == []


def test_reconciling_twice_and_at_once_runs_nothing_twice(data_dir: Path, broker_url: str, tmp_path: Path) -> None:
    """Three commands at once over a wiped broker enqueue each owed run once between them; a fourth finds nothing."""
    with (
        ScriptedModel() as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url) as stack,
    ):
        file = write_tasks(tmp_path / "tasks.jsonl", tasks(40, "owed"))
        batch_id = json.loads(replay(stack.env, "submit", str(file), "--json").stdout)["batch_id"]
        stack.client.flushall()
        [dry] = json.loads(replay(stack.env, "batch", "reconcile", "--dry-run", "--json").stdout)
        assert dry == {
            "batch_id": batch_id,
            "accepted": 40,
            "terminal": 0,
            "in_broker": 0,
            "dead": 0,
            "missing": 40,
            "enqueued": 0,
            "paused": False,
        }
        command = [REPLAY, "batch", "reconcile", "--all", "--json"]
        racing = [subprocess.Popen(command, env=stack.env, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]
        enqueued = [json.loads(process.communicate(timeout=60)[0])[0]["enqueued"] for process in racing]
        assert sorted(enqueued) == [0, 0, 40]
        again = replay(stack.env, "batch", "reconcile", batch_id[:12])
        assert "40 accepted, 0 ended, 40 in the broker, 0 missing, 0 enqueued again" in again.stdout

        stack.writer()
        stack.worker("local")
        stack.wait_until_ended(40)
        wait_for(stack.is_empty, "the broker to be empty")
        assert model.count == 40
        assert _conflicts(stack) == []
        assert "nothing is owed" in replay(stack.env, "batch", "reconcile", "--all").stdout
        listed = json.loads(replay(stack.env, "batch", "list", "--json").stdout)
        assert [(row["batch_id"], row["tasks"], row["ended"]) for row in listed] == [(batch_id, 40, 40)]
        assert json.loads(replay(stack.env, "batch", "show", "--json").stdout)["accepted"] == 40


def test_the_scheduler_brings_back_what_a_broker_lost(data_dir: Path, broker_url: str, tmp_path: Path) -> None:
    """The broker loses everything in mid-batch, a worker dies, nobody waits: each task still ends, once."""
    with (
        ScriptedModel(delay_s=0.02) as model,
        Stack(
            data_dir, broker_url=broker_url, base_url=model.base_url, reconcile_interval_s=1, visibility_timeout_s=5
        ) as stack,
    ):
        file = write_tasks(tmp_path / "tasks.jsonl", tasks(60, "lost"))
        stack.writer()
        scheduler = stack.start([REPLAY, "worker", "scheduler"])
        wait_for(lambda: _roles(stack)["scheduler"] == 1, "the scheduler to report")
        assert replay(stack.env, "submit", str(file)).returncode == 0
        worker = stack.worker("local")
        stack.wait_until_ended(10)
        stack.client.flushall()
        worker.kill()
        # Without a worker somebody else sweeps what it held.
        wait_for(lambda: depths(stack.client).waiting[Queue.LOCAL] > 0, "the scheduler to enqueue what is owed")
        stack.worker("local")
        ended = stack.wait_until_ended(60)
        assert Counter(ended).most_common(1)[0][1] == 1
        assert scheduler.stop() == 0, scheduler.output
        assert "not in the broker; they are enqueued" in scheduler.output


def _roles(stack: Stack) -> Counter[str]:
    return Counter(beat.role for beat in heartbeat.alive(stack.client))


def test_a_second_scheduler_takes_over_when_the_first_is_killed(data_dir: Path, broker_url: str) -> None:
    """Kill -9 of the one at work: the other is at work once the lease has run out."""
    with Stack(data_dir, broker_url=broker_url, base_url="http://127.0.0.1:1/v1", reconcile_interval_s=1) as stack:
        one, two = (stack.start([REPLAY, "worker", "scheduler"]) for _ in range(2))
        wait_for(lambda: _roles(stack)["scheduler"] == 2, "both to report")
        [at_work] = [beat.pid for beat in heartbeat.alive(stack.client) if not beat.state]
        killed, left = (one, two) if one.pid == at_work else (two, one)
        killed.kill()
        wait_for(
            lambda: [beat.pid for beat in heartbeat.alive(stack.client) if not beat.state] == [left.pid],
            "the other to take over",
        )
        assert left.stop() == 0


def test_a_poisoned_run_is_made_again_once_its_cause_is_mended(data_dir: Path, broker_url: str, tmp_path: Path) -> None:
    """It killed its process and ended as failed; requeued, its task ends as accepted, and both ends are in evidence."""
    with (
        ScriptedModel([Reply(delay_s=20.0)]) as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, max_starts=1) as stack,
    ):
        stack.writer()
        file = write_tasks(tmp_path / "tasks.jsonl", tasks(1, "poison"))
        assert replay(stack.env, "submit", file).returncode == 0
        worker = psutil.Process(stack.worker("local", 1).pid)
        wait_for(lambda: model.count == 1, "the generation to begin")
        for child in worker.children():
            child.kill()
        [first] = stack.wait_until_ended(1)
        [before] = json.loads(replay(stack.env, "results", "--json").stdout)["results"]
        assert (before["run_id"], before["state"]) == (first, "failed")

        [dealt] = json.loads(replay(stack.env, "dead", "requeue", "--cause", "poison:", "--json").stdout)
        assert (dealt["fate"], dealt["run_id"]) == ("repeated", first)
        assert stack.wait_until_ended(2) == [first, dealt["new_run_id"]]
        [after] = json.loads(replay(stack.env, "results", "--json").stdout)["results"]
        assert (after["run_id"], after["state"]) == (dealt["new_run_id"], "accepted")
        assert json.loads(replay(stack.env, "dead", "list", "--json").stdout) == []
        wait_for(stack.is_empty, "the broker to be empty")
        assert [record["action"] for record in stack.evidence() if record["schema"] == "replay_action.v1"] == [
            "dead.requeue"
        ]
        assert _conflicts(stack) == []
