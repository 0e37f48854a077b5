"""Delivery, with real processes: whatever dies, each task ends in evidence exactly once."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import redis

from broker import dead, heartbeat
from broker.connection import celery_url
from broker.envelope import publish
from broker.queues import depths
from replay.contracts import State
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.processes import (
    Stack,
    answers,
    broker_command,
    environment,
    is_waited_at,
    running,
    wait_for,
)
from tests.scripted_model import Mode, ScriptedModel

pytestmark = pytest.mark.acceptance


@contextlib.contextmanager
def _stack(
    data_dir: Path, broker_url: str, *, mode: Mode = "first-line", delay_s: float = 0.0, **settings: object
) -> Iterator[tuple[Stack, ScriptedModel]]:
    with (
        ScriptedModel(mode=mode, delay_s=delay_s) as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, **settings) as stack,
    ):
        yield stack, model


def test_two_hundred_tasks_end_exactly_once(data_dir: Path, broker_url: str) -> None:
    """Local worker, escalation worker and writer: an attempt of each tier and one end for every task, nothing left."""
    with _stack(data_dir, broker_url, mode="reject") as (stack, model):
        runs = stack.submit(200, allow_escalation=True)
        processes = [stack.worker("local"), stack.worker("escalation", 1), stack.writer()]
        ended = stack.wait_until_ended(200)
        assert set(ended) == runs
        assert len(ended) == 200
        states = [record["state"] for record in stack.evidence()]
        assert (states.count(State.ESCALATED), states.count(State.REJECTED)) == (200, 200)
        wait_for(stack.is_empty, "the broker to be empty")
        assert model.count == 400
        assert {beat.role for beat in heartbeat.alive(stack.client)} == {"local", "escalation", "writer"}
        assert [process.stop() for process in processes] == [0, 0, 0]
        assert heartbeat.alive(stack.client) == []


def test_a_killed_local_worker_loses_and_doubles_nothing(data_dir: Path, broker_url: str) -> None:
    """Kill -9 of the whole worker in the middle of a batch, twice: another worker takes over after the timeout."""
    with _stack(data_dir, broker_url, delay_s=0.02, visibility_timeout_s=5) as (stack, _):
        stack.writer()
        runs = stack.submit(60)
        for done in (10, 25):
            worker = stack.worker("local")
            stack.wait_until_ended(done)
            worker.kill()
        stack.worker("local")
        ended = stack.wait_until_ended(60)
        wait_for(stack.is_empty, "the broker to be empty")
        assert sorted(ended) == sorted(runs)
        assert sorted(stack.ended()) == sorted(runs)


def test_a_killed_writer_loses_and_doubles_nothing(data_dir: Path, broker_url: str) -> None:
    """Kill -9 of the writer in mid-stream: the next one reads again what was not acknowledged."""
    with _stack(data_dir, broker_url, writer_batch=4) as (stack, _):
        runs = stack.submit(120)
        stack.worker("local")
        for done in (10, 50):
            writer = stack.writer()
            stack.wait_until_ended(done)
            writer.kill()
        stack.writer()
        stack.wait_until_ended(120)
        wait_for(stack.is_empty, "the broker to be empty")
        assert sorted(stack.ended()) == sorted(runs)


def test_a_frozen_and_then_killed_worker_loses_nothing(data_dir: Path, broker_url: str) -> None:
    """A worker that is stopped while it waits at the queue takes a message with it; with claims it comes back.

    The server has moved it into a claim list; a stock worker would have had it in a socket that nobody reads.
    """
    with _stack(data_dir, broker_url, visibility_timeout_s=5) as (stack, _):
        frozen = stack.worker("local", 1)
        stack.wait_until_polling()
        frozen.signal(signal.SIGSTOP)
        runs = stack.submit(3)
        wait_for(lambda: depths(stack.client).waiting[Queue.LOCAL] == 2, "the server to hand one message out")
        frozen.kill()
        stack.worker("local", 1)
        stack.writer()
        assert sorted(stack.wait_until_ended(3)) == sorted(runs)


def test_a_stock_worker_loses_what_it_held_when_it_was_frozen(
    valkey: redis.Redis, broker_settings: Settings, data_dir: Path
) -> None:
    """The same with kombu's own transport: the message is nowhere. This is why ours exists."""
    env = environment(data_dir) | {"STOCK_BROKER": celery_url(broker_settings), "STOCK_DONE": str(data_dir / "done")}
    command = [sys.executable, "-m", "celery", "-A", "tests.acceptance.stock_worker", "worker", "-P", "solo"]
    # Mingling would wait at another queue first.
    with running([*command, "-Q", Queue.LOCAL, "--without-mingle"], env, data_dir / "stock.log") as worker:
        wait_for(lambda: is_waited_at(valkey, "brpop"), "the worker to wait at the queue")
        worker.signal(signal.SIGSTOP)
        publish(valkey, Queue.LOCAL, [(TaskName.AUDIT_LOCAL, f"run_{n}:local", {"text": str(n)}) for n in range(3)])
        worker.kill()
    assert valkey.llen(Queue.LOCAL) == 2
    assert valkey.exists("unacked") == 0
    assert not (data_dir / "done").exists()


