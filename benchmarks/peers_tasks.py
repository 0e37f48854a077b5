# mypy: allow-untyped-calls
# Dramatiq says that it is typed and hardly is.
"""The same task for each peer, and how each enqueues it. Settings come from `PEER_*` variables.

For Celery, Dramatiq and RQ it is a function that waits, for taskiq and SAQ a coroutine (`peers_work`).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from typing import Any

import dramatiq
import redis
from celery import Celery
from dramatiq.brokers.redis import RedisBroker
from redis.asyncio import Redis as AsyncRedis
from rq import Queue, Retry
from saq.queue.redis import RedisQueue
from taskiq_redis import RedisStreamBroker

from benchmarks import stock
from benchmarks.peers_work import work, work_async, work_saq

BROKER_URL = os.environ.get("PEER_BROKER", "redis://127.0.0.1:6379/0")
OFTEN = 1000
_AT_ONCE = 32

dramatiq.set_broker(RedisBroker(url=BROKER_URL))
app: Celery = stock.make_app(os.environ.get("PEER_CELERY_BROKER"))
app.conf.broker_transport_options = json.loads(os.environ.get("PEER_CELERY_OPTIONS", "{}"))


app.task(work, name="work", shared=False)
actor = dramatiq.actor(max_retries=OFTEN)(work)

# The one of taskiq-redis' brokers that acknowledges. By default another process takes over after ten minutes.
taskiq_broker = RedisStreamBroker(BROKER_URL, **json.loads(os.environ.get("PEER_TASKIQ_OPTIONS", "{}")))
taskiq_work = taskiq_broker.task("work")(work_async)

saq_queue = RedisQueue(AsyncRedis.from_url(BROKER_URL))
saq_settings = {
    "queue": saq_queue,
    "functions": [("work", work_saq)],
    **json.loads(os.environ.get("PEER_SAQ_OPTIONS", "{}")),
}


def enqueue_celery(count: int) -> None:
    """Its messages, as any producer sends them."""
    for number in range(count):
        app.tasks["work"].apply_async((number,))


def enqueue_dramatiq(count: int) -> None:
    """As above."""
    for number in range(count):
        actor.send(number)


def enqueue_rq(count: int) -> None:
    """As above; a job that was cut off is tried again as often as it takes."""
    queue = Queue(connection=redis.Redis.from_url(BROKER_URL))
    for number in range(count):
        queue.enqueue(work, number, retry=Retry(max=OFTEN))


def enqueue_taskiq(count: int) -> None:
    """As above, many at once, as an asyncio program does."""

    async def send() -> None:
        await taskiq_broker.startup()
        await _in_turns(taskiq_work.kiq, count)
        await taskiq_broker.shutdown()

    asyncio.run(send())


def enqueue_saq(count: int) -> None:
    """As above; a job that was cut off is tried again as often as it takes."""

    async def send() -> None:
        await _in_turns(lambda number: saq_queue.enqueue("work", number=number, retries=OFTEN), count)
        await saq_queue.disconnect()

    asyncio.run(send())


async def _in_turns(send: Callable[[int], Coroutine[Any, Any, Any]], count: int) -> None:
    for first in range(0, count, _AT_ONCE):
        await asyncio.gather(*map(send, range(first, min(first + _AT_ONCE, count))))
