"""Users with few rights: every role does its whole work with its own user, and nothing that is another's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import access, cancelled, embedded, evidence_stream, heartbeat, lanes, writer_lease
from broker.access import Role
from broker.connection import connect
from broker.lanes import LaneState
from broker.signing import UNSIGNED
from cli.dashboard.actions import ProducerActions
from cli.dashboard.books import ProducerBooks
from producer import letters, requeue
from producer.reconcile import reconcile
from producer.requeue import Fate
from producer.scheduler import run_scheduler
from replay.contracts import Tier
from replay.errors import BrokerUnavailable, ConfigurationError
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM, Queue
from tests.processes import ROOT, Stack, environment, free_port, running, wait_for
from tests.scripted_model import ScriptedModel
from tests.web import Browser, dashboard


class Guarded:
    """A real server that knows our users only."""

    def __init__(self, port: int, passwords: dict[str, str]) -> None:
        self._port = port
        self._passwords = passwords
        self.admin = redis.Redis.from_url(self.url(access.ADMIN), protocol=2)

    def url(self, user: str) -> str:
        """As `REPLAY_BROKER_URL` of this user."""
        return f"redis://{user}:{self._passwords[user]}@127.0.0.1:{self._port}/0"

    def of(self, role: Role) -> str:
        """The same for a role."""
        return self.url(access.user(role))

    def refusals(self) -> list[str]:
        """What was refused to whom since the last call."""
        # With a user's name where the password was wrong.
        found = [f"{one['username']}: {one['reason']} {one['object']}" for one in self.admin.acl_log()]
        self.admin.acl_log_reset()
        return found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The server, with a users file from the command line."""
    folder = tmp_path_factory.mktemp("guarded")
    file, port = folder / "users.acl", free_port()
    command = [sys.executable, "-m", "cli.main", "broker", "acl", str(file), "--json"]
    made = subprocess.run(command, cwd=ROOT, env=environment(folder), check=True, capture_output=True, text=True)
    passwords = json.loads(made.stdout)
    assert not any(password in file.read_text() for password in passwords.values())
    assert file.stat().st_mode & 0o077 == 0
    server = embedded.command(Settings(data_dir=folder))[0]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), "--aclfile", str(file)]
    with running([server, *options], dict(os.environ), folder / "server.log") as process:
        found = Guarded(port, passwords)
        wait_for(lambda: process.exit_code is not None or _answers(found.admin), "the guarded server")
        assert process.exit_code is None, process.output
        yield found


@pytest.fixture
def server(guarded: Guarded) -> Guarded:
    """The server, empty."""
    guarded.admin.flushall()
    guarded.admin.acl_log_reset()
    return guarded


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _replay(env: dict[str, str], *words: str) -> Any:
    command = [sys.executable, "-m", "cli.main", *words, "--json"]
    ran = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def test_every_role_does_its_work_with_its_own_user(server: Guarded, data_dir: Path, tmp_path: Path) -> None:
    """A batch from its submission to the evidence, poison, lanes, a cancellation, a scheduler: nothing is refused."""
    with ScriptedModel() as model, Stack(data_dir, broker_url=server.of(Role.WORKER), base_url=model.base_url) as stack:

        def env_of(role: Role) -> dict[str, str]:
            return stack.env | {"REPLAY_BROKER_URL": server.of(role)}

        def settings_of(role: Role) -> Settings:
            return stack.settings.model_copy(update={"broker_url": server.of(role)})

        writing = running([sys.executable, "-m", "cli.main", "worker", "writer"], env_of(Role.WRITER), tmp_path / "w")
        with writing as writer:
            stack.client = server.admin  # the test's own looks
            local, escalation = stack.worker("local"), stack.worker("escalation", 1)
            server.admin.lpush(Queue.LOCAL.value, b"no message")
            file = tmp_path / "tasks.jsonl"
            # The second one comes from a model that says nothing useful: it is escalated.
            tasks = [{"custom_id": str(n), "task": f"Verify claim {n}.", "checklist": []} for n in range(4)]
            file.write_text("".join(json.dumps(task) + "\n" for task in tasks))
            submitted = _replay(env_of(Role.PRODUCER), "submit", str(file))
            assert submitted["enqueued"] == len(tasks)
            stack.wait_until_ended(len(tasks))
            wait_for(lambda: any(one["schema"] == "replay_dead.v1" for one in stack.evidence()), "the dead letter")

            operating, producing = settings_of(Role.OPERATOR), settings_of(Role.PRODUCER)
            with connect(operating) as client:
                [lying] = letters.choose(client, (), everything=True)
                assert requeue.Desk(operating, client).discard(lying).fate is Fate.DISCARDED
            with connect(producing) as client:
                assert lanes.look(client, lanes.door(Tier.LOCAL, producing)).state is LaneState.OPEN
                reconcile(submitted["batch_id"], producing, client, UNSIGNED)
            for role in (Role.WORKER, Role.WRITER):
                # What `replay worker ROLE --check` asks.
                with connect(settings_of(role)) as client:
                    assert heartbeat.alive(client)
            stop = threading.Event()
            scheduler = threading.Thread(target=run_scheduler, args=(settings_of(Role.PRODUCER), stop))
            scheduler.start()
            showing = settings_of(Role.DASHBOARD)
            browser = Browser(dashboard(showing, books=ProducerBooks(showing)))
            seen = wait_for(lambda: _roles(browser) >= _ALL and 1, "all four")
            for path in ("/", "/batches", "/runs", "/gate", "/corpus", "/review", "/dead", "/lanes", "/metrics"):
                assert browser.get(path).status_code == 200, path
            acting = ProducerActions(settings_of(Role.OPERATOR))
            assert acting.pause_lane("escalation", "", "somebody").ok
            assert acting.resume_lane("escalation", "somebody").ok
            assert acting.cancel_batch(submitted["batch_id"], "somebody").ok
            assert server.refusals() == []
            with pytest.raises(ConfigurationError, match="may not do this"):
                ProducerActions(showing).pause_lane("escalation", "", "somebody")
            assert [refusal.split()[0] for refusal in server.refusals()] == ["replay-dashboard:"]
            stop.set()
            scheduler.join()
            assert seen
            assert [process.stop() for process in (local, escalation, writer)] == [0, 0, 0]
    assert server.refusals() == []


