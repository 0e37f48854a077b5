# mypy: allow-untyped-calls
# Dramatiq says that it is typed and hardly is.
"""The same task for Celery, Dramatiq and RQ: work, and a note of its end. Settings come from `PEER_*` variables."""

from __future__ import annotations

import json
import os
import time

import dramatiq
import redis
from celery import Celery
from dramatiq.brokers.redis import RedisBroker
from rq import Queue, Retry

from benchmarks import stock

BROKER_URL = os.environ.get("PEER_BROKER", "redis://127.0.0.1:6379/0")
OFTEN = 1000

dramatiq.set_broker(RedisBroker(url=BROKER_URL))
app: Celery = stock.make_app(os.environ.get("PEER_CELERY_BROKER"))
app.conf.broker_transport_options = json.loads(os.environ.get("PEER_CELERY_OPTIONS", "{}"))


def work(number: int) -> None:
    """Wait as long as a fast model takes, then note the end by one short write, which survives the process."""
    time.sleep(float(os.environ["PEER_TASK_S"]))
    fd = os.open(os.environ["PEER_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, b"%d %.6f\n" % (number, time.time()))
    os.close(fd)


app.task(work, name="work", shared=False)
actor = dramatiq.actor(max_retries=OFTEN)(work)


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
