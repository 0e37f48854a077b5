"""Starting, stopping and looking at the local stack.

supervisord (a library dependency) keeps the programs running; this module decides the order in which they start and
stop, knows when each is really ready, and clears what a killed supervisor left behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from replay.errors import InputError, UnavailableError
from replay.settings import Settings
from stack.control import ALIVE, Control, ProgramState
from stack.paths import StackPaths
from stack.preflight import check_needs
from stack.programs import Program, every_program, local_stack
from stack.progress import OnStep, silent
from stack.starting import check_ports, clear_stale, refuse_other_settings, start_in_order, start_supervisor
from stack.stopping import stop_all, stop_in_order


@dataclass(frozen=True)
class ProgramStatus:
    """How one program stands. `pid` is None and `uptime_s` 0 where it does not run."""

    name: str
    state: ProgramState
    pid: int | None
    uptime_s: int
    log: Path
    problem: str = ""


def up(
    settings: Settings,
    only: Collection[str] | None = None,
    *,
    programs: Sequence[Program] | None = None,
    on_step: OnStep = silent,
) -> list[ProgramStatus]:
    """Start the stack, or what is missing of it, and return when every program is ready.

    Where this call started the supervisor and something fails, everything that it started is stopped again. Programs
    of a stack that ran before are left alone.

    Args:
        settings: Where, and with what.
        only: Names of programs to start; None: all.
        programs: Another list than `local_stack(settings)`.
        on_step: Is told what happens.

    Raises:
        InputError: `only` names a program that is not in the stack.
        ConfigurationError: The running stack was started with other settings.
        CorpusError: There is no corpus for the local worker.
        ModelFileError: The file of an embedded model is not here.
        UnavailableError: A port is taken, or a program did not become ready; the message holds the end of its log.
    """
    chosen = tuple(local_stack(settings) if programs is None else programs)
    wanted = _choose(chosen, only)
    if programs is None:
        check_needs(settings, {program.name for program in wanted})
    paths = StackPaths.of(settings)
    paths.create()
    with _alone(paths):
        control = Control(paths.socket)
        started_here = not control.answers()
        if started_here:
            clear_stale(paths, chosen, on_step)
        else:
            refuse_other_settings(settings, chosen, paths)
        running = set() if started_here else {name for name, info in control.processes().items() if info.state in ALIVE}
        check_ports([program for program in wanted if program.name not in running])
        if not started_here:
            start_in_order(control, wanted, on_step)
            return _statuses(control, chosen, ready=wanted)
        try:
            start_supervisor(settings, chosen, paths, control)
            start_in_order(control, wanted, on_step)
            return _statuses(control, chosen, ready=wanted)
        except BaseException:
            # Ctrl-C as well: half a stack helps nobody.
            stop_all(paths, chosen, control, on_step, grace_s=5.0)
            raise


def down(
    settings: Settings,
    *,
    programs: Sequence[Program] | None = None,
    grace_s: float | None = None,
    on_step: OnStep = silent,
) -> bool:
    """Stop the stack and lose nothing: workers finish first, then the writer drains, the broker goes last.

    Args:
        settings: Which stack.
        programs: Another list than that of `stack.programs`.
        grace_s: Bound on the wait for each group of programs, after which it is killed; None: each program's own
            `stop_wait_s`. What is killed loses no task: it is run again by whoever starts the stack next.
        on_step: Is told what happens.

    Returns:
        False where nothing ran.
    """
    paths = StackPaths.of(settings)
    if not paths.run_dir.is_dir():
        return False
    chosen = tuple(every_program(settings) if programs is None else programs)
    with _alone(paths):
        return stop_all(paths, chosen, Control(paths.socket), on_step, grace_s)


def stop(
    settings: Settings,
    only: Collection[str],
    *,
    programs: Sequence[Program] | None = None,
    grace_s: float | None = None,
    on_step: OnStep = silent,
) -> None:
    """Stop the named programs, in order, and leave the others and the supervisor running; nothing where none runs.

    Args:
        settings: Which stack.
        only: Names of programs.
        programs: Another list than that of `stack.programs`.
        grace_s: As for `down`.
        on_step: Is told what happens.

    Raises:
        InputError: `only` names a program that is not in the stack.
    """
    wanted = _choose(tuple(every_program(settings) if programs is None else programs), only)
    paths = StackPaths.of(settings)
    if not paths.run_dir.is_dir():
        return
    with _alone(paths):
        control = Control(paths.socket)
        if control.answers():
            stop_in_order(control, wanted, on_step, grace_s)


def status(settings: Settings, *, programs: Sequence[Program] | None = None) -> list[ProgramStatus]:
    """How each program of the stack stands; all are `stopped` where no supervisor answers."""
    chosen = tuple(local_stack(settings) if programs is None else programs)
    control = Control(StackPaths.of(settings).socket, timeout_s=3.0)
    if not control.answers():
        return [ProgramStatus(program.name, ProgramState.STOPPED, None, 0, program.log) for program in chosen]
    return _statuses(control, chosen)


def restart(
    settings: Settings,
    only: Collection[str] | None = None,
    *,
    programs: Sequence[Program] | None = None,
    on_step: OnStep = silent,
) -> list[ProgramStatus]:
    """Stop the named programs (None: all) and start them again in order.

    Raises:
        InputError: `only` names a program that is not in the stack.
        UnavailableError: No stack runs, or a program did not become ready.
    """
    chosen = tuple(local_stack(settings) if programs is None else programs)
    wanted = _choose(chosen, only)
    paths = StackPaths.of(settings)
    control = Control(paths.socket)
    if not control.answers():
        raise UnavailableError(f"No stack runs on {settings.data_dir}.", hint="Start it with `replay up`.")
    with _alone(paths):
        stop_in_order(control, wanted, on_step, grace_s=None)
        start_in_order(control, wanted, on_step)
        return _statuses(control, chosen, ready=wanted)


def _choose(programs: Sequence[Program], only: Collection[str] | None) -> list[Program]:
    if only is None:
        return list(programs)
    names = [program.name for program in programs]
    if unknown := sorted(set(only) - set(names)):
        raise InputError(
            f"The stack has no program {', '.join(unknown)}.", hint=f"With these settings it has: {', '.join(names)}."
        )
    return [program for program in programs if program.name in only]


def _statuses(control: Control, programs: Sequence[Program], *, ready: Collection[Program] = ()) -> list[ProgramStatus]:
    """The programs as supervisord sees them; one that has just said that it is ready runs, however short a time."""
    known = control.processes()
    ready_names = {program.name for program in ready}
    statuses = []
    for program in programs:
        info = known.get(program.name)
        if info is None:
            statuses.append(ProgramStatus(program.name, ProgramState.STOPPED, None, 0, program.log))
            continue
        runs = info.state is ProgramState.STARTING and program.name in ready_names
        state = ProgramState.RUNNING if runs else info.state
        statuses.append(ProgramStatus(program.name, state, info.pid, info.uptime_s, program.log, info.problem))
    return statuses


@contextmanager
def _alone(paths: StackPaths) -> Iterator[None]:
    try:
        with filelock.FileLock(paths.lock, timeout=0):
            yield
    except filelock.Timeout as taken:
        raise UnavailableError(
            f"Another `replay up` or `replay down` works on {paths.run_dir} at this moment.",
            hint="Wait for it to end, then try again.",
        ) from taken