def _roles(browser: Browser) -> set[str]:
    return {worker["role"] for worker in browser.get("/overview.json").json()["system"]["workers"]}


_ALL = {"local", "escalation", "writer", "scheduler"}

FORBIDDEN: dict[Role, list[Callable[[redis.Redis], Any]]] = {
    Role.PRODUCER: [
        lambda client: evidence_stream.append(client, b"{}"),
        lambda client: client.delete(EVIDENCE_STREAM),
        lambda client: lanes.pause(client, Tier.LOCAL, "because"),
        lambda client: client.lpush(Queue.DEAD.value, b"x"),
        lambda client: client.delete(Queue.DEAD.value),
    ],
    Role.WORKER: [
        lambda client: client.xreadgroup("replay.writer", "me", {EVIDENCE_STREAM: ">"}),
        lambda client: client.xdel(EVIDENCE_STREAM, "0-1"),
        lambda client: client.xrange(EVIDENCE_STREAM),
        lambda client: client.delete(writer_lease.KEY),
        lambda client: cancelled.cancel(client, "batch"),
        lambda client: client.lrange(Queue.DEAD.value, 0, -1),
    ],
    Role.WRITER: [
        lambda client: client.lpush(Queue.LOCAL.value, b"x"),
        lambda client: client.lrange(Queue.LOCAL.value, 0, -1),
        lambda client: client.eval("return redis.call('LLEN', KEYS[1])", 1, Queue.LOCAL.value),
        lambda client: cancelled.cancel(client, "batch"),
    ],
    Role.OPERATOR: [
        lambda client: client.delete(writer_lease.KEY),
        lambda client: client.xdel(EVIDENCE_STREAM, "0-1"),
    ],
    Role.DASHBOARD: [
        lambda client: client.lpush(Queue.LOCAL.value, b"x"),
        lambda client: client.eval("return redis.call('DEL', KEYS[1])", 1, Queue.LOCAL.value),
        lambda client: evidence_stream.append(client, b"{}"),
        lambda client: cancelled.cancel(client, "batch"),
        lambda client: lanes.pause(client, Tier.LOCAL, "because"),
    ],
}

NOBODYS: list[Callable[[redis.Redis], Any]] = [
    lambda client: client.flushall(),
    lambda client: client.config_set("appendonly", "no"),
    lambda client: client.config_get("*"),
    lambda client: client.keys("*"),
    lambda client: client.client_list(),
    lambda client: client.acl_list(),
    lambda client: client.shutdown(nosave=True),
    lambda client: client.get("another application's"),
    lambda client: client.set("another application's", "x"),
    lambda client: client.publish("channel", "x"),
]


@pytest.mark.parametrize("role", list(Role))
def test_no_role_may_do_what_is_anothers(server: Guarded, role: Role) -> None:
    """Each refusal is one of rights, and not another error."""
    assert set(FORBIDDEN) == set(Role)
    with connect(Settings(broker_url=server.of(role))) as client:
        for act in FORBIDDEN[role] + NOBODYS:
            with pytest.raises(redis.ResponseError, match=r"(?i)NOPERM|permission"):
                act(client)


@pytest.mark.parametrize("login", ["", "nobody:x@", f"{access.user(Role.WORKER)}:wrong@", ":wrong@"])
def test_nobody_gets_in_without_a_password(server: Guarded, login: str) -> None:
    """Neither as the default user nor with a wrong one; the error says where to look."""
    place = server.of(Role.WORKER).rpartition("@")[2]
    with pytest.raises(BrokerUnavailable, match="refuses the login") as caught:
        connect(Settings(broker_url=f"redis://{login}{place}"))
    assert "REPLAY_BROKER_URL" in caught.value.hint
