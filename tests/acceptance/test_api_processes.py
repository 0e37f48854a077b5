"""The Batch API as its clients meet it: a real server, broker, workers and writer, and the official `openai` client."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Batch

from broker import heartbeat, queues
from evidence.verify import verify
from producer import manifest
from replay.topology import Queue
from tests.api_desk import request_file, request_line
from tests.command_line import REPLAY
from tests.processes import Process, Stack, environment, free_port, running, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

TOKEN = "a-token-for-this-test"  # noqa: S105  of this test alone
ENDED = {"completed", "failed", "expired", "cancelled"}


class House:
    """An API, and what of its installation a test wants.

    Args:
        data_dir: Its data.
        env: Its environment.
        owned: Ends the processes.
    """

    def __init__(self, data_dir: Path, env: Mapping[str, str], owned: contextlib.ExitStack) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self._environment = env
        self._owned = owned
        self._started = 0
        self.server = self.serve()

    def serve(self) -> Process:
        """Start the API and wait until it answers."""
        process = self._start("api", "--port", str(self.port))
        wait_for(lambda: _listens(self.port) or process.exit_code is not None, "the API to answer")
        assert process.exit_code is None, process.output
        return process

    def kill(self) -> None:
        """SIGKILL the API, and start it again."""
        self.server.signal(signal.SIGKILL)
        self.server.wait()
        self.server = self.serve()

    def work(self, stack: Stack) -> None:
        """Start a writer and a worker, and wait for them."""
        self._start("worker", "writer")
        self._start("worker", "local", "-c", "2")
        wait_for(lambda: len(heartbeat.alive(stack.client)) == 2, "writer and worker to report")

    def client(self, token: str = TOKEN) -> openai.OpenAI:
        """The official client, as anybody would make it."""
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=token, max_retries=0)

    def files(self) -> dict[str, int]:
        """What lies in the folder of the files, with sizes."""
        return {path.name: path.stat().st_size for path in (self.data_dir / "api" / "files").iterdir()}

    def _start(self, *words: str) -> Process:
        self._started += 1
        log = self.data_dir / f"{words[0]}-{self._started}.log"
        return self._owned.enter_context(running([REPLAY, *words], self._environment, log))


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An API and nothing behind it, for what does not come that far."""
    data_dir = tmp_path_factory.mktemp("door")
    with contextlib.ExitStack() as owned:
        yield House(data_dir, environment(data_dir, api_tokens=TOKEN), owned)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    """What the workers ask."""
    with ScriptedModel() as made:
        yield made


@pytest.fixture
def stack(data_dir: Path, broker_url: str, model: ScriptedModel) -> Iterator[Stack]:
    """A broker and a corpus."""
    with Stack(data_dir, broker_url=broker_url, base_url=model.base_url, api_tokens=TOKEN) as made:
        yield made


@pytest.fixture
def house(stack: Stack) -> Iterator[House]:
    """An API on that stack, without workers yet."""
    with contextlib.ExitStack() as owned:
        yield House(stack.settings.data_dir, stack.env, owned)


def make_batch(client: openai.OpenAI, count: int, name: str = "r", **options: Any) -> Batch:
    """Upload requests and create a batch, as the client's own documentation does."""
    content = request_file([request_line(f"{name}-{n}") for n in range(count)])
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h", **options
    )


def wait_until(client: openai.OpenAI, batch_id: str, *states: str) -> Batch:
    """Poll a batch until it is in one of these states."""

    def look() -> Batch | None:
        batch = client.batches.retrieve(batch_id)
        assert batch.status in states or batch.status not in ENDED, batch.to_json()
        return batch if batch.status in states else None

    found = wait_for(look, f"the batch to be {states}", timeout_s=60)
    assert found is not None
    return found


def lines_of(client: openai.OpenAI, file_id: str | None) -> dict[str, dict[str, Any]]:
    """The lines of a file, by name."""
    assert file_id is not None
    return {line["custom_id"]: line for line in map(json.loads, client.files.content(file_id).text.splitlines())}


