"""Lanes that stand still, with real processes: nothing is held, nothing is lost, and the work goes on afterwards."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import evidence_stream, heartbeat, lanes
from broker.lanes import LaneState, LaneStatus
from broker.queues import depths
from replay.contracts import State, Tier
from replay.topology import Queue
from tests.command_line import replay
from tests.processes import Stack, free_port, wait_for
from tests.scripted_model import Reply, ScriptedModel

pytestmark = pytest.mark.acceptance


@contextlib.contextmanager
def _stack(data_dir: Path, broker_url: str, port: int, **settings: object) -> Iterator[Stack]:
    base_url = f"http://127.0.0.1:{port}/v1"
    with Stack(data_dir, broker_url=broker_url, base_url=base_url, **settings) as stack:
        yield stack


def _lane(stack: Stack, tier: Tier = Tier.LOCAL) -> LaneStatus:
    return lanes.look(stack.client, lanes.door(tier, stack.settings))


def _says(stack: Stack, what: str) -> str:
    return next((beat.state for beat in heartbeat.alive(stack.client) if what in beat.state), "")


def _holds_nothing(stack: Stack) -> bool:
    return depths(stack.client).in_flight[Queue.LOCAL] == 0


def test_workers_wait_for_a_writer_that_is_behind(data_dir: Path, broker_url: str) -> None:
    """Without a writer the stream stays near its bound, the rest in the queue, held by nobody; with one all of it ends.

    The bound may be passed by what was under way when it was met: one record for each process.
    """
    with ScriptedModel() as model, _stack(data_dir, broker_url, model.port, max_outstanding=20) as stack:
        runs = stack.submit(60)
        worker = stack.worker("local", 2)
        wait_for(lambda: _says(stack, "writer: "), "the worker to say that it waits")
        wait_for(lambda: _holds_nothing(stack), "the last tasks to end")
        backlog = evidence_stream.backlog(stack.client)
        assert 20 <= backlog <= 22
        assert depths(stack.client).waiting[Queue.LOCAL] == 60 - backlog
        assert "takes no messages" in worker.output
        stack.writer()
        assert sorted(stack.wait_until_ended(60)) == sorted(runs)
        wait_for(stack.is_empty, "the broker to be empty")


def test_a_model_server_that_is_gone_fails_no_task(data_dir: Path, broker_url: str) -> None:
    """The lane stops, the tasks wait in the queue, and are answered when the server is back; no start is used up."""
    port = free_port()
    settings: dict[str, Any] = {"breaker_failures": 2, "breaker_pause_s": 0.5, "max_starts": 1}
    with _stack(data_dir, broker_url, port, **settings) as stack:
        stack.writer()
        runs = stack.submit(12)
        stack.worker("local", 2)
        wait_for(lambda: _says(stack, "breaker: "), "the worker to say that its endpoint is gone")
        for _ in range(3):
            wait_for(lambda: _lane(stack).state is LaneState.OPEN, "a pause to be over")
            wait_for(lambda: _lane(stack).state is LaneState.BREAKER, "the next one")
        wait_for(lambda: _holds_nothing(stack), "everything to wait in the queue")
        assert stack.ended() == []
        with ScriptedModel(port=port):
            assert sorted(stack.wait_until_ended(12)) == sorted(runs)
        assert State.FAILED not in {record["state"] for record in stack.evidence()}
        wait_for(stack.is_empty, "the broker to be empty")


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply("slow down", status=429, headers={"Retry-After": "3600"}), LaneState.PAUSED),
        (Reply("no credit left", status=402), LaneState.QUOTA),
    ],
)
def test_an_endpoint_that_wants_to_be_left_alone_is(
    data_dir: Path, broker_url: str, reply: Reply, state: LaneState
) -> None:
    """The lane says so, and holds nothing; `replay lane resume` tries again at once."""
    with ScriptedModel([reply]) as model, _stack(data_dir, broker_url, model.port) as stack:
        stack.writer()
        stack.submit(2)
        stack.worker("local", 1)
        wait_for(lambda: _lane(stack).state is state, "the lane to stop")
        wait_for(lambda: _holds_nothing(stack), "the task to be handed back")
        wait_for(lambda: _says(stack, f"{state}: "), "the worker to say so")
        assert (_lane(stack).seconds or 0) > 600
        assert model.count == 1
        shown = json.loads(replay(stack.env, "lane", "list", "--json").stdout)
        assert [(lane["lane"], lane["state"]) for lane in shown["lanes"]] == [("local", state), ("escalation", state)]
        assert replay(stack.env, "lane", "resume", "local").returncode == 0
        assert len(stack.wait_until_ended(2)) == 2
        assert State.FAILED not in {record.get("state") for record in stack.evidence()}


def test_a_lane_is_paused_and_resumed_by_hand(data_dir: Path, broker_url: str) -> None:
    """What arrives meanwhile waits in the queue; status and list say why."""
    with ScriptedModel() as model, _stack(data_dir, broker_url, model.port) as stack:
        stack.writer()
        stack.worker("local", 1)
        paused = replay(stack.env, "lane", "pause", "local", "--reason", "budget review", "--json")
        assert json.loads(paused.stdout)["state"] == LaneState.PAUSED
        stack.submit(5)
        wait_for(lambda: _says(stack, "paused: budget review"), "the worker to say so")
        status = json.loads(replay(stack.env, "status", "--json").stdout)
        assert [lane["state"] for lane in status["lanes"]] == [LaneState.PAUSED, LaneState.OPEN]
        assert "budget review" in replay(stack.env, "status").stdout
        assert depths(stack.client).waiting[Queue.LOCAL] == 5
        assert model.count == 0
        resumed = replay(stack.env, "lane", "resume", "local", "--json")
        assert json.loads(resumed.stdout)["state"] == LaneState.OPEN
        stack.wait_until_ended(5)
