"""Starting the programs of a stack in order, each one only when what it needs is ready."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from replay.errors import ConfigurationError, UnavailableError
from replay.settings import Settings
from stack import config, ownership, ports, processes
from stack.control import ALIVE, Control, ProcessInfo, ProgramState
from stack.logs import tail
from stack.paths import StackPaths
from stack.programs import Program
from stack.progress import OnStep, Step
from stack.stopping import ORPHAN_PATIENCE_S, stop_order

_POLL_S = 0.1
_SUPERVISOR_START_S = 15.0


def check_ports(programs: Sequence[Program]) -> None:
    """Look for taken ports before anything is started.

    Raises:
        UnavailableError: One is taken; the message names the holder where the system tells it.
    """
    for program in programs:
        if program.port is not None and not ports.is_free(program.port):
            raise UnavailableError(
                f"Port {program.port} of {program.name} is already taken by {ports.holder(program.port)}.",
                hint="End that process"
                + (f", or choose another port with {program.port_variable}=…" if program.port_variable else "."),
            )


def clear_stale(paths: StackPaths, programs: Sequence[Program], on_step: OnStep) -> None:
    """End what a killed supervisor left running, so that a new one starts on clean ground.

    Raises:
        UnavailableError: The supervisor lives but does not answer: nothing is touched.
    """
    supervisor = processes.supervisor_process(paths)
    if supervisor is not None:
        raise UnavailableError(
            f"The supervisor of this stack (pid {supervisor.pid}) is there but does not answer at {paths.socket}.",
            hint="End it with `replay down`, then start the stack again.",
        )
    ended = processes.end_left_behind(paths, stop_order(programs), patience_s=ORPHAN_PATIENCE_S)
    if ended:
        on_step(Step("supervisor", "cleared", f"{len(ended)} processes that a killed supervisor had left behind"))
    paths.clear()


def start_supervisor(settings: Settings, programs: Sequence[Program], paths: StackPaths, control: Control) -> None:
    """Start supervisord in the background, with no program running yet.

    Raises:
        ConfigurationError: A path cannot be written into its configuration.
        UnavailableError: It did not come up.
    """
    paths.create()
    paths.conf.write_text(config.render(programs, paths), encoding="utf-8")
    paths.state.write_text(json.dumps(_started_with(settings, programs)), encoding="utf-8")
    # It forks into the background by itself, after it has read its configuration and bound its socket.
    started = subprocess.run(  # noqa: S603  our own interpreter and a file that we have just written
        [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(paths.conf)],
        env=config.environment(settings, paths, dict(os.environ)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    deadline = time.monotonic() + _SUPERVISOR_START_S
    while started.returncode == 0 and time.monotonic() < deadline:
        supervisor = processes.supervisor_process(paths)
        if supervisor is not None and control.answers():
            ownership.record(supervisor, paths)
            return
        time.sleep(_POLL_S)
    raise UnavailableError(
        f"The supervisor did not start: {(started.stderr or started.stdout).strip()}\n{tail(paths.log)}".strip(),
        hint=f"Its log is {paths.log}.",
    )


def start_in_order(control: Control, programs: Sequence[Program], on_step: OnStep) -> None:
    """Start programs by their order; return when all are ready. What runs already is only checked.

    Raises:
        UnavailableError: One did not become ready.
    """
    for _, group in groupby(sorted(programs, key=lambda program: program.order), key=lambda program: program.order):
        together = list(group)
        for program in together:
            on_step(Step(program.name, "starting"))
            control.start(program.name)
        _wait_until_ready(control, together, on_step)


def _wait_until_ready(control: Control, programs: list[Program], on_step: OnStep) -> None:
    began = time.monotonic()
    waiting = {program.name: program for program in programs}
    said: dict[str, str] = {}
    while waiting:
        known = control.processes()
        for program in list(waiting.values()):
            missing = _missing(program, known[program.name])
            if missing is None:
                del waiting[program.name]
                on_step(Step(program.name, "ready", f"after {time.monotonic() - began:.1f} s"))
            elif time.monotonic() - began > program.ready_within_s:
                raise _not_ready(program, f"was not ready within {program.ready_within_s:g} s (waited for {missing})")
            elif said.get(program.name) != missing:
                said[program.name] = missing
                on_step(Step(program.name, "waiting", missing))
        if waiting:
            time.sleep(_POLL_S)


def _missing(program: Program, info: ProcessInfo) -> str | None:
    if info.state is ProgramState.FATAL:
        raise _not_ready(program, f"ended {program.start_retries + 1} times right after its start")
    if info.state not in ALIVE:
        return f"its restart ({info.problem})" if info.problem else "its restart"
    if program.ready is None:
        return None if info.state is ProgramState.RUNNING else "it to settle"
    return program.ready(info.pid)


def _not_ready(program: Program, what: str) -> UnavailableError:
    return UnavailableError(
        f"{program.name} {what}. The end of its log:\n{tail(program.log)}",
        hint=f"The whole log is {program.log}; `replay doctor` looks for what is missing.",
    )


def refuse_other_settings(settings: Settings, programs: Sequence[Program], paths: StackPaths) -> None:
    """Keep a running stack from being taken for one with the settings of this call.

    Raises:
        ConfigurationError: It was started with others; the message names them.
    """
    try:
        before = json.loads(paths.state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    now = _started_with(settings, programs)
    changed = sorted(
        name
        for name in before["settings"].keys() | now["settings"].keys()
        if before["settings"].get(name) != now["settings"].get(name)
    )
    if changed or before["programs"] != now["programs"]:
        what = ", ".join(changed) or "its list of programs"
        raise ConfigurationError(
            f"A stack already runs on {settings.data_dir}, started with another {what}.",
            hint="Stop it with `replay down` first, or use the same settings.",
        )


def _started_with(settings: Settings, programs: Sequence[Program]) -> dict[str, Any]:
    return {
        "settings": config.exported(settings, secrets=False),
        "programs": {program.name: list(program.argv) for program in programs},
    }
