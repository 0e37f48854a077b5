"""The command line as a user meets it: real processes, a real broker and workers, and a scripted model server."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from broker import dead
from broker.envelope import Envelope
from broker.heartbeat import alive
from evidence.verify import verify
from replay.corpus import snapshot
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.command_line import CLAIM, REPLAY, commands, replay, tasks, write_tasks
from tests.factories import make_bundle, make_task
from tests.processes import ROOT, Stack, answers, environment, free_port, running, wait_for
from tests.scripted_model import Reply, ScriptedModel

pytestmark = pytest.mark.acceptance

# They run until they are told to stop, or show people what they do.
FOREGROUND = {"quickstart", "worker", "dashboard", "api", "broker serve", "models serve"}
# What they print is for programs whatever they are told.
PLAIN = {"evidence export", "evidence prove", "gate cases", "report"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, ScriptedModel]]:
    """Broker, writer and both workers, started by the command line, and a scripted model."""
    data_dir = tmp_path_factory.mktemp("cli")
    with contextlib.ExitStack() as owned:
        model = owned.enter_context(ScriptedModel())
        settings = Settings(data_dir=data_dir)
        broker = [REPLAY, "broker", "serve"]
        server = owned.enter_context(running(broker, environment(data_dir), data_dir / "broker.log"))
        wait_for(lambda: answers(settings) or server.exit_code is not None, "the broker to answer")
        # One try and one task at a time: the first task gets the first reply of a script.
        # No breaker: a script of bad replies must not stop the lane.
        stack = owned.enter_context(Stack(data_dir, base_url=model.base_url, transport_tries=1, breaker_failures=1000))
        for words in (["writer"], ["local", "-c", "1"], ["escalation"]):
            stack.start([REPLAY, "worker", *words])
        wait_for(lambda: len(alive(stack.client)) == 3, "writer and workers to report")
        yield stack, model


# --- batches ---------------------------------------------------------------------------------------------------------


def test_bad_lines_are_named_and_the_good_ones_run(house: tuple[Stack, ScriptedModel], tmp_path: Path) -> None:
    """Each bad line is told with its number and field and kept; the good ones end in evidence; exit code 1."""
    stack, _ = house
    good, another = tasks(2, "mixed")
    lines = [
        good,
        {"custom_id": "void", "task": "  "},
        {"custom_id": "long", "task": "x" * 32769},
        '{"custom_id": "broken", "task": ',
        {"custom_id": good["custom_id"], "task": "Another one."},
        {"custom_id": "strange", "task": CLAIM, "taks": "?"},
        {"custom_id": "nested", "task": CLAIM, "options": {"retrieval": "perhaps"}},
        ["not", "an", "object"],
        another,
    ]
    file = write_tasks(tmp_path / "mixed.jsonl", lines)
    ran = replay(stack.env, "submit", file, "--wait", "--json")
    assert ran.returncode == 1
    told = [
        f"{file}:2: field task: empty",
        f"{file}:3: field task: 32,769 bytes, the limit is 32,768",
        f"{file}:4: not JSON: ",
        f"{file}:5: field custom_id: 'mixed-0' stands in line 1 already",
        f"{file}:6: field taks: unknown field",
        f"{file}:7: field options.retrieval: ",
        f"{file}:8: not a JSON object",
    ]
    assert all(text in ran.stderr for text in told), ran.stderr
    kept = [json.loads(line) for line in Path(f"{file}.errors.jsonl").read_text().splitlines()]
    assert [error["line"] for error in kept] == list(range(2, 9))
    assert kept[2]["raw"] == lines[3]
    results = json.loads(ran.stdout)["results"]
    assert [(result["custom_id"], result["state"]) for result in results] == [
        ("mixed-0", "accepted"),
        ("mixed-1", "accepted"),
    ]


def test_a_file_without_a_good_line_is_refused(furnished: dict[str, str], tmp_path: Path) -> None:
    """Nothing to do is a mistake; the bad lines are kept."""
    ran = replay(furnished, "submit", write_tasks(tmp_path / "bad.jsonl", ["{", "[]"]))
    assert ran.returncode == 2
    assert "has no good line" in ran.stderr
    assert "bad.jsonl.errors.jsonl" in ran.stderr


def test_submitting_twice_adds_nothing_and_again_is_a_new_batch(
    house: tuple[Stack, ScriptedModel], tmp_path: Path
) -> None:
    """The same file is the same batch; `--again` is another one, on purpose; `-` reads the same from stdin."""
    stack, model = house
    file = write_tasks(tmp_path / "twice.jsonl", tasks(3, "twice"))
    first = json.loads(replay(stack.env, "submit", file, "--wait", "--json").stdout)
    asked = model.count
    second = replay(stack.env, "submit", file, "--json")
    value = json.loads(second.stdout)
    assert second.returncode == 0
    assert (value["batch_id"], value["enqueued"], value["already_done"]) == (first["batch_id"], 0, 3)
    assert model.count == asked
    piped = json.loads(replay(stack.env, "submit", "-", "--json", stdin=file.read_text()).stdout)
    assert (piped["batch_id"], piped["enqueued"]) == (first["batch_id"], 0)
    again = json.loads(replay(stack.env, "submit", file, "--again", "--wait", "--json").stdout)
    assert again["batch_id"] != first["batch_id"]
    assert [result["state"] for result in again["results"]] == ["accepted"] * 3
    assert model.count == asked + 3


REPLIES = {
    "empty": (Reply(""), "rejected", "transport.empty"),
    "cut at the limit": (Reply('{"findings": [{"li', finish_reason="length"), "rejected", "transport.truncated"),
    "prose": (Reply("It is as the evidence says."), "rejected", "form."),
    "half of it": (Reply('{"findings": [{"line": "L1", '), "rejected", "form."),
    "status 400": (Reply("no such parameter", status=400), "failed", "status 400"),
    "status 401": (Reply("who are you", status=401), "failed", "status 401"),
    "status 429": (Reply("slow down", status=429), "failed", "status 429"),
    "status 500": (Reply("oops", status=500), "failed", "status 500"),
    "status 503": (Reply("loading", status=503), "failed", "status 503"),
    "a page": (Reply(body=b"<html>busy</html>"), "failed", "not JSON"),
    "no choices": (Reply(body=b"{}"), "failed", "no chat completion"),
    "a cut connection": (Reply(cut="midway"), "failed", "closed connection"),
}


def test_whatever_the_model_server_does_ends_as_evidence(house: tuple[Stack, ScriptedModel], tmp_path: Path) -> None:
    """Each bad reply ends its task with the reason, the endpoint where it is at fault, and stops no other task."""
    stack, model = house
    lines = [{"custom_id": name, "task": CLAIM, "options": {"allow_escalation": False}} for name in (*REPLIES, "good")]
    model._script.extend(reply for reply, _, _ in REPLIES.values())
    ran = replay(stack.env, "submit", write_tasks(tmp_path / "replies.jsonl", lines), "--wait", "--json")
    assert ran.returncode == 1
    results = {result["custom_id"]: result for result in json.loads(ran.stdout)["results"]}
    for name, (_, state, reason) in REPLIES.items():
        assert results[name]["state"] == state, name
        assert reason in results[name]["reasons"][0], name
        if state == "failed":
            assert model.base_url in results[name]["reasons"][0], name
    assert results["good"]["state"] == "accepted"


def test_a_local_worker_killed_in_mid_batch_loses_and_doubles_nothing(
    furnished: dict[str, str], data_dir: Path, tmp_path: Path
) -> None:
    """`replay up`, `submit`, kill -9 of the local worker: it is started again and every task ends exactly once."""
    with ScriptedModel(delay_s=0.1) as model:
        env = furnished | {
            "REPLAY_BASE_URL": model.base_url,
            "REPLAY_VISIBILITY_TIMEOUT_S": "5",
            "REPLAY_DASHBOARD_PORT": str(free_port()),
        }
        file = write_tasks(tmp_path / "batch.jsonl", tasks(40, "killed"))
        try:
            up = replay(env, "up", "--json")
            assert up.returncode == 0, up.stderr
            assert {program["state"] for program in json.loads(up.stdout)} == {"running"}
            before = next(p["pid"] for p in json.loads(up.stdout) if p["name"] == "worker-local")
            assert replay(env, "submit", file).returncode == 0
            wait_for(lambda: model.count >= 10, "the batch to be under way")
            os.kill(before, signal.SIGKILL)
            ran = replay(env, "submit", file, "--wait", "--json")
            assert ran.returncode == 0, ran.stderr
            assert [result["state"] for result in json.loads(ran.stdout)["results"]] == ["accepted"] * 40
            status = json.loads(replay(env, "status", "--json").stdout)
            assert before not in {program["pid"] for program in status["programs"]}
        finally:
            down = replay(env, "down", "--json")
        assert json.loads(down.stdout) == {"stopped": True}
    proof = verify(Settings(data_dir=data_dir).evidence_log)
    # The first record is the writer's own.
    assert (proof.ok, proof.records) == (True, 41)


@pytest.mark.models
def test_an_audit_in_process_stops_exactly_what_it_started(data_dir: Path) -> None:
    """A model server that it had to start is stopped; the broker that ran before goes on."""
    snapshot.write([hit.record for hit in make_bundle().passages], Settings(data_dir=data_dir).corpus_dir)
    ports = {name: free_port() for name in ("local_port", "escalation_port", "dashboard_port")}
    env = environment(data_dir, **ports)
    try:
        up = replay(env, "up", "broker", "--json")
        before = {program["name"]: program["pid"] for program in json.loads(up.stdout)}
        ran = replay(env, "run", "--in-process", "--local-only", "--json", "-t", CLAIM)
        assert json.loads(ran.stdout)["tier"] == "local", ran.stderr
        status = json.loads(replay(env, "status", "--json").stdout)
        after = {program["name"]: program["pid"] for program in status["programs"]}
        assert {name for name, pid in after.items() if pid} == {"broker"}
        assert after["broker"] == before["broker"]
    finally:
        replay(env, "down")


# --- output ----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(900)
def test_json_of_every_command_parses(house: tuple[Stack, ScriptedModel], tmp_path: Path) -> None:
    """Every command that is not in the foreground or plain has `--json`, and prints one document, or one a line."""
    stack, _ = house
    assert {words for words, command in commands().items() if not _has_json(command)} == FOREGROUND | PLAIN
    file = write_tasks(tmp_path / "json.jsonl", tasks(1, "json"))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "channel.py").write_text("visibility_timeout = 3600\n")
    elsewhere = environment(tmp_path / "elsewhere")
    run = json.loads(replay(stack.env, "run", "-t", CLAIM, "--json").stdout)["results"][0]
    task = make_task(CLAIM, custom_id="dead")
    message = Envelope(TaskName.AUDIT_LOCAL, f"{task.run_id}:local", task.wire()).sealed(Queue.LOCAL)
    letter = dead.letter(Queue.LOCAL, "test", message)
    stack.client.lpush(Queue.DEAD, dead.wire(letter), b"bytes of a stranger")
    typed: dict[str, tuple[Mapping[str, str], list[str | Path]]] = {
        "submit": (stack.env, ["submit", file]),
        "results": (stack.env, ["results"]),
        "batch results": (stack.env, ["batch", "results"]),
        "batch pause": (stack.env, ["batch", "pause"]),
        "batch resume": (stack.env, ["batch", "resume"]),
        "batch retry": (stack.env, ["batch", "retry"]),
        "batch wait": (stack.env, ["batch", "wait"]),
        "batch cancel": (stack.env, ["batch", "cancel"]),
        "cancel": (stack.env, ["cancel"]),
        "status": (stack.env, ["status"]),
        "top": (stack.env, ["top", "--once"]),
        "metrics": (stack.env, ["metrics"]),
        "down": (elsewhere, ["down"]),
        "doctor": (stack.env, ["doctor", "--only", "broker"]),
        "ab": (stack.env, ["ab", "-n", "1", "--tasks", file]),
        "models list": (stack.env, ["models", "list"]),
        "corpus build": (elsewhere, ["corpus", "build", tmp_path / "source"]),
        "corpus import": (elsewhere, ["corpus", "import", "data/playbooks/celery-playbook.jsonl"]),
        "corpus add": (elsewhere, ["corpus", "add", tmp_path / "source"]),
        "corpus log": (elsewhere, ["corpus", "log"]),
        "corpus diff": (elsewhere, ["corpus", "diff", "current", "current"]),
        "corpus compact": (elsewhere, ["corpus", "compact"]),
        "corpus stats": (stack.env, ["corpus", "stats"]),
        "corpus admit": (stack.env, ["corpus", "admit", "--dry-run"]),
        "corpus search": (stack.env, ["corpus", "search", CLAIM]),
        "gate audit": (stack.env, ["gate", "audit", "--all"]),
        "gate explain": (stack.env, ["gate", "explain", run["run_id"]]),
        "lane list": (stack.env, ["lane", "list"]),
        "lane pause": (stack.env, ["lane", "pause", "escalation"]),
        "lane resume": (stack.env, ["lane", "resume", "escalation"]),
        "lane budget set": (stack.env, ["lane", "budget", "set", "escalation", "--calls", "100000"]),
        "lane budget show": (stack.env, ["lane", "budget", "show"]),
        "lane budget reset": (stack.env, ["lane", "budget", "reset", "escalation"]),
        "lane budget unset": (stack.env, ["lane", "budget", "unset", "escalation"]),
        "broker acl": (elsewhere, ["broker", "acl", tmp_path / "users.acl"]),
        "evidence show": (stack.env, ["evidence", "show", run["run_id"]]),
        "batch list": (stack.env, ["batch", "list"]),
        "batch show": (stack.env, ["batch", "show"]),
        "batch reconcile": (stack.env, ["batch", "reconcile"]),
        "schedule add": (elsewhere, ["schedule", "add", "nightly", "30 3 * * *", file]),
        "schedule list": (elsewhere, ["schedule", "list"]),
        "schedule show": (elsewhere, ["schedule", "show", "nightly"]),
        "schedule pause": (elsewhere, ["schedule", "pause", "nightly"]),
        "schedule resume": (elsewhere, ["schedule", "resume", "nightly"]),
        "schedule next": (elsewhere, ["schedule", "next"]),
        "schedule remove": (elsewhere, ["schedule", "remove", "nightly"]),
        "dead list": (stack.env, ["dead", "list"]),
        "dead show": (stack.env, ["dead", "show", letter.id]),
        "dead requeue": (stack.env, ["dead", "requeue", letter.id]),
        "dead discard": (stack.env, ["dead", "discard", "--all"]),
        "review list": (stack.env, ["review", "list"]),
        "review accept": (stack.env, ["review", "accept", run["run_id"], "-m", "the line says it", "--admit"]),
        "review reject": (stack.env, ["review", "reject", run["run_id"], "-m", "it does not", "--verdict", "fail"]),
        "evidence verify": (stack.env, ["evidence", "verify"]),
        "evidence keygen": (stack.env, ["evidence", "keygen", tmp_path / "key.pem"]),
    }
    for words, (env, command) in typed.items():
        ran = replay(env, *command, "--json")
        assert ran.returncode == 0, (words, ran.stderr)
        assert json.loads(ran.stdout), words
    tail = replay(stack.env, "evidence", "tail", "--json").stdout.splitlines()
    assert {json.loads(line)["schema"] for line in tail} >= {"replay_run.v1", "replay_action.v1"}
    # `up` is typed by the test of a killed worker, `models pull` by the one below; the last two need what is not here.
    aside = {"run", "evidence tail", "up", "models pull", "corpus eval", "corpus embed"}
    # Proofs wait for a checkpoint: tests/unit/test_evidence_commands.py checks them. The last two print JSON lines.
    # A loss has to be there before it is accepted: tests/unit/evidence/test_loss.py.
    aside |= {"evidence accept-loss", "corpus use", "evidence check-proof", "gate check", "study regate"}
    # A study has a corpus of its own: tests/unit/study/test_loop.py.
    aside |= {"study loop"}
    assert {*typed, *FOREGROUND, *PLAIN, *aside} == commands().keys()


def _has_json(command: Any) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


@pytest.mark.models
def test_models_pull_says_where_the_file_lies(bare: dict[str, str]) -> None:
    """A model that is there is not fetched again; its path is printed."""
    ran = replay(bare, "models", "pull", "local", "--json")
    assert ran.returncode == 0, ran.stderr
    assert [Path(path).is_file() for path in json.loads(ran.stdout).values()] == [True]


def test_results_in_every_format(house: tuple[Stack, ScriptedModel], tmp_path: Path) -> None:
    """Table, JSON lines and CSV hold the same rows in the order of the input; a beginning of the id will do."""
    stack, _ = house
    file = write_tasks(tmp_path / "formats.jsonl", tasks(3, "formats"))
    names = ["formats-0", "formats-1", "formats-2"]
    waited = replay(stack.env, "submit", file, "--wait", "--json")
    batch = json.loads(waited.stdout)["batch_id"]
    table = replay(stack.env, "results", batch.removeprefix("batch_")[:8]).stdout
    assert all(text in table for text in (*names, "kombu/transport/redis.py", "3 tasks: 3 accepted"))
    rows = [json.loads(line) for line in replay(stack.env, "results", batch, "--format", "jsonl").stdout.splitlines()]
    records = list(csv.DictReader(replay(stack.env, "results", batch, "--format", "csv").stdout.splitlines()))
    assert [row["custom_id"] for row in rows] == [row["custom_id"] for row in records] == names
    assert [row["citation"] for row in rows] == [row["citation"] for row in records]
    assert list(rows[0]) == list(records[0])


def test_a_flipped_byte_is_found(house: tuple[Stack, ScriptedModel], data_dir: Path) -> None:
    """`evidence verify` of a log with one changed byte ends with exit code 4 and says where it is."""
    stack, _ = house
    replay(stack.env, "run", "-t", CLAIM)
    folder = data_dir / "_kb"
    shutil.copytree(stack.settings.evidence_log.parent, folder)
    log = folder / stack.settings.evidence_log.name
    content = bytearray(log.read_bytes())
    at = content.index(b"visibility timeout")
    content[at] ^= 0x20
    log.write_bytes(content)
    env = environment(data_dir)
    ran = replay(env, "evidence", "verify")
    assert ran.returncode == 4
    assert "does not hold at byte " in ran.stdout
    report = json.loads(replay(env, "evidence", "verify", "--json").stdout)
    assert report["ok"] is False
    assert f"byte {report['fault']['offset']}, line 2" in ran.stdout
    assert content[: report["fault"]["offset"]].count(b"\n") == 1


def test_a_reader_that_goes_away_is_no_error(house: tuple[Stack, ScriptedModel]) -> None:
    """`replay evidence tail | head -n 1` prints a line and nothing else, and the pipe ends well."""
    stack, _ = house
    replay(stack.env, "run", "-t", CLAIM)
    pipe = f"set -o pipefail; {REPLAY} evidence tail -n 200 --json | head -c 20"
    ran = subprocess.run(
        ["/bin/bash", "-c", pipe], env=stack.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr, len(ran.stdout)) == (0, "", 20)


def test_a_worker_says_whether_it_lives(house: tuple[Stack, ScriptedModel], bare: dict[str, str]) -> None:
    """`worker ROLE --check` is what health checks ask: 0 with a fresh heartbeat from this host, 3 without."""
    stack, _ = house
    there = replay(stack.env, "worker", "writer", "--check")
    assert (there.returncode, "writer" in there.stdout) == (0, True)
    away = replay(bare, "worker", "writer", "--check")
    assert away.returncode == 3
    assert "the broker is not running" in away.stderr
