"""One run, read downwards: start, faults, the wait for the end, the proof."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from chaos import checks, holdings, plan, recovery
from chaos.checks import Ledger
from chaos.faults import Faults
from chaos.journal import Journal
from chaos.options import Options
from chaos.recovery import Seen, Times, Watch
from chaos.world import TICK_S, Stalled, World
from replay.errors import ReplayError

_CONSUMERS = "replay.local.consumers"


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        options: Of the run.
        problems: What is wrong, in words; a run without any has passed.
        faults: How often each kind was made.
        ledger: The account of the evidence; None where it could not be read.
        unaccounted: Runs that neither broker nor evidence had before the reconciler was let in; None where it helped
            from the start.
        recoveries: Of the runs of killed workers.
        orphans: Runs whose worker was killed in mid-attempt.
        bound_s: What a recovery may take.
        has_scheduler: Whether the scheduler took part.
        seconds: From the first process to the proof.
        folder: Data, logs and journal.
    """

    options: Options
    problems: tuple[str, ...]
    faults: dict[str, int]
    ledger: Ledger | None
    unaccounted: int | None
    recoveries: Times
    orphans: int
    bound_s: float
    has_scheduler: bool
    seconds: float
    folder: Path

    @property
    def passed(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


def tell(options: Options, *, echo: bool = True) -> Outcome:
    """Make one run and judge it. Its folder is kept where something is wrong."""
    # A real disk, and a path short enough for a socket; the system's temporary folder is often in memory.
    place = "/var/tmp" if Path("/var/tmp").is_dir() else None  # noqa: S108  a new folder of its own in it
    folder = Path(tempfile.mkdtemp(prefix="replay-chaos-", dir=place))
    journal = Journal(folder / "journal.txt", echo=echo)
    journal.note(f"seed {options.seed}, {options.tasks} tasks, faults for {options.duration_s:.0f} s, in {folder}")
    outcome = _Run(options, folder, journal).outcome()
    for problem in outcome.problems:
        journal.note(f"WRONG: {problem}")
    if outcome.passed and not options.keep:
        shutil.rmtree(folder)
    return outcome


class _Run:
    def __init__(self, options: Options, folder: Path, journal: Journal) -> None:
        self._options = options
        self._folder = folder
        self._journal = journal
        self._problems: list[str] = []
        self._unaccounted: int | None = None

    def outcome(self) -> Outcome:
        world = World(self._options, self._folder, self._journal)
        watch = Watch(world.client)
        try:
            with world:
                self._live(world, watch)
        except Stalled as stalled:
            self._problems.append(str(stalled))
        ledger, recoveries = self._prove(world, watch.seen)
        return Outcome(
            options=self._options,
            problems=tuple(self._problems),
            faults=dict(self._journal.faults),
            ledger=ledger,
            unaccounted=self._unaccounted,
            recoveries=recoveries,
            orphans=len(watch.seen.orphans),
            bound_s=recovery.bound_s(world.settings.visibility_timeout_s),
            has_scheduler=world.has_scheduler,
            seconds=self._journal.seconds,
            folder=self._folder,
        )

    def _live(self, world: World, watch: Watch) -> None:
        options = self._options
        world.observers.append(lambda: watch.sample({tier: world.running(tier.value) for tier in recovery.LANES}))
        world.producer.plan(world.files, over_s=options.duration_s * 0.8)
        world.wait(world.ended, "the first end of a run")
        self._journal.note("the first run has ended; the faults begin")
        self._strike(world, Faults(world, watch))
        world.wait(lambda: world.is_calm and world.producer.is_done, "the faults to be over and all to be submitted")
        self._journal.note(f"the faults are over; {world.ended()} of {options.tasks} runs have ended")
        self._check_transport(world)
        if not options.reconciles:
            self._count_unaccounted(world)
        self._finish(world)
        self._check_broker(world)
        self._check_again(world)
        codes = {name: code for name, code in world.stop().items() if code}
        if codes:
            self._journal.note(f"exit codes of the clean stop: {codes}")

    def _strike(self, world: World, faults: Faults) -> None:
        options = self._options
        kinds = options.drawn if world.has_scheduler else {kind for kind in options.drawn if "scheduler" not in kind}
        planned = list(plan.draw(options.seed, kinds, duration_s=options.duration_s, every_s=options.every_s))
        began = time.monotonic()
        while time.monotonic() - began < options.duration_s:
            while planned and planned[0].at_s <= time.monotonic() - began:
                faults.strike(planned.pop(0))
            world.tick()
            time.sleep(TICK_S)

    def _check_transport(self, world: World) -> None:
        if self._options.transport == "stock" and world.client.exists(_CONSUMERS):
            raise Stalled("REPLAY_ATOMIC_CLAIM=false changes nothing here: the workers still use claims")

    def _count_unaccounted(self, world: World) -> None:
        """Wait until nothing moves any more, and count what nobody has."""
        quiet_s = 3 * recovery.bound_s(world.settings.visibility_timeout_s)
        seen, since = -1, time.monotonic()

        def is_quiet() -> bool:
            nonlocal seen, since
            if (count := world.ended()) != seen:
                seen, since = count, time.monotonic()
            return count == self._options.tasks or time.monotonic() - since > quiet_s

        world.wait(is_quiet, "the system to be quiet")
        # The broker first: a message moves from there into evidence.
        held = {run for runs in holdings.held(world.client).values() for run in runs}
        owed = self._owed(world)
        self._unaccounted = len(owed - held)
        self._journal.note(f"{len(owed)} runs have not ended; of {self._unaccounted} neither broker nor evidence knows")

    def _finish(self, world: World) -> None:
        """Wait for the end of all runs. Without a scheduler, what is owed is submitted again now and then."""
        again_at = time.monotonic()
        pause_s = recovery.bound_s(world.settings.visibility_timeout_s)

        def all_ended() -> bool:
            nonlocal again_at
            if world.ended() >= self._options.tasks:
                return True
            if not world.has_scheduler and time.monotonic() >= again_at and world.producer.is_done:
                world.producer.plan(world.files, over_s=1.0)
                again_at = time.monotonic() + pause_s
            return False

        try:
            world.wait(all_ended, f"{self._options.tasks} ends")
            world.wait(lambda: world.producer.is_done, "the last submissions")
        except Stalled:
            held = holdings.held(world.client)
            for run in sorted(self._owed(world))[:10]:
                where = [key for key, runs in held.items() if run in runs]
                self._journal.note(f"{run} has not ended and lies in {', '.join(where) or 'no place'}")
            raise
        self._journal.note("all runs have ended")

    def _check_broker(self, world: World) -> None:
        """Nothing may be stuck; the last acknowledgements may take a moment."""

        def faults() -> list[str]:
            try:
                return checks.broker_faults(holdings.held(world.client), holdings.leases(world.client))
            except redis.RedisError as error:
                return [f"the broker does not answer: {error}"]

        try:
            world.wait(lambda: not faults(), "the broker to be empty", poll_s=0.5)
        except Stalled:
            self._problems += faults()

    def _check_again(self, world: World) -> None:
        """The same files once more must enqueue nothing."""
        for file in world.files:
            ran = world.run("submit", str(file), "--json")
            if ran.returncode != 0:
                self._problems.append(f"submitting {file.name} again ended with {ran.returncode}: {ran.stderr[-300:]}")
            elif enqueued := json.loads(ran.stdout)["enqueued"]:
                self._problems.append(f"submitting {file.name} again enqueued {enqueued} tasks")

    def _prove(self, world: World, seen: Seen) -> tuple[Ledger | None, Times]:
        verified = world.run("evidence", "verify", "--json")
        self._problems += checks.chain_faults(verified.returncode, verified.stdout or verified.stderr)
        accepted = [task.run_id for batch in world.batches() for task in batch.tasks]
        if len(accepted) != self._options.tasks:
            self._problems.append(f"the manifests hold {len(accepted)} tasks, not {self._options.tasks}")
        try:
            log = list(checks.lines(world.reader))
        except ReplayError as error:
            self._problems.append(f"the evidence cannot be read: {error.message}")
            return None, Times()
        ledger = checks.balance(accepted, log)
        self._problems += ledger.faults()
        return ledger, recovery.times(seen, log)

    @staticmethod
    def _owed(world: World) -> set[str]:
        owed: set[str] = set()
        for batch in world.batches():
            owed |= {task.run_id for task in batch.tasks} - world.reader.terminal_ids(batch.batch_id)
        return owed
