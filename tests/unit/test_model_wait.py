"""The wait for a model server that loads its model."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import ConfigurationError, ModelFileError, ModelUnavailable
from replay.models.embedded import serve, wait_ready
from tests.scripted_model import ScriptedModel


def test_returns_once_the_server_is_healthy() -> None:
    """With `/v1` at the end of the address and without."""
    with ScriptedModel() as server:
        wait_ready(server.base_url, 5)
        wait_ready(server.base_url.removesuffix("/v1"), 5)


def test_says_that_it_took_too_long() -> None:
    """And what the last answer was."""
    with ScriptedModel() as server:
        address = server.base_url
    with pytest.raises(ModelUnavailable, match="was not ready within"):
        wait_ready(address, 0.3)


def test_ends_when_the_process_has_ended() -> None:
    """A minute of waiting for a process that is gone helps nobody."""
    with ScriptedModel() as server:
        address = server.base_url
    with pytest.raises(ModelUnavailable, match="ended while it started"):
        wait_ready(address, 60, alive=lambda: False)


def test_a_missing_file_and_a_taken_port_are_explained(tmp_path: Path) -> None:
    """Before anything is loaded."""
    pytest.importorskip("xllamacpp", reason="the embedded server is an optional part of the installation")
    file = tmp_path / "m.gguf"
    with pytest.raises(ModelFileError, match="There is no model file"):
        serve(file, "m", "127.0.0.1", 1, slots=1)
    file.write_bytes(b"")
    with ScriptedModel() as server, pytest.raises(ConfigurationError, match=str(server.port)):
        serve(file, "m", "127.0.0.1", server.port, slots=1)