def test_the_official_client_runs_a_batch(house: House, stack: Stack) -> None:
    """Upload, create, poll, download, list, cancel too late, delete: unchanged, and each request is answered."""
    house.work(stack)
    with house.client() as client:
        assert [model.id for model in client.models.list()] == ["replay"]
        with open(house.data_dir / "requests.jsonl", "wb+") as file:  # noqa: PTH123  what clients give
            file.write(request_file([request_line("one"), request_line("two"), request_line("odd", model="gpt-4o")]))
            file.seek(0)
            uploaded = client.files.create(file=file, purpose="batch")
        assert (uploaded.filename, uploaded.status) == ("requests.jsonl", "processed")
        made = client.batches.create(
            input_file_id=uploaded.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"allow_escalation": "false", "mine": "yes"},
        )
        done = wait_until(client, made.id, "completed")
        assert done.request_counts is not None
        assert done.usage is not None
        assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (3, 2, 1)
        assert done.usage.total_tokens == 2 * 15
        answers = lines_of(client, done.output_file_id)
        content = json.loads(answers["one"]["response"]["body"]["choices"][0]["message"]["content"])
        assert (content["state"], content["verdict"], content["found"]) == ("accepted", "pass", "3600")
        assert content["cites"][0]["at"] == "kombu/transport/redis.py:402"
        errors = lines_of(client, done.error_file_id)
        assert errors["odd"]["response"]["body"]["error"]["code"] == "model_not_found"
        assert [batch.id for batch in client.batches.list()] == [made.id]
        assert {file.purpose for file in client.files.list()} == {"batch", "batch_output"}
        with pytest.raises(openai.ConflictError, match="Cannot cancel"):
            client.batches.cancel(made.id)
        assert client.files.delete(uploaded.id).deleted
        with pytest.raises(openai.NotFoundError, match="No such File"):
            client.files.retrieve(uploaded.id)
    assert house.server.stop() in {0, -signal.SIGTERM}
    assert "Traceback" not in house.server.output
    assert verify(stack.settings.evidence_log).ok


def test_the_official_client_cancels_a_batch(house: House, stack: Stack, model: ScriptedModel) -> None:
    """What was not begun is in the error file as cancelled, and no model is asked for it."""
    with house.client() as client:
        made = make_batch(client, 20)
        wait_until(client, made.id, "in_progress")
        assert client.batches.cancel(made.id).status == "cancelling"
        house.work(stack)
        ended = wait_until(client, made.id, "cancelled")
        assert ended.output_file_id is None
        lines = lines_of(client, ended.error_file_id)
        assert {line["error"]["code"] for line in lines.values()} == {"batch_cancelled"}
        assert len(lines) == 20
    assert model.count == 0


def test_a_server_killed_while_it_submits_goes_on_at_the_next_start(house: House, stack: Stack) -> None:
    """Kill -9 between acceptance and the first message, and again between messages: each task is queued once."""
    count = 1200
    stack.client.client_pause(60_000, all=False)  # nothing can be written, so the submission comes no further
    with house.client() as client:
        made = make_batch(client, count)
        (batch_id,) = wait_for(lambda: manifest.known(stack.settings.batches_dir), "the batch to be accepted")
        assert client.batches.retrieve(made.id).status == "validating"
        house.server.signal(signal.SIGKILL)
        house.server.wait()
        stack.client.client_unpause()
        assert stack.client.llen(Queue.LOCAL) == 0
        house.server = house.serve()
        wait_for(lambda: stack.client.llen(Queue.LOCAL), "the first messages")
        house.kill()
        wait_until(client, made.id, "in_progress")
        assert stack.client.llen(Queue.LOCAL) == len(queues.look(stack.client).run_ids) == count
        assert manifest.known(stack.settings.batches_dir) == [batch_id]


def test_a_wrong_token_is_refused(door: House) -> None:
    """The client raises what it raises at OpenAI, and nothing is kept of what it sent."""
    with door.client("not-the-token-of-this-test") as client:
        for call in (client.models.list, client.batches.list, lambda: make_batch(client, 1)):
            with pytest.raises(openai.AuthenticationError) as refused:
                call()
            assert refused.value.code == "invalid_api_key"
    assert door.files() == {}


def test_a_client_that_disconnects_in_mid_upload_leaves_nothing(door: House) -> None:
    """Megabytes are on the disk when the connection ends; then none is, and the server goes on."""
    head = (
        "POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: 100000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        '--b\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", door.port)) as connection:
        connection.sendall(head.encode() + b"x" * 5_000_000)
        wait_for(lambda: sum(door.files().values()) >= 4_000_000, "most of it on the disk")
    wait_for(lambda: not door.files(), "nothing to be left")
    with door.client() as client:
        assert list(client.files.list()) == []
    assert "Traceback" not in door.server.output
