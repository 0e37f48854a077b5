"""`REPLAY_ATOMIC_CLAIM=0`: the same work over Celery's own Redis transport, and what that loses."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from broker.queues import depths, visible_run_ids
from replay.errors import ConfigurationError
from replay.settings import Settings
from replay.topology import Queue
from tests.processes import Stack, is_waited_at, wait_for
from tests.scripted_model import ScriptedModel
from workers.app import make_app

pytestmark = pytest.mark.acceptance


def _freeze_idle_worker_send_three_and_kill_it(stack: Stack, waits_with: str) -> set[str]:
    """What a pause of a virtual machine does to a worker that waits for work; returns the runs that were sent."""
    worker = stack.worker("local", 1)
    wait_for(lambda: is_waited_at(stack.client, waits_with), "the worker to wait at the queue")
    worker.signal(signal.SIGSTOP)
    runs = stack.submit(3)
    wait_for(lambda: depths(stack.client).waiting[Queue.LOCAL] == 2, "the server to hand one message out")
    worker.kill()
    return runs


@pytest.mark.parametrize(("atomic_claim", "waits_with", "lost"), [(0, "brpop", 1), (1, "blmove", 0)])
def test_a_frozen_and_killed_idle_worker(
    data_dir: Path, broker_url: str, atomic_claim: int, waits_with: str, lost: int
) -> None:
    """With Celery's transport the message that it was handed is nowhere in the broker; with ours it is, and is run."""
    settings = {"atomic_claim": atomic_claim, "visibility_timeout_s": 5}
    with ScriptedModel() as model, Stack(data_dir, broker_url=broker_url, base_url=model.base_url, **settings) as stack:
        runs = _freeze_idle_worker_send_three_and_kill_it(stack, waits_with)
        visible = visible_run_ids(stack.client)
        assert sum(run_id not in visible for run_id in runs) == lost
        # Nor does kombu hold it in a place that we do not look at.
        assert stack.client.hvals("unacked") == []
        stack.worker("local", 1)
        stack.writer()
        ended = stack.wait_until_ended(3 - lost)
        wait_for(stack.is_empty, "the broker to be empty")
        assert len(set(ended)) == 3 - lost


def _is_renewed(stack: Stack) -> Callable[[], bool]:
    seen: dict[Any, set[Any]] = {}

    def moved() -> bool:
        leases: Any = stack.client.zrange("unacked_index", 0, -1, withscores=True)
        for tag, renewed_at in leases:
            seen.setdefault(tag, set()).add(renewed_at)
        return any(len(times) > 1 for times in seen.values())

    return moved


def test_the_stock_transport_does_the_work(data_dir: Path, broker_url: str) -> None:
    """Both lanes end in evidence once; kombu's lease is renewed as well, and nothing is left in either book."""
    settings = {"atomic_claim": 0, "visibility_timeout_s": 5}
    with (
        ScriptedModel(mode="reject", delay_s=1.5) as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, **settings) as stack,
    ):
        runs = stack.submit(2, allow_escalation=True)
        for role in ("local", "escalation"):
            stack.worker(role, 1)
        stack.writer()
        wait_for(_is_renewed(stack), "kombu's lease to be renewed")
        assert sorted(stack.wait_until_ended(2)) == sorted(runs)
        wait_for(stack.is_empty, "the broker to be empty")
        wait_for(lambda: not stack.client.exists("unacked", "unacked_index"), "kombu to hold nothing")
        assert model.count == 4


def test_signed_messages_need_our_transport() -> None:
    """Celery's own looks at no signature, so that the two settings together are refused."""
    with pytest.raises(ConfigurationError, match="REPLAY_MESSAGE_KEY"):
        make_app(Settings(atomic_claim=False, message_key=SecretStr("0123456789abcdef0123")))
