"""What the comparison with peers counts by: the server's own counts, ends noted by peers, and CPU time."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from benchmarks import peers_cpu, peers_work
from benchmarks.peers_crash import noted
from tests.scripted_model import ScriptedModel


def test_the_scripted_server_tells_repeated_questions_from_others() -> None:
    """One that was lost and one that came twice do not add up to what was asked."""
    with ScriptedModel() as server, httpx.Client(trust_env=False) as http:
        for text in ("one", "two", "one"):
            body = {"model": "scripted", "messages": [{"role": "user", "content": text}]}
            http.post(f"{server.base_url}/chat/completions", json=body).raise_for_status()
        stats = http.get(server.base_url.replace("/v1", "/stats")).json()
    assert (stats["count"], stats["distinct"]) == (3, 2)


def test_an_end_is_noted_by_number_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that ends twice is there twice."""
    monkeypatch.setenv("PEER_TASK_S", "0")
    monkeypatch.setenv("PEER_NOTES", str(tmp_path / "notes"))
    assert noted(tmp_path / "notes") == []
    for number in (1, 2, 1):
        peers_work.work(number)
    ends = noted(tmp_path / "notes")
    assert [task for task, _ in ends] == ["1", "2", "1"]
    assert sorted(at for _, at in ends) == [at for _, at in ends]


def test_the_cpu_time_of_ended_children_counts() -> None:
    """A queue that forks a process for each job pays for all of them."""
    before = peers_cpu.used([os.getpid()])
    burned = subprocess.run(
        [sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass\nprint(time.process_time())"],
        capture_output=True,
        text=True,
        check=True,
    )
    # The kernel's clock for this ticks in hundredths of a second.
    assert peers_cpu.used([os.getpid()]) - before >= float(burned.stdout) - 0.05


def test_a_process_that_is_gone_costs_nothing() -> None:
    """A worker may end while it is looked at."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert peers_cpu.used([gone.pid]) == 0.0


def test_the_peers_work_imports_nothing_of_ours() -> None:
    """RQ imports it anew for each job, so what it imports would be counted as RQ's."""
    code = (
        "import sys, benchmarks.peers_work; print(sorted({'celery', 'httpx', 'pydantic', 'redis'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_each_peer_has_a_way_to_enqueue() -> None:
    """`peers_queue` calls them by name."""
    tasks = importlib.import_module("benchmarks.peers_tasks")
    queues = importlib.import_module("benchmarks.peers_queue")
    assert all(callable(getattr(tasks, f"enqueue_{name}")) for name in queues.PEERS)