def test_a_task_longer_than_the_visibility_timeout_runs_once(data_dir: Path, broker_url: str) -> None:
    """Its lease is renewed, so that neither its own worker nor another one takes it for abandoned."""
    with _stack(data_dir, broker_url, delay_s=8.0, visibility_timeout_s=5) as (stack, model):
        stack.writer()
        runs = stack.submit(1)
        stack.worker("local", 1)
        stack.worker("local", 1)
        assert stack.wait_until_ended(1) == list(runs)
        assert model.count == 1
        # A record is in the log a moment before the writer acknowledges it.
        wait_for(stack.is_empty, "the broker to be empty")


def test_sigterm_finishes_what_runs_and_leaves_the_rest(data_dir: Path, broker_url: str) -> None:
    """One SIGTERM: the running tasks end in evidence, the waiting ones stay in the queue, exit code 0."""
    with _stack(data_dir, broker_url, delay_s=1.0) as (stack, model):
        stack.writer()
        stack.submit(6)
        worker = stack.worker("local")
        wait_for(lambda: model.count >= 2, "two generations to run")
        assert worker.stop() == 0, worker.output
        wait_for(lambda: depths(stack.client).evidence == 0, "the writer to catch up")
        found = depths(stack.client)
        assert found.in_flight[Queue.LOCAL] == 0
        assert len(stack.ended()) + found.waiting[Queue.LOCAL] == 6
        assert len(stack.ended()) >= 2


def test_a_second_sigterm_hands_back_what_runs(data_dir: Path, broker_url: str) -> None:
    """Two SIGTERMs: after the soft shutdown the running tasks are back on the queue at once, not after a timeout."""
    with _stack(data_dir, broker_url, delay_s=60.0) as (stack, model):
        stack.submit(3)
        worker = stack.worker("local")
        wait_for(lambda: model.count >= 2, "two generations to run")
        worker.signal(signal.SIGTERM)
        wait_for(lambda: "Warm shutdown" in worker.output, "the warm shutdown")
        worker.signal(signal.SIGTERM)
        worker.wait(30)
        found = depths(stack.client)
        assert (found.waiting[Queue.LOCAL], found.in_flight[Queue.LOCAL]) == (3, 0), worker.output


def _started(model: ScriptedModel, times: int) -> bool:
    return model.count == times


def test_a_task_that_kills_its_process_ends_as_poison(data_dir: Path, broker_url: str) -> None:
    """After two starts it is a dead letter and a failed run; the tasks behind it are not held up."""
    with _stack(data_dir, broker_url, delay_s=60.0, max_starts=2) as (stack, model):
        stack.writer()
        [run] = stack.submit(1)
        worker = psutil.Process(stack.worker("local", 1).pid)
        for start in (1, 2):
            wait_for(partial(_started, model, start), f"start {start}")
            for child in worker.children():
                child.kill()
        stack.wait_until_ended(1)
        [record] = stack.evidence()
        [letter] = dead.waiting(stack.client)
        assert (record["run_id"], record["state"]) == (run, State.FAILED)
        assert letter.cause == record["reason"]
        assert letter.cause.startswith("poison: started 2 times")
        wait_for(stack.is_empty, "the broker to be empty")


def test_a_task_that_hangs_is_ended_by_the_time_limit(data_dir: Path, broker_url: str) -> None:
    """The limit kills its process, the message is redelivered, and the cap on starts ends it."""
    with _stack(data_dir, broker_url, delay_s=60.0, max_starts=1, task_time_limit_s=10) as (stack, _):
        stack.writer()
        stack.submit(1)
        stack.worker("local", 1)
        stack.wait_until_ended(1)
        assert stack.evidence()[0]["reason"].startswith("poison: started 1 times")


def test_a_broker_restart_under_load_loses_nothing(data_dir: Path) -> None:
    """The server is killed in the middle of a batch: workers and writer reconnect, and each task ends once."""
    env = environment(data_dir)
    with contextlib.ExitStack() as owned:
        settings = Settings(data_dir=data_dir)
        server = owned.enter_context(running(broker_command(), env, data_dir / "broker.log"))
        wait_for(lambda: answers(settings), "the broker to answer")
        model = owned.enter_context(ScriptedModel(mode="reject", delay_s=0.005))
        stack = owned.enter_context(Stack(data_dir, base_url=model.base_url, visibility_timeout_s=5))
        runs = stack.submit(150, allow_escalation=True)
        stack.worker("local")
        stack.worker("escalation", 1)
        stack.writer()
        stack.wait_until_ended(20)
        server.kill()
        owned.enter_context(running(broker_command(), env, data_dir / "broker2.log"))
        wait_for(lambda: answers(settings), "the broker to be back")
        stack.wait_until_ended(150)
        wait_for(stack.is_empty, "the broker to be empty")
        assert sorted(stack.ended()) == sorted(runs)
