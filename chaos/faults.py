"""The damage: one method for each family of faults. Everything random in a fault comes from its own seed."""

from __future__ import annotations

import random
import resource
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial

import redis

from broker import heartbeat
from chaos.clock import JUMP_S
from chaos.plan import Kind, Planned
from chaos.processes import Member
from chaos.recovery import Watch
from chaos.tearing import is_whole, tear
from chaos.world import World
from replay.contracts import Tier

SLOW_BYTES_PER_S = 100_000
_TIERS = {"local": Tier.LOCAL, "escalation": Tier.ESCALATION}
# As of `producer.scheduler`, which is no setting.
_SCHEDULER_LEASE_S = 10.0
_AT_WORK = 0.85


class Passed(Exception):
    """A fault that cannot be made just now; the text says why."""


class Faults:
    """Strikes a world.

    Args:
        world: What is struck.
        watch: Told of kills, so that it can time the recovery.
    """

    def __init__(self, world: World, watch: Watch) -> None:
        self._world = world
        self._watch = watch

    def strike(self, planned: Planned) -> None:
        """Make one fault; what of it comes later is put on the world's agenda."""
        rng = random.Random(planned.seed)  # noqa: S311  dice, no secret
        try:
            said = self._chosen(planned.kind)(rng)
        except Passed as passed:
            self._world.journal.note(f"{planned.kind}: passed over, {passed}")
        else:
            self._world.journal.fault(planned.kind, said)

    def _chosen(self, kind: Kind) -> Callable[[random.Random], str]:
        special: dict[Kind, Callable[[random.Random], str]] = {
            Kind.KILL_CHILD: self._kill_child,
            Kind.KILL_PRODUCER: self._kill_producer,
            Kind.FREEZE_PRODUCER: partial(self._freeze_producer, kills=False),
            Kind.FREEZE_KILL_PRODUCER: partial(self._freeze_producer, kills=True),
            Kind.KILL_BROKER: self._kill_broker,
            Kind.WIPE_BROKER: self._wipe_broker,
            Kind.FULL_DISK: self._fill_disk,
            Kind.TORN_LOG: self._tear_log,
            Kind.SLOW_LINK: self._slow_link,
        }
        if kind in special:
            return special[kind]
        verb, _, role = kind.rpartition("-")
        verbs = {
            "kill": self._kill,
            "freeze": self._freeze,
            "freeze-kill": self._freeze_kill,
            "clock": self._set_clock,
        }
        return partial(verbs[verb], role)

    # --- processes ---------------------------------------------------------------------------------------------------

    def _kill(self, role: str, rng: random.Random) -> str:
        member = self._target(role, rng)
        pid = member.pid
        self._end(member)
        return f"{member.name}, process {pid}"

    def _freeze(self, role: str, rng: random.Random) -> str:
        member = self._target(role, rng)
        seconds = self._lease_s(role) * rng.uniform(1.05, 1.4)
        member.freeze()
        self._world.later(seconds, partial(self._thaw, member, member.pid))
        return f"{member.name}, process {member.pid}, for {seconds:.1f} s"

    def _freeze_kill(self, role: str, rng: random.Random) -> str:
        member = self._target(role, rng)
        seconds = self._lease_s(role) * rng.uniform(0.1, 1.2)
        member.freeze()
        self._world.later(seconds, partial(self._end_frozen, member, member.pid))
        return f"{member.name}, process {member.pid}, killed after {seconds:.1f} s"

    def _set_clock(self, role: str, rng: random.Random) -> str:
        member = self._target(role, rng)
        if member.clock is None:
            raise Passed("libfaketime is not installed (Debian: apt-get install faketime)")
        off_s = rng.choice((-JUMP_S, JUMP_S))
        seconds = self._lease_s(role) * rng.uniform(0.5, 1.5) + 1
        member.clock.set_off(off_s)
        self._world.later(seconds, partial(self._set_right, member))
        return f"{member.name}, process {member.pid}, {off_s:+d} s for {seconds:.1f} s"

    def _set_right(self, member: Member) -> None:
        self._world.journal.note(f"the clock of {member.name} is set right")
        if member.clock is not None:
            member.clock.set_off(0)

    def _kill_child(self, rng: random.Random) -> str:
        member = self._target("local", rng)
        children = member.children()
        if not children:
            raise Passed(f"{member.name} has no child yet")
        child = rng.choice(children)
        child.kill()
        return f"{member.name}, child {child.pid}"

    def _kill_producer(self, rng: random.Random) -> str:
        return self._while_submitting(rng, self._world.producer.kill, "killed")

    def _freeze_producer(self, rng: random.Random, *, kills: bool) -> str:
        producer = self._world.producer
        seconds = rng.uniform(1.0, 4.0)

        def freeze() -> None:
            producer.freeze()
            self._world.later(seconds, producer.kill if kills else producer.thaw)

        return self._while_submitting(rng, freeze, f"frozen for {seconds:.1f} s" + (", then killed" if kills else ""))

    def _while_submitting(self, rng: random.Random, action: Callable[[], None], what: str) -> str:
        """Act in the middle of a submission: some milliseconds after its manifest, or at any time of a resumed one."""
        world, producer = self._world, self._world.producer
        if producer.frozen:
            raise Passed("it is frozen")
        producer.hurry(world.files)
        deadline = world.journal.seconds + 10
        delay_s, early_s = rng.uniform(0, 0.03), rng.uniform(0.5, 1.5)
        began = world.journal.seconds

        def look() -> None:
            if producer.is_submitting and (producer.has_written or world.journal.seconds - began > early_s):
                world.journal.note(f"the producer is {what}")
                world.later(delay_s, action)
            elif world.journal.seconds < deadline:
                world.later(0, look)

        look()
        return f"the next submission is {what}"

    def _end(self, member: Member) -> None:
        member.kill()
        if (tier := _TIERS.get(member.role)) is not None:
            scene = self._watch.scene(tier)
            timeout_s = self._world.settings.visibility_timeout_s
            self._world.later(timeout_s / 2, partial(self._watch.confirm, scene))

    def _end_frozen(self, member: Member, pid: int | None) -> None:
        if member.pid == pid:
            self._world.journal.note(f"{member.name} is killed while frozen")
            self._end(member)

    def _thaw(self, member: Member, pid: int | None) -> None:
        if member.pid == pid:
            self._world.journal.note(f"{member.name} goes on")
            member.thaw()

    def _target(self, role: str, rng: random.Random) -> Member:
        fitting = [member for member in self._world.members if member.role == role and member.is_running]
        if not fitting:
            raise Passed(f"no {role} runs")
        # Mostly one that works: a process takes seconds to start, and would be met there more often than not.
        working = [member for member in fitting if member.pid in self._beating()]
        return rng.choice(working if working and rng.random() < _AT_WORK else fitting)

    def _beating(self) -> set[int]:
        try:
            return {beat.pid for beat in heartbeat.alive(self._world.client)}
        except redis.RedisError:  # the broker is down
            return set()

    def _lease_s(self, role: str) -> float:
        settings = self._world.settings
        leases = {"writer": settings.writer_lease_s, "scheduler": _SCHEDULER_LEASE_S}
        return leases.get(role, float(settings.visibility_timeout_s))

    # --- broker ------------------------------------------------------------------------------------------------------

    def _kill_broker(self, rng: random.Random) -> str:
        del rng
        pid = self._world.broker.pid
        self._world.broker.kill()
        return f"process {pid}"

    def _wipe_broker(self, rng: random.Random) -> str:
        said = self._kill_broker(rng)
        self._watch.seen.wiped_at.append(time.time())
        folder = self._world.settings.run_dir / "valkey"
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
        if not self._world.has_scheduler:
            # As an operator would: the same files once more.
            self._world.producer.plan(self._world.files, over_s=10.0)
        return f"{said}, and its data are gone"

    def _slow_link(self, rng: random.Random) -> str:
        link, seconds = self._world.link, rng.uniform(3.0, 8.0)
        link.rate = SLOW_BYTES_PER_S
        self._world.later(seconds, partial(setattr, link, "rate", None))
        return f"{SLOW_BYTES_PER_S // 1000} kB/s for {seconds:.1f} s"

    # --- disk --------------------------------------------------------------------------------------------------------

    def _fill_disk(self, rng: random.Random) -> str:
        if not sys.platform.startswith("linux"):
            raise Passed("only Linux lets one process limit the files of another")
        log = self._world.settings.evidence_log
        limit = (log.stat().st_size if log.exists() else 0) + rng.randrange(20_000)
        seconds = rng.uniform(2.0, 6.0)
        for writer in self._writers():
            writer.largest_file = limit
            writer.limit_files(limit)
        self._world.later(seconds, self._make_room)
        return f"no file of a writer beyond {limit} bytes for {seconds:.1f} s"

    def _make_room(self) -> None:
        self._world.journal.note("there is room again")
        for writer in self._writers():
            writer.largest_file = None
            writer.limit_files(resource.RLIM_INFINITY)

    def _tear_log(self, rng: random.Random) -> str:
        log = self._world.settings.evidence_log
        if not is_whole(log):
            raise Passed("its last line is torn already, or there is none")
        for writer in self._writers():
            writer.kill()
        torn = tear(log, rng)
        return f"writers killed, {torn or 'a line torn by that itself'}"

    def _writers(self) -> list[Member]:
        return [member for member in self._world.members if member.role == "writer"]
