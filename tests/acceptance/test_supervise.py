"""The supervised stack, with real processes: small scripts stand in for the programs."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from broker import embedded
from replay.errors import ConfigurationError, InputError, UnavailableError
from replay.settings import Settings
from stack import processes
from stack.control import ProgramState
from stack.paths import OWNER_VARIABLE, StackPaths
from stack.programs import Program
from stack.progress import Step
from stack.questions import broker_to_answer
from stack.readiness import Listening, Probe
from stack.supervise import down, restart, status, stop, up
from tests.processes import wait_for

pytestmark = pytest.mark.acceptance

# Says that it is up by a file, notes its end there, and ends at TERM.
STEADY = """
import os, signal, sys, time
from pathlib import Path
mark = Path(sys.argv[1])
def end(*_):
    with open(mark.parent / "ends", "a") as ends:
        ends.write(mark.name + "\\n")
    mark.unlink()
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
mark.write_text(str(os.getpid()))
print("here I am", flush=True)
while True:
    time.sleep(60)
"""

STUBBORN = STEADY.replace("signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")

PATIENT = STEADY.replace("def end(*_):", "terms = []\ndef end(*_):\n    terms.append(1)\n    if len(terms) < 2: return")

BROKEN = "import sys; print('no such colour: mauve', flush=True); sys.exit(3)"

SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


class Place:
    """A data directory and the programs that are supervised on it."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(data_dir=root / "data")
        self.marks = root / "marks"
        self.marks.mkdir(parents=True)
        self.paths = StackPaths.of(self.settings)

    def program(self, name: str, script: str = STEADY, order: int = 0, **fields: object) -> Program:
        """A program that is ready when its mark is there."""
        mark = self.marks / name
        file = self.marks / f"{name}.py"
        file.write_text(script)
        program = Program(
            name=name,
            argv=(sys.executable, str(file), str(mark)),
            log=self.paths.logs_dir / f"{name}.log",
            order=order,
            ready=lambda _pid: None if mark.is_file() else "its mark",
            ready_within_s=20.0,
            settle_s=1,
            start_retries=1,
            stop_wait_s=5,
        )
        return replace(program, **fields)  # type: ignore[arg-type]  # the fields of a test are written by hand

    def pid(self, name: str) -> int:
        """The pid that a program has noted."""
        return int((self.marks / name).read_text())

    def ended(self) -> list[str]:
        """Names of the programs that were told to end, in order."""
        ends = self.marks / "ends"
        return ends.read_text().split() if ends.is_file() else []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place whose stack is ended after the test, whatever became of it."""
    here = Place(tmp_path)
    yield here
    down(here.settings, programs=[], grace_s=1.0)
    assert processes.left_behind(here.paths) == []
    assert processes.supervisor_process(here.paths) is None


def answered(place: Place) -> Probe:
    """The question whether the embedded broker of this place answers."""
    return partial(broker_to_answer, place.settings)


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_up_waits_until_each_is_ready_and_down_stops_all_in_reverse(place: Place) -> None:
    """Programs start by their order, are ready when `up` returns, and stop in the opposite order."""
    programs = [place.program("first", order=0), place.program("second", order=1), place.program("third", order=2)]
    steps: list[Step] = []
    statuses = up(place.settings, programs=programs, on_step=steps.append)
    assert [entry.name for entry in statuses] == ["first", "second", "third"]
    assert all(psutil.pid_exists(place.pid(entry.name)) for entry in statuses)
    assert [step.program for step in steps if step.doing == "ready"] == ["first", "second", "third"]
    assert steps.index(Step("second", "starting")) > [step.doing for step in steps].index("ready")
    assert "here I am" in statuses[0].log.read_text()

    assert down(place.settings, programs=programs) is True
    assert place.ended() == ["third", "second", "first"]
    assert {entry.state for entry in status(place.settings, programs=programs)} == {ProgramState.STOPPED}
    assert down(place.settings, programs=programs) is False


def test_up_twice_is_up_once(place: Place) -> None:
    """A second `up` finds everything running and starts nothing."""
    programs = [place.program("steady")]
    up(place.settings, programs=programs)
    first = place.pid("steady")
    again = up(place.settings, programs=programs)
    assert [entry.pid for entry in again] == [first]


def test_a_crash_is_restarted(place: Place) -> None:
    """A program that is killed runs again, with another pid."""
    programs = [place.program("steady")]
    up(place.settings, programs=programs)
    first = place.pid("steady")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: place.pid("steady") != first, "another process")
    (entry,) = status(place.settings, programs=programs)
    assert entry.pid == place.pid("steady")


def test_a_failing_program_is_explained_and_nothing_stays(place: Place) -> None:
    """When a program cannot start, the error shows the end of its log and the others are stopped again."""
    programs = [place.program("steady"), place.program("broken", BROKEN, order=1)]
    with pytest.raises(UnavailableError, match=r"(?s)broken ended 2 times.*no such colour: mauve") as failure:
        up(place.settings, programs=programs)
    assert "broken.log" in failure.value.hint
    assert place.ended() == ["steady"]
    assert processes.supervisor_process(place.paths) is None


def test_a_program_that_never_gets_ready_is_named(place: Place) -> None:
    """A bound ends the wait; the error says what was waited for."""
    programs = [place.program("slow", ready=lambda _pid: "the moon", ready_within_s=0.5)]
    with pytest.raises(UnavailableError, match=r"slow was not ready within 0.5 s \(waited for the moon\)"):
        up(place.settings, programs=programs)


def test_a_taken_port_is_explained_before_anything_starts(place: Place) -> None:
    """The holder of the port is named, with the setting that chooses another; no process was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        programs = [place.program("first"), place.program("server", port=port, port_variable="REPLAY_LOCAL_PORT")]
        with pytest.raises(
            UnavailableError, match=rf"Port {port} of server is already taken by .*{os.getpid()}"
        ) as seen:
            up(place.settings, programs=programs)
    assert "REPLAY_LOCAL_PORT" in seen.value.hint
    assert not (place.marks / "first").exists()


