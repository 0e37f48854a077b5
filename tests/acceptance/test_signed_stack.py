"""A stack with a message key: what is not signed never runs, and the keys are in no file and no output."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.connection import connect
from broker.envelope import TASK_OF, Envelope
from broker.queues import depths
from broker.signing import Keyring
from replay import identity
from replay.corpus import snapshot
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM, Queue
from tests.batches import make_run
from tests.command_line import replay, tasks, write_tasks
from tests.factories import make_bundle, make_task
from tests.processes import environment, free_port, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

CANARY = "c4n4ry-7f1d"
KEY = f"{CANARY}-message-key"


@contextlib.contextmanager
def _up(data_dir: Path) -> Iterator[tuple[dict[str, str], ScriptedModel]]:
    """The whole stack of `replay up`, with every secret set."""
    snapshot.write([hit.record for hit in make_bundle().passages], Settings(data_dir=data_dir).corpus_dir)
    with ScriptedModel() as model:
        env = environment(
            data_dir,
            base_url=model.base_url,
            escalation_base_url=model.base_url,
            local_model="scripted",
            escalation_model="scripted",
            dashboard_port=free_port(),
            reconcile_interval_s=1,
            # The second key is an old one, that verifies only.
            message_key=f"{KEY},{CANARY}-old-message-key",
            api_key=f"{CANARY}-api-key",
            escalation_api_key=f"{CANARY}-escalation-key",
            openrouter_api_key=f"{CANARY}-openrouter-key",
            embedding_api_key=f"{CANARY}-embedding-key",
        )
        started = replay(env, "up")
        try:
            assert started.returncode == 0, started.stderr
            yield env, model
        finally:
            replay(env, "down")


def test_only_signed_messages_run_and_no_key_is_written(data_dir: Path, tmp_path: Path) -> None:
    """A forged task, a forged end and a good batch: the forgeries are dead letters, the batch ends, no key is told."""
    said: list[str] = []
    with _up(data_dir) as (env, model):

        def say(*words: str) -> str:
            ran = replay(env, *words)
            said.extend((ran.stdout, ran.stderr))
            return ran.stdout

        forged = make_task(custom_id="forged")
        wrong = Keyring([b"a key that an intruder made up"])
        with connect(Settings(data_dir=data_dir)) as broker:
            for keyring in (Keyring(), wrong, Keyring([f"{CANARY}-old-message-key".encode()])):
                # Signed for the other lane is not signed for this one either.
                task = Envelope(TASK_OF[Queue.LOCAL], f"{forged.run_id}:local", forged.wire())
                item = task.message(Queue.LOCAL, "tag", keyring)
                if keyring and keyring is not wrong:
                    item = task.message(Queue.ESCALATION, "tag", keyring)
                broker.lpush(Queue.LOCAL, json.dumps(item))
            broker.xadd(EVIDENCE_STREAM, {"record": identity.canonical_json(make_run(forged).wire())})
            wait_for(lambda: broker.llen(Queue.DEAD) == 3, "three dead letters")

            file = write_tasks(tmp_path / "tasks.jsonl", tasks(5, "good"))
            results: dict[str, Any] = json.loads(say("submit", str(file), "--wait", "--json"))
            assert {row["state"] for row in results["results"]} == {"accepted"}
            letters = json.loads(say("dead", "list", "--json"))
            assert {letter["cause"] for letter in letters} == {"signature: missing", "signature: of no key of ours"}
            assert [letter["run_id"] for letter in letters] == [forged.run_id] * 3
            say("dead", "show", letters[0]["id"])
            left = json.loads(say("dead", "requeue", "--all", "--json"))
            assert {one["fate"] for one in left} == {"left"}
            say("dead", "discard", "--cause", "signature:")
            wait_for(lambda: depths(broker).evidence == 0, "the writer to catch up")
            assert model.count == 5
        for words in (["doctor"], ["status", "--json"], ["evidence", "tail"]):
            say(*words)
        assert "REPLAY_MESSAGE_KEY" in "".join(said), "the doctor says that it is set"

    records = [json.loads(line) for line in Settings(data_dir=data_dir).evidence_log.read_text().splitlines()]
    of_forged = [record for record in records if record.get("run_id") == forged.run_id]
    assert {record["schema"] for record in of_forged} == {"replay_action.v1"}
    causes = [record["cause"] for record in records if record["schema"] == "replay_dead.v1"]
    assert sorted(causes) == ["signature: missing"] * 2 + ["signature: of no key of ours"] * 2
    written = [path for path in data_dir.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []
    assert CANARY not in "".join(said)
