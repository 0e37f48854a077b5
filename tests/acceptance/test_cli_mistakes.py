"""What the command line says to a mistake, and when something does not answer."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from replay.corpus import snapshot
from replay.settings import Settings
from tests.command_line import CLAIM, NOWHERE, commands, replay

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("words", commands())
def test_help_has_an_example(words: str) -> None:
    """Each command's help shows how it is typed."""
    assert f"Example: replay {words}" in commands()[words].help


def test_help_says_the_exit_codes(bare: dict[str, str]) -> None:
    """The codes that scripts rely on stand in the help itself."""
    ran = replay(bare, "--help")
    assert ran.returncode == 0
    assert "3 broker or model does not answer" in " ".join(ran.stdout.split())


MISTAKES = {
    "no such command": (["frobnicate"], {}, "No such command 'frobnicate'", "replay --help"),
    "no task": (["run"], {}, "Missing option '--task'", "replay run --help"),
    "an empty task": (["run", "-t", " "], {}, "task: empty", "replay run --task"),
    "a long task": (["run", "-t", "x" * 32769], {}, "32,769 bytes, the limit is 32,768", "replay run --task"),
    "a contradiction": (["run", "-t", CLAIM, "--local-only", "--allow-escalation"], {}, "exclude each other", "one of"),
    "no such file": (["submit", "gone.jsonl"], {}, "no file gone.jsonl", "Check the path"),
    "a folder": (["submit", "tests"], {}, "tests is a folder", "one JSONL file"),
    "no corpus for a file": (["submit", "data/tasks/quickstart.jsonl"], {}, "no corpus", "replay corpus build"),
    "no corpus for a task": (["run", "-t", CLAIM], {}, "no corpus", "replay corpus build"),
    "no corpus for the stack": (["up"], {}, "no corpus", "replay corpus build"),
    "no such source": (["corpus", "build", "gone"], {}, "'gone' is not a directory", "package:NAME"),
    "no such package": (["corpus", "build", "package:gone"], {}, "no installed package is named 'gone'", "Install it"),
    "no such playbook": (["corpus", "import", "gone"], {}, "'gone' cannot be read", "JSON lines"),
    "no batch": (["results"], {}, "no batch", "replay submit"),
    "no batch to cancel": (["cancel"], {}, "no batch", "replay submit"),
    "no such format": (["results", "--format", "xml"], {}, "'xml' is not one of", "'parquet'"),
    "no evidence": (["evidence", "verify"], {}, "no evidence log", "replay quickstart"),
    "no such run": (["evidence", "show", "run_gone"], {}, "no evidence of 'run_gone'", "replay evidence tail"),
    "no such model": (["models", "pull", "gone"], {}, "no embedded model 'gone'", "Known: "),
    "no such program": (["up", "gone"], {}, "no program gone", "worker-local"),
    "no such check": (["doctor", "--only", "gone"], {}, "no check gone", "Checks: "),
    "two writers": (["worker", "writer", "-c", "2"], {}, "one process for each log", "--concurrency"),
    "a wrong setting": (["status"], {"REPLAY_TOP_K": "many"}, "REPLAY_TOP_K: Input should be a valid integer", "unset"),
    "no address": (["status"], {"REPLAY_BROKER_URL": "redis://[x"}, "REPLAY_BROKER_URL is not the address", "redis://"),
    "a wrong address": (["status"], {"REPLAY_BROKER_URL": "http://x"}, "REPLAY_BROKER_URL has the scheme", "redis://"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_explained(mistake: str, bare: dict[str, str]) -> None:
    """Wrong input ends with exit code 2, says what is wrong and what to do, and leaves stdout to results."""
    words, variables, what, remedy = MISTAKES[mistake]
    ran = replay(bare | variables, *words)
    said = " ".join(ran.stderr.split())
    assert (ran.returncode, ran.stdout) == (2, "")
    assert what in said
    assert remedy in said


def test_an_empty_corpus_is_refused(bare: dict[str, str], data_dir: Path, tmp_path: Path) -> None:
    """A folder without sources makes no corpus, and none replaces one that is there."""
    (tmp_path / "empty").mkdir()
    ran = replay(bare, "corpus", "build", tmp_path / "empty")
    assert ran.returncode == 2
    assert "hint:" in ran.stderr
    assert snapshot.current_version(Settings(data_dir=data_dir).corpus_dir) is None


# --- what does not answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["submit", "data/tasks/quickstart.jsonl"], ["run", "-t", CLAIM], ["status"]])
def test_a_broker_that_is_down_is_named(words: list[str], furnished: dict[str, str], data_dir: Path) -> None:
    """Exit code 3, that it does not run and how to start it; nothing is accepted halfway."""
    ran = replay(furnished, *words)
    assert ran.returncode == 3
    assert "the broker is not running" in ran.stderr
    assert "valkey.sock" not in ran.stderr
    assert "start it with `replay up`" in ran.stderr
    assert not list((data_dir / "batches").glob("*/manifest.jsonl"))


def test_a_model_server_that_is_down_is_named(furnished: dict[str, str]) -> None:
    """A run against it ends as failed evidence that names the endpoint, and the doctor names it too."""
    env = furnished | {"REPLAY_TRANSPORT_TRIES": "1"}
    ran = replay(env, "run", "--in-process", "--json", "-t", CLAIM)
    result = json.loads(ran.stdout)
    assert (ran.returncode, result["state"]) == (1, "failed")
    assert NOWHERE in result["reasons"][0]
    shown = replay(env, "evidence", "show", result["run_id"])
    assert NOWHERE in shown.stdout
    doctor = replay(env, "doctor", "--only", "models")
    assert doctor.returncode == 1
    assert NOWHERE.removesuffix("/v1") in doctor.stdout


def test_a_taken_port_is_named_before_anything_starts(furnished: dict[str, str], data_dir: Path) -> None:
    """`up` says who holds the port and which setting chooses another; no process stays."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = replay(furnished | {"REPLAY_DASHBOARD_PORT": str(port)}, "up")
        assert ran.returncode == 3
        assert f"Port {port} of dashboard is already taken by" in ran.stderr
        assert f"(pid {os.getpid()})" in ran.stderr
        assert "REPLAY_DASHBOARD_PORT" in ran.stderr
        served = replay(furnished, "dashboard", "--port", str(port))
        assert served.returncode == 2
        assert f"127.0.0.1:{port}" in served.stderr
    assert not (data_dir / "run" / "supervisord.pid").exists()
