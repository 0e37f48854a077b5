"""Limits over several workers, with real processes: they hold, they are seen, and the work goes on after them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from broker import heartbeat
from broker.envelope import publish
from broker.lanes import LaneState
from broker.limits.snapshot import LaneSnapshot, snapshot
from broker.queues import depths
from replay.contracts import EscalationOrder, State, Tier
from replay.topology import Queue, TaskName
from tests.command_line import replay
from tests.factories import make_bundle, make_task
from tests.processes import Stack, wait_for
from tests.scripted_model import Reply, ScriptedModel

pytestmark = pytest.mark.acceptance


def _escalate(stack: Stack, count: int) -> set[str]:
    """Put so many orders on the queue of the large model."""
    tasks = [make_task(f"Verify claim {n}.", custom_id=str(n)) for n in range(count)]
    orders = (EscalationOrder(task=task, bundle=make_bundle(), reasons=()) for task in tasks)
    messages = ((TaskName.AUDIT_ESCALATION, f"{o.task.run_id}:{Tier.ESCALATION}", o.wire()) for o in orders)
    publish(stack.client, Queue.ESCALATION, messages)
    return {task.run_id for task in tasks}


def _lane(stack: Stack) -> LaneSnapshot:
    return next(lane for lane in snapshot(stack.client, stack.settings) if lane.status.lane == Tier.ESCALATION)


def _ends_well(stack: Stack, runs: set[str]) -> None:
    assert sorted(stack.wait_until_ended(len(runs))) == sorted(runs)
    assert State.FAILED not in {record.get("state") for record in stack.evidence()}  # acts are noted there too
    wait_for(stack.is_empty, "the broker to be empty")


@pytest.mark.parametrize("limit", [1, 2])
def test_two_workers_ask_the_large_model_no_more_often_at_once_than_may_be(
    data_dir: Path, broker_url: str, limit: int
) -> None:
    """Each has two processes. What the limit leaves them is used; nothing is held meanwhile, and nobody is hindered."""
    with (
        ScriptedModel(delay_s=0.1) as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, escalation_limit=limit) as stack,
    ):
        stack.writer()
        workers = [stack.worker("escalation", 2) for _ in range(2)]
        runs = _escalate(stack, 16)
        wait_for(lambda: _lane(stack).status.state is LaneState.FULL, "the lane to be full")
        assert _lane(stack).in_flight.used == limit
        assert [beat.state for beat in heartbeat.alive(stack.client) if beat.role == "escalation"] == ["", ""]
        _ends_well(stack, runs)
        assert model.max_concurrency == limit
        assert not any("takes no messages" in worker.output for worker in workers)


def test_a_killed_worker_leaves_its_place_to_another_one(data_dir: Path, broker_url: str) -> None:
    """As soon as its lease has run out; until then nobody else asks."""
    settings: dict[str, Any] = {"visibility_timeout_s": 5}
    with (
        ScriptedModel([Reply(delay_s=120)]) as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, **settings) as stack,
    ):
        stack.writer()
        holder = stack.worker("escalation", 1)
        runs = _escalate(stack, 3)
        wait_for(lambda: model.count == 1, "the model to be asked")
        stack.worker("escalation", 1)
        holder.signal(signal.SIGKILL)
        wait_for(lambda: model.count > 1 or depths(stack.client).in_flight[Queue.ESCALATION] != 1, "the lease to end")
        _ends_well(stack, runs)
        assert model.count == 4


def test_a_budget_stops_the_lane_and_not_the_batch(data_dir: Path, broker_url: str) -> None:
    """Three calls, the probe of the endpoint among them, are three. All say so; raised, the rest ends by itself."""
    with (
        ScriptedModel() as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, escalation_budget_calls=3) as stack,
    ):
        stack.writer()
        worker = stack.worker("escalation", 1)
        runs = _escalate(stack, 6)
        wait_for(lambda: _says(stack), "the worker to say that its budget is spent")
        wait_for(lambda: depths(stack.client).in_flight[Queue.ESCALATION] == 0, "the lane to hold nothing")
        assert model.count + model.probes == 3
        assert len(stack.wait_until_ended(2)) == 2
        assert depths(stack.client).waiting[Queue.ESCALATION] == 4
        assert "takes no messages; they wait in the queue. out of budget until" in worker.output

        listed = json.loads(replay(stack.env, "lane", "list", "--json").stdout)["lanes"][1]
        assert (listed["state"], listed["reason"]) == (LaneState.BUDGET, "3 of 3 calls today")
        assert listed["until"].endswith("T00:00:00+00:00")
        assert listed["in_flight"] == {"used": 0, "limit": 1}
        assert listed["budget"]["calls"] == {"used": 3, "limit": 3}
        assert listed["budget"]["tokens"]["used"] == 45
        assert listed["rates"][0]["requests"] == {"used": 3, "limit": None}
        assert "out of budget" in replay(stack.env, "status").stdout
        assert "out of budget" in replay(stack.env, "doctor", "--only", "broker").stdout

        raised = replay(stack.env, "lane", "budget", "set", "escalation", "--calls", "100", "--json")
        assert json.loads(raised.stdout)["lanes"][0]["state"] == LaneState.OPEN
        _ends_well(stack, runs)
        assert model.count + model.probes == 7


def _says(stack: Stack) -> bool:
    return any("out of budget" in beat.state for beat in heartbeat.alive(stack.client))