def test_its_own_port_does_not_stop_a_second_up(place: Place) -> None:
    """A port that is held by the running program itself is no conflict."""
    port = free_port()
    server = place.program("server", SERVER, ready=Listening(port), port=port)
    server = replace(server, argv=(*server.argv[:2], str(port)))
    first = up(place.settings, programs=[server])
    again = up(place.settings, programs=[server])
    assert again[0].pid == first[0].pid


def test_a_killed_supervisor_is_cleared_away(place: Place) -> None:
    """After kill -9 of the supervisor the programs left behind are ended in order, and `up` starts anew."""
    programs = [place.program("first", order=0), place.program("second", order=1)]
    up(place.settings, programs=programs)
    before = place.pid("first")
    supervisor = processes.supervisor_process(place.paths)
    assert supervisor is not None
    supervisor.kill()
    wait_for(lambda: processes.has_ended(supervisor), "the supervisor to be gone")
    assert psutil.pid_exists(before)

    steps: list[Step] = []
    up(place.settings, programs=programs, on_step=steps.append)
    assert place.ended() == ["second", "first"]
    assert place.pid("first") != before
    assert [step.doing for step in steps if step.program == "supervisor"] == ["cleared"]


def test_down_ends_what_a_killed_supervisor_left(place: Place) -> None:
    """`down` works without a supervisor."""
    programs = [place.program("steady")]
    up(place.settings, programs=programs)
    supervisor = processes.supervisor_process(place.paths)
    assert supervisor is not None
    supervisor.kill()
    assert down(place.settings, programs=programs) is True
    assert place.ended() == ["steady"]


def test_a_program_that_overwrites_its_environment_is_still_found(place: Place) -> None:
    """A program may write its title over its environment; what a killed supervisor left is known by its session."""
    argv = embedded.command(place.settings)
    argv[argv.index("--set-proc-title") + 1] = "yes"
    programs = [replace(place.program("broker"), argv=tuple(argv), ready=answered(place))]
    embedded.prepare(place.settings)
    (entry,) = up(place.settings, programs=programs)
    assert entry.pid is not None
    left = psutil.Process(entry.pid)
    assert OWNER_VARIABLE not in left.environ()
    supervisor = processes.supervisor_process(place.paths)
    assert supervisor is not None
    supervisor.kill()
    assert down(place.settings, programs=programs) is True
    assert processes.has_ended(left)


def test_a_pid_file_that_names_a_stranger_harms_nobody(place: Place) -> None:
    """A stale pid file whose number now belongs to another process is not believed."""
    place.paths.create()
    place.paths.pidfile.write_text(str(os.getpid()))
    programs = [place.program("steady")]
    assert down(place.settings, programs=programs) is False
    up(place.settings, programs=programs)
    assert psutil.pid_exists(place.pid("steady"))


def test_a_program_that_ignores_term_is_killed(place: Place) -> None:
    """The grace bounds `down`, whatever a program does with its signals."""
    programs = [place.program("stubborn", STUBBORN, stop_wait_s=60)]
    up(place.settings, programs=programs)
    pid = place.pid("stubborn")
    steps: list[Step] = []
    down(place.settings, programs=programs, grace_s=0.5, on_step=steps.append)
    assert "killing" in [step.doing for step in steps]
    assert not psutil.pid_exists(pid)


