"""The embedded model server with the real small model, in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from replay.contracts import Tier
from replay.errors import ModelRefused
from replay.models.catalogue import find
from replay.models.client import ModelClient
from replay.models.embedded import wait_ready
from replay.models.files import ensure
from replay.models.probe import schema_format
from replay.models.progress import Silent
from replay.models.routing import model_for, route
from replay.settings import EMBEDDED_LOCAL, Settings

pytestmark = [pytest.mark.acceptance, pytest.mark.models]

SLOTS = 2
PROGRAM = """
import sys
from pathlib import Path
from replay.errors import ReplayError
from replay.models.embedded import serve
try:
    serve(Path(sys.argv[1]), sys.argv[2], "127.0.0.1", int(sys.argv[3]), slots=int(sys.argv[4]))
except ReplayError as error:
    sys.exit(f"{type(error).__name__}: {error.message} {error.hint}")
"""
SCHEMA = {
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"line": {"type": "string", "enum": ["L1", "L2"]}},
                "required": ["line"],
                "additionalProperties": False,
            },
            "minItems": 1,
            "maxItems": 1,
        },
        "verdict": {"type": "string", "enum": ["pass", "fail", "unsure"]},
    },
    "required": ["findings", "verdict"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Served:
    """A running server and the settings that lead to it."""

    process: subprocess.Popen[str]
    settings: Settings
    model_path: Path


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(model_path: Path, port: int) -> subprocess.Popen[str]:
    """Start a server process."""
    command = [sys.executable, "-c", PROGRAM, str(model_path), EMBEDDED_LOCAL, str(port), str(SLOTS)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@contextmanager
def served(model_path: Path) -> Iterator[Served]:
    """A server that is ready, ended afterwards."""
    settings = Settings(local_port=free_port(), base_url=None, local_model=EMBEDDED_LOCAL, max_tokens=60)
    process = start(model_path, settings.local_port)
    try:
        wait_ready(f"http://127.0.0.1:{settings.local_port}/v1", 60, lambda: process.poll() is None)
        yield Served(process, settings, model_path)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def model_path() -> Path:
    """The file of the small model, fetched if it is missing."""
    return ensure(find(EMBEDDED_LOCAL), Settings().cache_dir, Silent())


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[Served]:
    """One server for the tests that only ask."""
    with served(model_path) as running:
        yield running


@pytest.fixture
def client(server: Served) -> Iterator[ModelClient]:
    """A client of that server."""
    made = ModelClient(server.settings)
    yield made
    made.close()


def ask(client: ModelClient, text: str) -> Any:
    """One generation of the local tier."""
    return client.generate(Tier.LOCAL, [{"role": "user", "content": text}], SCHEMA)


def test_is_found_by_routing_and_offers_the_model_under_our_name(server: Served, client: ModelClient) -> None:
    """What `replay doctor` asks."""
    model = model_for(Tier.LOCAL, server.settings)
    endpoint = route(model, Tier.LOCAL, server.settings)
    assert client.list_models(endpoint) == (EMBEDDED_LOCAL,)
    assert client.health(endpoint, model).ok


def test_the_schema_is_obeyed(client: ModelClient) -> None:
    """The probe finds out that it is, and a prompt that asks for a poem gets the schema's JSON."""
    generation = ask(client, "Write a short poem about the sea.")
    assert generation.response_format == "json_schema"
    answer = json.loads(generation.content)
    assert list(answer) == ["findings", "verdict"]
    assert answer["verdict"] in {"pass", "fail", "unsure"}
    assert answer["findings"][0]["line"] in {"L1", "L2"}
    assert generation.finish_reason == "stop"


def test_a_prompt_seen_before_comes_from_the_cache(client: ModelClient) -> None:
    """The second time nearly all of the prompt's tokens are reported as cached, and the answer is the same."""
    prompt = "Evidence: " + " ".join(f"line {n} says {n * n}." for n in range(40))
    first = ask(client, prompt)
    second = ask(client, prompt)
    assert first.usage.prompt_tokens is not None
    assert first.usage.cached_tokens is not None
    assert second.usage.cached_tokens is not None
    assert first.usage.cached_tokens < first.usage.prompt_tokens / 2
    assert second.usage.cached_tokens > first.usage.prompt_tokens * 0.9
    assert second.content == first.content


def test_requests_share_the_slots_and_more_of_them_wait(client: ModelClient) -> None:
    """Twice as many requests as slots are all answered."""
    ask(client, "first")
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(ask(client, f"Claim {n} is true.").content))
        for n in range(2 * SLOTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 2 * SLOTS
    assert all("verdict" in json.loads(answer) for answer in answers)


def test_a_prompt_that_does_not_fit_is_refused_with_a_reason(client: ModelClient) -> None:
    """Nothing is cut silently."""
    with pytest.raises(ModelRefused, match="does not fit into the context") as caught:
        ask(client, "word " * 5000)
    assert "REPLAY_LINES_SHOWN" in caught.value.hint


def test_shows_no_page_and_no_prompts(server: Served) -> None:
    """There is no web page, no view of other requests, and no web page of a stranger may ask."""
    root = f"http://127.0.0.1:{server.settings.local_port}"
    assert httpx.get(root).status_code == 404
    assert httpx.get(f"{root}/slots").status_code == 501
    allowed = httpx.get(f"{root}/health", headers={"Origin": "http://stranger.example"}).headers
    assert allowed.get("access-control-allow-origin") not in {"*", "http://stranger.example"}


def test_a_taken_port_is_explained_before_the_model_is_loaded(server: Served, tmp_path: Path) -> None:
    """The file that it is given is no model, and yet the port is what it complains about."""
    no_model = tmp_path / "no.gguf"
    no_model.write_bytes(b"no")
    process = start(no_model, server.settings.local_port)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "ConfigurationError" in said
    assert f"127.0.0.1:{server.settings.local_port}" in said
    assert "REPLAY_LOCAL_PORT" in said
    assert "Traceback" not in said


def test_a_file_that_is_no_model_is_explained(tmp_path: Path) -> None:
    """With what to do about it."""
    no_model = tmp_path / "no.gguf"
    no_model.write_bytes(b"no")
    process = start(no_model, free_port())
    _, said = process.communicate(timeout=30)
    assert "ModelFileError" in said
    assert "replay models pull --verify" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_even_while_it_generates(model_path: Path, number: signal.Signals) -> None:
    """A running generation, which would take a minute, holds up nothing; its client sees the connection end."""
    long_request = {
        "messages": [{"role": "user", "content": "Count from 1 to 1000."}],
        "max_tokens": 3000,
        "stream": True,
        "response_format": schema_format({"type": "array", "minItems": 900, "items": {"type": "integer"}}),
    }
    with served(model_path) as running:
        address = f"http://127.0.0.1:{running.settings.local_port}/v1/chat/completions"
        with httpx.stream("POST", address, json=long_request, timeout=60) as response:
            chunks = response.iter_bytes()
            assert b"data:" in next(chunks)
            running.process.send_signal(number)
            assert running.process.wait(timeout=10) == 0
            with pytest.raises(httpx.RemoteProtocolError):
                list(chunks)
