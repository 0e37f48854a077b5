"""Where one stack keeps its state. Everything follows from the data directory, so two stacks never meet."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from replay.errors import ConfigurationError
from replay.settings import Settings

# A Unix socket path holds 107 bytes on Linux and 103 on macOS; supervisord binds to the path with a dot and its pid
# appended before it renames.
_LONGEST_SOCKET = 90

OWNER_VARIABLE = "REPLAY_STACK"


@dataclass(frozen=True)
class StackPaths:
    """The files of one stack.

    Attributes:
        run_dir: Absolute; also the value of `REPLAY_STACK` in the environment of every process of the stack, which is
            what proves that a process is ours.
        conf: supervisord's configuration, rewritten by each start.
        pidfile: supervisord's own pid.
        socket: supervisord's control socket; outside `run_dir` where that path is too long for a socket.
        state: What the running stack was started with.
        session: What proves that a process was started by the running supervisor.
        lock: Held while the stack is started or stopped.
        logs_dir: One log file for each program.
    """

    run_dir: Path
    conf: Path
    pidfile: Path
    socket: Path
    state: Path
    session: Path
    lock: Path
    logs_dir: Path

    @classmethod
    def of(cls, settings: Settings) -> StackPaths:
        """Derive the paths from the settings; nothing is created."""
        run_dir = settings.run_dir.resolve()
        return cls(
            run_dir=run_dir,
            conf=run_dir / "supervisord.conf",
            pidfile=run_dir / "supervisord.pid",
            socket=_socket(run_dir),
            state=run_dir / "stack.json",
            session=run_dir / "session.json",
            lock=run_dir / "stack.lock",
            logs_dir=settings.logs_dir.resolve(),
        )

    @property
    def log(self) -> Path:
        """Supervisord's own log."""
        return self.logs_dir / "supervisord.log"

    def create(self) -> None:
        """Make the directories; the ones that hold sockets can be entered by their owner only.

        Raises:
            ConfigurationError: The socket's directory under the temporary one is not private to this user.
        """
        self.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs_dir.mkdir(parents=True, exist_ok=True)
        if self.socket.parent == self.run_dir:
            return
        # A foreseeable name in a directory that everybody can write: somebody else may have made it first.
        self.socket.parent.mkdir(exist_ok=True, mode=0o700)
        found = self.socket.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ConfigurationError(
                f"{self.socket.parent} is not a private directory of this user.",
                hint="Remove it, or set REPLAY_DATA_DIR to a shorter path so that the socket fits beside the data.",
            )

    def clear(self) -> None:
        """Remove what a running stack leaves, once nothing of it runs any more."""
        for leftover in (self.pidfile, self.socket, self.state, self.session):
            leftover.unlink(missing_ok=True)
        if self.socket.parent != self.run_dir:
            with suppress(OSError):  # it was never made, or holds something of somebody else
                self.socket.parent.rmdir()


def _socket(run_dir: Path) -> Path:
    near = run_dir / "supervisor.sock"
    if len(os.fsencode(near)) <= _LONGEST_SOCKET:
        return near
    mark = hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"replay-{os.getuid()}-{mark}" / "supervisor.sock"
