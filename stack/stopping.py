"""Stopping the programs of a stack so that nothing is lost: workers finish, the writer drains, the broker goes last."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import groupby

from stack import processes
from stack.control import ALIVE, ENDED, Control, ProcessInfo
from stack.paths import StackPaths
from stack.programs import Program
from stack.progress import OnStep, Step

# Room for a worker's second TERM and the few seconds that it gives its tasks then.
ORPHAN_PATIENCE_S = 18.0

_POLL_S = 0.1
_SUPERVISOR_STOP_S = 15.0
_DRAIN_S = 30.0
# A worker's second TERM gives its tasks five seconds before they go back on their queue.
_HAND_BACK_S = 13.0


def stop_all(
    paths: StackPaths, programs: Sequence[Program], control: Control, on_step: OnStep, grace_s: float | None
) -> bool:
    """Stop every program, the supervisor and whatever an earlier one left behind. Returns False where nothing ran.

    Args:
        paths: The stack.
        programs: Its programs.
        control: Its supervisor, which may be gone.
        on_step: Is told what happens.
        grace_s: Bound on the wait for each group of programs; None: each program's own `stop_wait_s`.
    """
    supervisor = processes.supervisor_process(paths)
    frozen = supervisor is not None and processes.is_frozen(supervisor)
    if not frozen and control.answers():
        stop_in_order(control, programs, on_step, grace_s)
        control.shutdown()
    if supervisor is not None and not _wait_for(
        lambda: processes.has_ended(supervisor), 0.0 if frozen else _SUPERVISOR_STOP_S
    ):
        # Frozen, or told to end by another caller and waiting for its programs: they are ended below, in order, by us.
        on_step(Step("supervisor", "killing", f"pid {supervisor.pid} does not end"))
        processes.end([supervisor], patience_s=1.0)
    orphans = processes.end_left_behind(paths, stop_order(programs), patience_s=ORPHAN_PATIENCE_S)
    paths.clear()
    return supervisor is not None or bool(orphans)


def stop_in_order(control: Control, programs: Sequence[Program], on_step: OnStep, grace_s: float | None) -> None:
    """Stop programs, the highest order first; each group has ended before the next one is told.

    Args:
        control: The supervisor.
        programs: What to stop.
        on_step: Is told what happens.
        grace_s: Bound on the wait for each group; None: the programs' own `stop_wait_s`. Then it is killed.
    """
    known = control.processes()
    by_order = sorted(programs, key=lambda program: -program.order)
    for _, group in groupby(by_order, key=lambda program: program.order):
        together = [program for program in group if program.name in known and known[program.name].state not in ENDED]
        for program in together:
            if program.before_stop is not None and known[program.name].state in ALIVE:
                _drain(program, on_step, grace_s)
            on_step(Step(program.name, "stopping"))
            control.stop(program.name)
        _wait_until_stopped(control, together, on_step, grace_s)


def _drain(program: Program, on_step: OnStep, grace_s: float | None) -> None:
    probe = program.before_stop
    if probe is None:
        return
    missing = probe(None)
    if missing is not None:
        on_step(Step(program.name, "draining", missing))
        # What stays in the stream is kept by the broker and written after the next start.
        _wait_for(lambda: probe(None) is None, _DRAIN_S if grace_s is None else grace_s)


def _wait_until_stopped(control: Control, programs: list[Program], on_step: OnStep, grace_s: float | None) -> None:
    # supervisord itself kills after `stop_wait_s`; the margin is for it to notice.
    longest = max((program.stop_wait_s for program in programs), default=0) + 10.0
    names = {program.name for program in programs}

    def alive() -> list[ProcessInfo]:
        return [info for name, info in control.processes().items() if name in names and info.state not in ENDED]

    if _wait_for(lambda: not alive(), longest if grace_s is None else grace_s):
        return
    gentle = {program.name for program in programs if not program.stop_as_group}
    for info in alive():
        if info.name in gentle and info.pid is not None:
            on_step(Step(info.name, "handing back", "what it works on is run again later"))
            processes.terminate(info.pid)
    _wait_for(lambda: not any(info.name in gentle for info in alive()), _HAND_BACK_S if gentle else 0.0)
    for info in alive():
        on_step(Step(info.name, "killing", "it did not stop in time"))
        if info.pid is not None:
            processes.kill_group(info.pid)
    _wait_for(lambda: not alive(), 10.0)


def stop_order(programs: Sequence[Program]) -> list[list[str]]:
    """Names of programs in the groups in which they stop."""
    orders = sorted({program.order for program in programs}, reverse=True)
    return [[program.name for program in programs if program.order == order] for order in orders]


def _wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
