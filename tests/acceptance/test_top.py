"""`replay top` on a real terminal: it draws, goes on, and gives the terminal back as it was."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.command_line import NOWHERE, REPLAY, replay
from tests.processes import Stack, environment, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

_CANONICAL = 3  # where termios keeps the local modes


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, env: dict[str, str], *words: str) -> None:
        self.outer, self._inner = pty.openpty()
        self._shown = b""
        os.set_blocking(self.outer, False)
        self.before = self.modes()
        self.process = subprocess.Popen(
            [REPLAY, *words],
            env=env | {"TERM": "xterm", "COLUMNS": "120", "LINES": "60"},
            stdin=self._inner,
            stdout=self._inner,
            stderr=self._inner,
            start_new_session=True,
        )

    def modes(self) -> int:
        """Whether it echoes and waits for whole lines, among others."""
        return int(termios.tcgetattr(self._inner)[_CANONICAL])

    def shown(self) -> str:
        """All that was written on it so far."""
        with suppress(BlockingIOError):
            while more := os.read(self.outer, 65536):
                self._shown += more
        return self._shown.decode(errors="replace")

    def close(self) -> None:
        """End what runs on it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.outer)
        os.close(self._inner)


@contextmanager
def _terminal(env: dict[str, str], *words: str) -> Iterator[Terminal]:
    terminal = Terminal(env, *words)
    try:
        yield terminal
    finally:
        terminal.close()


def test_it_shows_a_system_at_work_until_q(data_dir: Path, broker_url: str) -> None:
    """Queues, lanes, workers, rates and the last runs; then the terminal is as before."""
    with (
        ScriptedModel(mode="reject") as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url) as stack,
    ):
        stack.submit(20, allow_escalation=True)
        stack.client.lpush("replay.dead", b"bytes of a stranger")
        stack.worker("local")
        stack.worker("escalation", 1)
        stack.writer()
        with _terminal(stack.env, "top", "--interval", "0.3") as terminal:
            wait_for(lambda: "runs/s" in terminal.shown(), "the rates")
            assert terminal.modes() != terminal.before
            stack.wait_until_ended(20)
            wait_for(lambda: "rejected" in terminal.shown(), "the last runs")
            for word in ("replay.local", "replay.escalation", "dead letters", "escalation-", "writer-", "open"):
                assert word in terminal.shown(), word
            os.write(terminal.outer, b"xq")
            assert terminal.process.wait(10) == 0
            assert terminal.modes() == terminal.before
        once = replay(stack.env, "top", "--once")
        assert once.returncode == 0
        assert "replay.local" in once.stdout
        seen = json.loads(replay(stack.env, "top", "--once", "--json").stdout)
        assert seen["depths"]["dead"] == 1
        assert len(seen["recent"]) == 12
        assert {worker["role"] for worker in seen["workers"]} == {"local", "escalation", "writer"}


def test_ctrl_c_ends_it_and_gives_the_terminal_back(data_dir: Path, broker_url: str) -> None:
    """An interrupt is the other way to leave, and no error."""
    with _terminal(environment(data_dir, broker_url=broker_url, base_url=NOWHERE), "top") as terminal:
        wait_for(lambda: "no worker gives a sign of life" in terminal.shown(), "the first look")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(10) == 0
        assert terminal.modes() == terminal.before


def test_without_a_broker_it_says_what_to_do(data_dir: Path) -> None:
    """A sentence and exit code 3, on a terminal too."""
    ran = replay(environment(data_dir, base_url=NOWHERE), "top", "--json")
    assert ran.returncode == 3
    assert "replay up" in ran.stderr
