"""What a command loads: a light one none of the heavy libraries, and the list of commands no command at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from cli import main
from cli.lazy import LazyGroup
from tests.processes import ROOT

HEAVY = frozenset(
    "celery fsspec httpx jinja2 kombu matplotlib numpy scipy starlette tree_sitter uvicorn xllamacpp".split()  # noqa: SIM905
)
_TYPED = """
import json, sys
from cli import main
sys.argv = ["replay", *sys.argv[1:]]
try:
    main.main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def _loaded(data_dir: Path, *words: str) -> frozenset[str]:
    """The modules of a process that ran a command."""
    ran = subprocess.run(
        [sys.executable, "-c", _TYPED, *words],
        env={**os.environ, "REPLAY_DATA_DIR": str(data_dir)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return frozenset(json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["no-such-command"]])
def test_the_list_of_commands_loads_no_command(tmp_path: Path, words: list[str]) -> None:
    """What needs no command loads none, nor the client of the broker."""
    loaded = _loaded(tmp_path, *words)
    assert "cli.main" in loaded
    assert not loaded & {place.module for place in main.PLACES.values()}
    assert not loaded & (HEAVY | {"redis"})


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["batch", "list"],
        ["results"],
        ["lane", "list"],
        ["dead", "list"],
        ["evidence", "tail"],
        ["review", "list"],
    ],
)
def test_a_light_command_loads_no_heavy_library(tmp_path: Path, words: list[str]) -> None:
    """A command that only looks loads nothing that it does not use."""
    loaded = _loaded(tmp_path, *words)
    assert main.PLACES[words[0]].module in loaded
    assert not loaded & HEAVY


def test_the_list_of_commands_says_what_they_say() -> None:
    """Each sentence in the table is the first one of the command's own help."""
    group = typer.main.get_command(main.app)
    assert isinstance(group, LazyGroup)
    own = {name: " ".join((command.help or "").split("\n\n")[0].split()) for name, command in group.commands.items()}
    assert own == {name: place.says for name, place in main.PLACES.items()}
