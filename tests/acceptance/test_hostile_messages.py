"""Any bytes on a queue: they are kept, the worker goes on, and the good messages beside them run.

Some of these messages make a stock Celery worker exit or reconnect for ever, others are simply gone; the first tests
show it, so that they tell when ours is no longer needed.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import dead
from broker.connection import celery_url
from broker.envelope import Envelope
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.factories import make_task
from tests.processes import Process, Stack, environment, running, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

MARK = "bytes-that-must-not-vanish"


def _without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(message: dict[str, Any]) -> None:
        for name in path[:-1]:
            message = message[name]
        del message[path[-1]]

    return change


FAULTS = {
    "no content type": _without("content-type"),
    "no id": _without("headers", "id"),
    "no delivery info": _without("properties", "delivery_info"),
    "no delivery tag": _without("properties", "delivery_tag"),
    "no properties": _without("properties"),
}
STOPPING_STOCK = ("no content type", "no id")
LOST_BY_STOCK = ("no delivery info", "no delivery tag", "no properties")


def _message(change: Callable[[dict[str, Any]], None], custom_id: str = "one") -> bytes:
    task = make_task(MARK, custom_id=custom_id, options={"allow_escalation": False})
    message = Envelope(TaskName.AUDIT_LOCAL, f"{task.run_id}:local", task.wire()).message(Queue.LOCAL, "tag")
    # Plain text, so that the mark can be looked for.
    message["body"] = json.dumps([[task.wire()], {}, {}])
    del message["properties"]["body_encoding"]
    change(message)
    return json.dumps(message).encode()


def _traces(client: redis.Redis) -> list[str]:
    """Every list and hash that holds the mark."""
    read: dict[Any, Callable[[Any], Any]] = {b"list": lambda key: client.lrange(key, 0, -1), b"hash": client.hvals}
    keys = [key for key in client.scan_iter() if client.type(key) in read]
    return [key.decode() for key in keys if MARK.encode() in b"".join(read[client.type(key)](key))]


@contextlib.contextmanager
def _stock_worker(broker_settings: Settings, data_dir: Path) -> Iterator[tuple[Process, Path]]:
    done = data_dir / "done"
    env = environment(data_dir) | {"STOCK_BROKER": celery_url(broker_settings), "STOCK_DONE": str(done)}
    command = [sys.executable, "-m", "celery", "-A", "tests.acceptance.stock_worker", "worker", "-P", "solo"]
    with running([*command, "-Q", Queue.LOCAL], env, data_dir / "stock.log") as worker:
        yield worker, done


@pytest.mark.parametrize("fault", LOST_BY_STOCK)
def test_a_stock_worker_loses_a_malformed_message(
    valkey: redis.Redis, broker_settings: Settings, data_dir: Path, fault: str
) -> None:
    """With kombu's own transport the message is gone: not in a queue, not in flight, not run."""
    valkey.lpush(Queue.LOCAL, _message(FAULTS[fault]))
    assert _traces(valkey) == [Queue.LOCAL]
    with _stock_worker(broker_settings, data_dir) as (worker, done):
        wait_for(lambda: "Connection to broker lost" in worker.output, "the worker to stumble")
        assert _traces(valkey) == []
        assert not done.exists()


@pytest.mark.parametrize("fault", STOPPING_STOCK)
def test_a_stock_worker_is_stopped_by_a_malformed_message(
    valkey: redis.Redis, broker_settings: Settings, data_dir: Path, fault: str
) -> None:
    """With kombu's own transport it exits, or reconnects for ever, and the good message behind never runs."""
    valkey.lpush(Queue.LOCAL, _message(FAULTS[fault]), _message(lambda _: None, "good"))
    with _stock_worker(broker_settings, data_dir) as (worker, done):
        wait_for(lambda: worker.exit_code or worker.output.count("Connection to broker lost") > 2, "it to be stopped")
        assert not done.exists()


JUNK = {
    "no text": b"\xff\xfe\x00\x01",
    "empty": b"",
    "not an object": b"[1, 2]",
    "deeply nested": b"[" * 50_000,
    "no content type": _message(_without("content-type")),
    "no id": _message(_without("headers", "id")),
    "no task": _message(_without("headers", "task")),
    "no body": _message(_without("body")),
    "no headers": _message(_without("headers")),
    "foreign task": _message(lambda message: message["headers"].update(task="os.system")),
    "pickle": _message(lambda message: message.update({"content-type": "application/x-python-serialize"})),
    "compressed": _message(lambda message: message["headers"].update(compression="application/x-gzip")),
    "body no JSON": _message(lambda message: message.update(body="{")),
    "no arguments": _message(lambda message: message.update(body="[[],{},{}]")),
    "not a task": _message(lambda message: message.update(body='[[{"text": 7}],{},{}]')),
    "surrogate": _message(lambda message: message.update(body='[[{"text": "\\ud800"}],{},{}]')),
}


def test_our_worker_keeps_every_malformed_message_and_goes_on(data_dir: Path, broker_url: str) -> None:
    """Each becomes one dead letter, on the dead queue and in the log, and every good task between them runs."""
    with ScriptedModel() as model, Stack(data_dir, broker_url=broker_url, base_url=model.base_url) as stack:
        worker = stack.worker("local")
        stack.writer()
        for n, junk in enumerate(JUNK.values()):
            stack.client.lpush(Queue.LOCAL, junk)
            stack.submit(1, batch_id=f"batch_{n}")
        stack.wait_until_ended(len(JUNK))
        wait_for(stack.is_empty, "the broker to be empty")

        letters = dead.waiting(stack.client)
        assert sorted(letter.payload_bytes for letter in letters) == sorted(len(junk) for junk in JUNK.values())
        written = [record["id"] for record in stack.evidence() if record["schema"] == "replay_dead.v1"]
        assert sorted(written) == sorted(letter.id for letter in letters)
        assert worker.exit_code is None
        assert "Traceback" not in worker.output, worker.output


def test_our_worker_runs_messages_that_lack_only_bookkeeping(data_dir: Path, broker_url: str) -> None:
    """What kombu keeps for itself in an envelope is not needed: the tasks run."""
    with ScriptedModel() as model, Stack(data_dir, broker_url=broker_url, base_url=model.base_url) as stack:
        for fault in LOST_BY_STOCK:
            stack.client.lpush(Queue.LOCAL, _message(FAULTS[fault], fault))
        stack.worker("local", 1)
        stack.writer()
        stack.wait_until_ended(len(LOST_BY_STOCK))
        assert {record["custom_id"] for record in stack.evidence()} == set(LOST_BY_STOCK)
        assert not dead.waiting(stack.client)