def test_a_worker_that_takes_too_long_is_told_twice_before_it_is_killed(place: Place) -> None:
    """A program that minds its own children gets a second TERM after the grace; a worker hands its tasks back then."""
    programs = [place.program("worker", PATIENT, stop_wait_s=60, stop_as_group=False)]
    up(place.settings, programs=programs)
    steps: list[Step] = []
    down(place.settings, programs=programs, grace_s=0.5, on_step=steps.append)
    assert [step.doing for step in steps] == ["stopping", "handing back"]
    assert place.ended() == ["worker"]


def test_a_frozen_supervisor_does_not_freeze_down(place: Place) -> None:
    """A supervisor that is stopped by a signal is killed after the bound, and its programs end."""
    programs = [place.program("steady")]
    up(place.settings, programs=programs)
    supervisor = processes.supervisor_process(place.paths)
    assert supervisor is not None
    supervisor.suspend()
    with pytest.raises(UnavailableError, match="does not answer"):
        up(place.settings, programs=programs)
    down(place.settings, programs=programs)
    assert processes.has_ended(supervisor)
    assert place.ended() == ["steady"]


def test_what_has_to_drain_is_waited_for(place: Place) -> None:
    """A program with something left to do gets its stop signal only after that is done."""
    left = iter([f"{count} records" for count in (2, 1)])
    programs = [place.program("writer", before_stop=lambda _pid: next(left, None))]
    up(place.settings, programs=programs)
    steps: list[Step] = []
    down(place.settings, programs=programs, on_step=steps.append)
    assert [step.doing for step in steps] == ["draining", "stopping"]
    assert next(left, None) is None


def test_two_stacks_live_side_by_side(place: Place, tmp_path: Path) -> None:
    """Stacks on different data directories neither see nor stop each other."""
    other = Place(tmp_path / "other")
    up(place.settings, programs=[place.program("steady")])
    try:
        up(other.settings, programs=[other.program("steady")])
        down(place.settings, programs=[place.program("steady")])
        assert psutil.pid_exists(other.pid("steady"))
        assert other.ended() == []
    finally:
        down(other.settings, programs=[other.program("steady")])
    assert other.ended() == ["steady"]


def test_only_starts_what_it_names_and_restart_renews_it(place: Place) -> None:
    """`only` limits a start; `restart` gives the named program another process; a wrong name is refused."""
    programs = [place.program("one"), place.program("two")]
    statuses = {entry.name: entry for entry in up(place.settings, ["one"], programs=programs)}
    assert statuses["two"].state is ProgramState.STOPPED
    first = place.pid("one")
    restart(place.settings, ["one"], programs=programs)
    wait_for(lambda: place.pid("one") != first, "another process")
    with pytest.raises(InputError, match="no program three"):
        up(place.settings, ["three"], programs=programs)


def test_stop_stops_what_it_names_and_leaves_the_rest(place: Place) -> None:
    """The other programs and the supervisor go on; without a stack there is nothing to stop."""
    programs = [place.program("one"), place.program("two")]
    stop(place.settings, ["one"], programs=programs)
    up(place.settings, programs=programs)
    kept = place.pid("two")
    stop(place.settings, ["one"], programs=programs)
    assert place.ended() == ["one"]
    statuses = {entry.name: entry for entry in status(place.settings, programs=programs)}
    assert (statuses["one"].state, statuses["two"].pid) == (ProgramState.STOPPED, kept)
    with pytest.raises(InputError, match="no program three"):
        stop(place.settings, ["three"], programs=programs)


def test_other_settings_are_refused_by_name(place: Place) -> None:
    """A running stack is not taken for one with other settings."""
    programs = [place.program("steady")]
    up(place.settings, programs=programs)
    changed = Settings(data_dir=place.settings.data_dir, seed=8)
    with pytest.raises(ConfigurationError, match="another REPLAY_SEED"):
        up(changed, programs=programs)


def test_programs_see_the_settings_and_the_keys_stay_out_of_files(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings reach the programs by environment, whatever gave them; no file of the stack holds a key."""
    monkeypatch.setenv("REPLAY_SEED", "1")
    settings = Settings(data_dir=place.settings.data_dir, seed=99, api_key=SecretStr("not-to-be-written"))
    up(settings, programs=[place.program("steady")])
    seen = psutil.Process(place.pid("steady")).environ()
    assert seen["REPLAY_SEED"] == "99"
    assert seen["REPLAY_API_KEY"] == "not-to-be-written"
    for file in (*place.paths.run_dir.iterdir(), *place.paths.logs_dir.iterdir()):
        if file.is_file():
            assert b"not-to-be-written" not in file.read_bytes()
