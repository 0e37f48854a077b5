"""What the broker holds, read without knowing how: every key that names a run, whoever put it there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import redis

from replay.topology import Queue

_RUN = re.compile(rb"run_[0-9a-f]{8,}")
_PAGE = 500


def held(client: redis.Redis) -> dict[str, set[str]]:
    """The runs that are named in lists, hashes and streams of the broker, by key. Dead letters are no work."""
    found: dict[str, set[str]] = {}
    for key in cast("Iterator[bytes]", client.scan_iter(count=_PAGE)):
        if key == Queue.DEAD.value.encode():
            continue
        runs = {run.decode() for value in _values(client, key) for run in _RUN.findall(value)}
        if runs:
            found[key.decode("utf-8", "replace")] = runs
    return found


def leases(client: redis.Redis) -> dict[str, int]:
    """Leases that are still held, by key: with Celery's own transport and with ours."""
    keys = cast("Iterator[bytes]", client.scan_iter(match="*unacked_index", count=_PAGE))
    return {key.decode(): count for key in keys if (count := client.zcard(key))}


def _values(client: redis.Redis, key: bytes) -> Iterator[bytes]:
    match cast("bytes", client.type(key)):
        case b"list":
            yield from cast("list[bytes]", client.lrange(key, 0, -1))
        case b"hash":
            yield from cast("dict[bytes, bytes]", client.hgetall(key)).values()
        case b"stream":
            for _, fields in cast("list[Any]", client.xrange(key)):
                yield from fields.values()
