"""Celery's own tools work on our workers, with remote control turned on, and plain Celery commands and producers do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from celery import Celery

from broker.connection import celery_url
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.factories import make_task
from tests.processes import ROOT, Stack, free_port, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

CELERY = [sys.executable, "-m", "celery", "-A", "workers.app"]


def _ping(stack: Stack, timeout_s: int) -> subprocess.CompletedProcess[str]:
    command = [*CELERY, "inspect", "ping", "--json", f"--timeout={timeout_s}"]
    return subprocess.run(command, env=stack.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_inspect_and_flower_see_a_plain_celery_worker(data_dir: Path, broker_url: str) -> None:
    """`celery -A workers.app worker -Q replay.local` answers a ping, runs tasks, and Flower's API lists it."""
    with (
        ScriptedModel() as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, remote_control=True) as stack,
    ):
        worker = stack.start([*CELERY, "worker", "-Q", Queue.LOCAL, "-n", "plain@test", "--loglevel=INFO"])
        stack.writer()
        wait_for(lambda: "plain@test ready" in worker.output or worker.exit_code is not None, "the worker")
        ping = _ping(stack, 5)
        assert json.loads(ping.stdout) == {"plain@test": {"ok": "pong"}}, ping.stderr

        stack.env["FLOWER_UNAUTHENTICATED_API"] = "true"
        port = free_port()
        flower = stack.start([*CELERY, "flower", "--address=127.0.0.1", f"--port={port}"])
        stack.submit(5)
        stack.wait_until_ended(5)
        seen = wait_for(lambda: _workers_in_flower(port) or flower.exit_code is not None, "Flower to list workers")
        assert list(cast("dict[str, Any]", seen)) == ["plain@test"], flower.output


def _workers_in_flower(port: int) -> dict[str, Any]:
    try:
        reply = httpx.get(f"http://127.0.0.1:{port}/api/workers?refresh=1", timeout=10, trust_env=False)
    except httpx.TransportError:
        return {}
    return cast("dict[str, Any]", reply.raise_for_status().json())


def test_a_worker_is_silent_without_remote_control(data_dir: Path, broker_url: str) -> None:
    """By default nobody answers a ping, and no pidbox, event or gossip key is in the broker."""
    with (
        ScriptedModel() as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url) as stack,
    ):
        stack.worker("local", 1)
        stack.wait_until_polling()
        keys = {key.decode() for key in stack.client.scan_iter()}
        assert not [key for key in keys if "pidbox" in key or "celeryev" in key or "gossip" in key]
        assert _ping(stack, 1).returncode != 0


def test_a_stock_producer_reaches_our_worker(data_dir: Path, broker_url: str, broker_settings: Settings) -> None:
    """`send_task` of a foreign Celery application, on the stock transport, with and without a priority."""
    with (
        ScriptedModel() as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url) as stack,
    ):
        stack.worker("local", 1)
        stack.writer()
        task = make_task(options={"allow_escalation": False})
        code = (
            "import json, sys; from celery import Celery; app = Celery(broker=sys.argv[1]);"
            "app.send_task(sys.argv[2], args=[json.loads(sys.argv[3])], queue=sys.argv[4])"
        )
        arguments = [celery_url(broker_settings), TaskName.AUDIT_LOCAL, json.dumps(task.wire()), Queue.LOCAL]
        subprocess.run([sys.executable, "-c", code, *arguments], env=stack.env, cwd=ROOT, timeout=60, check=True)
        assert stack.wait_until_ended(1) == [task.run_id]


def test_a_local_worker_without_a_corpus_refuses_to_start(data_dir: Path, broker_url: str) -> None:
    """Both ways to start it end at once with a hint and without a traceback."""
    with ScriptedModel() as model, Stack(data_dir, broker_url=broker_url, base_url=model.base_url) as stack:
        shutil.rmtree(stack.settings.corpus_dir)
        plain = stack.start([*CELERY, "worker", "-Q", Queue.LOCAL])
        assert plain.wait(30) != 0
        assert "corpus build" in plain.output
        assert "Traceback" not in plain.output


def test_importing_the_application_leaves_other_applications_alone() -> None:
    """Our tasks belong to our application; a stranger's in the same process does not get them."""
    from workers.app import app  # noqa: PLC0415  what is tested is this import

    assert TaskName.AUDIT_LOCAL in app.tasks
    assert TaskName.AUDIT_LOCAL not in Celery("stranger", set_as_current=False).tasks
