"""Workers on several hosts: one broker serves them all, and a host that vanishes takes nothing with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker import embedded, heartbeat
from evidence.verify import verify
from replay.corpus import snapshot
from replay.settings import Settings
from tests.command_line import REPLAY
from tests.factories import make_bundle
from tests.hosts import Hosts
from tests.processes import ROOT, Process, Stack, environment, wait_for

pytestmark = pytest.mark.acceptance

_PASSWORD = "between-hosts"  # noqa: S105  of a server that lives for a test
_MODEL_PORT = 8500
TASKS = 100


class House:
    """A broker host with the writer and the log, and worker hosts with a corpus and a model server each."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts = hosts
        self._folder = folder
        server = embedded.command(Settings(data_dir=folder))[0]
        socket = folder / "valkey.sock"
        listen = ["--bind", hosts.addresses["center"], "--port", "6379", "--unixsocket", str(socket)]
        keep = ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--requirepass", _PASSWORD]
        command = [server, *listen, *keep, "--dir", str(folder)]
        broker = hosts.start("center", command, environment(folder), folder / "broker.log")
        wait_for(lambda: socket.exists() or broker.exit_code is not None, "the broker's socket")
        assert broker.exit_code is None, broker.output
        # The test itself is on no host; it asks the broker through the file system.
        self.stack = Stack(folder / "center", broker_url=f"unix://:{_PASSWORD}@{socket}", visibility_timeout_s=5)
        for role in ("writer", "scheduler"):
            hosts.start("center", [REPLAY, "worker", role], self._env("center"), folder / f"{role}.log")

    def worker(self, host: str) -> Process:
        """Start a model server and a local worker on a host."""
        data_dir = self._folder / host
        if not data_dir.exists():
            snapshot.write([hit.record for hit in make_bundle().passages], Settings(data_dir=data_dir).corpus_dir)
            model = [sys.executable, str(ROOT / "tests" / "scripted_model.py"), "--port", str(_MODEL_PORT)]
            self.hosts.start(host, [*model, "--delay-ms", "50"], self._env(host), data_dir / "model.log")
        command = [REPLAY, "worker", "local", "-c", "2"]
        return self.hosts.start(host, command, self._env(host), data_dir / "worker.log")

    def busy_hosts(self, least: int) -> set[str]:
        """Hosts that give a sign of life and have started so many tasks."""
        return {
            beat.host for beat in heartbeat.alive(self.stack.client) if beat.role == "local" and beat.started >= least
        }

    def _env(self, host: str) -> dict[str, str]:
        url = f"redis://:{_PASSWORD}@{self.hosts.addresses['center']}:6379/0"
        return environment(
            self._folder / host,
            broker_url=url,
            base_url=f"http://127.0.0.1:{_MODEL_PORT}/v1",
            local_model="scripted",
            escalation_model="scripted",
            visibility_timeout_s=5,
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Three hosts on a switch."""
    with _house(tmp_path) as house:
        yield house


@contextmanager
def _house(folder: Path) -> Iterator[House]:
    with Hosts("center", "one", "two") as hosts:
        house = House(hosts, folder)
        with house.stack:
            yield house


def test_two_hosts_share_a_batch_and_neither_silence_nor_death_of_one_loses_or_doubles_a_run(house: House) -> None:
    """First a cable is out for a while, then a host loses power: cable out, processes gone."""
    runs = house.stack.submit(TASKS)
    house.worker("one")
    other = house.worker("two")
    wait_for(lambda: house.busy_hosts(10) == {"one", "two"}, "both hosts to work")
    # Its leases run out, and the other host makes its runs; what it commits when the cable is in again comes too late.
    house.hosts.unplug("two")
    house.stack.wait_until_ended(TASKS)
    wait_for(lambda: house.busy_hosts(0) == {"one"}, "the host to fall silent")
    house.hosts.plug("two")
    wait_for(lambda: house.busy_hosts(0) == {"one", "two"}, "the host to come back", timeout_s=60)
    assert other.exit_code is None, other.output
    wait_for(house.stack.is_empty, "the broker to be empty")
    assert sorted(house.stack.ended()) == sorted(runs)

    runs |= house.stack.submit(TASKS, batch_id="batch_afterwards")
    wait_for(lambda: len(house.stack.ended()) > TASKS + 20, "the second batch to be worked on")
    house.hosts.unplug("two")
    other.kill()
    assert len(house.stack.ended()) < 2 * TASKS
    house.stack.wait_until_ended(2 * TASKS)
    wait_for(house.stack.is_empty, "the broker to be empty")
    assert sorted(house.stack.ended()) == sorted(runs)
    assert not [record for record in house.stack.evidence() if record["schema"] == "replay_conflict.v1"]
    assert verify(house.stack.settings.evidence_log).ok
