"""Checks inside the broker: is it set up to keep what it was given, do clocks agree, is anything held by nobody?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import redis
from packaging.version import InvalidVersion, Version
from redis.exceptions import RedisError

from broker import heartbeat, queues
from broker.claims import CONSUMER_TTL_S, claim_key, consumers_key, index_key, unacked_key
from broker.connection import connect, describe
from broker.overview import server
from replay.errors import BrokerUnavailable
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM, WRITER_GROUP
from stack.finding import Finding, fail, ok, warn

Check = Callable[[Settings], Iterator[Finding]]

# BLMOVE came with it; every Valkey has it. EVAL_RO came with 7.0.
_OLDEST = Version("7.0")
_FULL = 0.8
_SKEW_S = 2.0
_KEEP = "CONFIG SET appendonly yes (and in its configuration file), or accept that a crash costs work done twice."


def looking(name: str, check: Callable[[redis.Redis, Settings], Iterator[Finding]]) -> Check:
    """A check of the doctor's that looks into the broker; that it does not answer is the finding of another one."""

    def checked(settings: Settings) -> Iterator[Finding]:
        try:
            client = connect(settings, patience=0)
        except BrokerUnavailable:
            yield warn(name, "not looked at: the broker does not answer", "`replay doctor --only broker` says more.")
            return
        try:
            with client:
                yield from check(client, settings)
        except RedisError as error:
            yield fail(name, f"{describe(settings)} answers, but not to everything: {error}", "Look at its log.")

    return checked


def setup(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Version, persistence, eviction, memory, and that it is one server which takes writes."""
    del settings
    said: dict[str, Any] = {}
    for section in ("server", "persistence", "memory", "replication", "cluster"):
        said |= client.info(section)
    yield _version(server(client).version, str(said.get("redis_version", "")))
    yield _persistence(said)
    policy = said.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield ok("broker, eviction", "noeviction: a full broker refuses, it does not forget")
    else:
        yield fail(
            "broker, eviction", f"{policy}: a full broker drops queues", "CONFIG SET maxmemory-policy noeviction."
        )
    used, limit = int(said.get("used_memory", 0)), int(said.get("maxmemory", 0))
    room = f"{used / 2**20:.0f} MiB used" + (f" of {limit / 2**20:.0f} MiB" if limit else ", no maxmemory")
    if limit and used > _FULL * limit:
        mend = "Submit no more, start workers and see whether the writer is behind (`replay top`); or raise maxmemory."
        yield warn("broker, memory", room, mend)
    else:
        yield ok("broker, memory", room)
    if said.get("role", "master") != "master":
        yield fail("broker, role", "a replica, which takes no writes", "Set REPLAY_BROKER_URL to the primary.")
    if said.get("cluster_enabled"):
        mend = "Use one server, or a primary with replicas; see docs/scaling.md."
        yield fail("broker, role", "a cluster: our scripts take keys that lie on several nodes of it", mend)


def clocks(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Does the clock of this host agree with the broker's, and do those of the workers?"""
    del settings
    before = time.time()
    theirs = queues.server_time(client)
    after = time.time()
    beats = heartbeat.alive(client)
    now = queues.server_time(client)
    skew = theirs - (before + after) / 2
    told = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the broker's"
    effect = "Leases go by the broker's clock alone; waiting times and dates in the evidence are off by as much."
    mend = f"Synchronise it (chrony, systemd-timesyncd). {effect}"
    if abs(skew) - (after - before) > _SKEW_S:
        yield warn("clock of this host", told, mend)
    else:
        yield ok("clock of this host", told if abs(skew) > 0.1 else "as the broker's")
    off: dict[str, float] = {}
    for beat in beats:
        # A beat lies between now and its time to live in the past; what is outside is the clock of its host.
        ahead = max(0.0, beat.beat_at - now, now - beat.beat_at - heartbeat.TTL_S)
        off[beat.host] = max(off.get(beat.host, 0.0), ahead)
    for host, seconds in sorted(off.items()):
        if seconds > _SKEW_S:
            yield warn(f"clock of {host}", f"at least {seconds:.1f} s off the broker's", mend)


def held(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Is anything held by nobody: leases that ran out, claims of dead consumers, evidence of dead writers?"""
    now = queues.server_time(client)
    roles = {role for beat in heartbeat.alive(client) for role in beat.role.split("+")}
    found = list(_pending(client, has_writer="writer" in roles))
    for queue in queues.WORK:
        swept = bool(roles & {queue.value.removeprefix("replay."), "scheduler"})
        found += _held_of(client, queue.value, now, settings, swept=swept)
    yield from found
    if not found:
        yield ok("leases and claims", "nothing is held by nobody")


def _held_of(client: redis.Redis, name: str, now: float, settings: Settings, *, swept: bool) -> Iterator[Finding]:
    late = now - settings.visibility_timeout_s
    # A minute more: a sweep comes each twelfth of the timeout, at least each second.
    expired = client.zcount(index_key(name), "-inf", late - 60)
    lost = client.hlen(unacked_key(name)) - client.zcard(index_key(name))
    orphaned = 0
    for consumer, seen_at in cast(
        "list[tuple[bytes, float]]", client.zrange(consumers_key(name), 0, -1, withscores=True)
    ):
        if seen_at < now - CONSUMER_TTL_S - 60:
            orphaned += client.llen(claim_key(name, consumer.decode()))
    who = "A worker of that queue or a scheduler sweeps"
    mend = f"{who}, and one lives: look at its log." if swept else f"{who}, and none lives: `replay up`."
    if expired:
        yield warn(f"leases, {name}", f"{expired} ran out more than a minute ago", mend)
    if orphaned:
        yield warn(f"claims, {name}", f"{orphaned} messages were claimed by consumers that are gone", mend)
    if lost > 0:
        yield fail(
            f"leases, {name}",
            f"{lost} messages are in flight without a lease, so no sweep finds them",
            "Something else wrote to these keys. `replay batch reconcile --all` enqueues their runs again.",
        )


def _pending(client: redis.Redis, *, has_writer: bool) -> Iterator[Finding]:
    try:
        groups = client.xinfo_groups(EVIDENCE_STREAM)
    except RedisError:
        return  # no stream yet
    pending = sum(int(group["pending"]) for group in groups if group["name"] == WRITER_GROUP.encode())
    if pending and not has_writer:
        text = f"{pending} records were read by a writer that is gone, and are in no log yet"
        yield warn("evidence on its way", text, "Start a writer, which takes them over: `replay worker writer`.")


def _version(named: str, speaks: str) -> Finding:
    try:
        old = Version(speaks) < _OLDEST
    except InvalidVersion:
        return warn(
            "broker, version",
            f"{named}: it speaks as Redis {speaks or 'of no version'}",
            f"Use Redis {_OLDEST} or Valkey.",
        )
    if old:
        return fail(
            "broker, version", f"{named} lacks commands that are sent", f"Use Redis {_OLDEST} or later, or Valkey."
        )
    return ok("broker, version", named)


def _persistence(said: dict[str, Any]) -> Finding:
    if said.get("aof_enabled"):
        if said.get("aof_last_write_status", "ok") != "ok":
            return fail(
                "broker, persistence", "the last write of the append-only file failed", "Make room on its disk."
            )
        return ok("broker, persistence", "append-only file")
    if said.get("rdb_last_bgsave_status", "ok") != "ok":
        return fail("broker, persistence", "no append-only file, and the last snapshot failed", f"Make room. {_KEEP}")
    return warn("broker, persistence", "no append-only file: a crash forgets what came after the last snapshot", _KEEP)
